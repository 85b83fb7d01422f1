"""Merkle tree over canonical lines, SHA-256, in the manner that resists second pre-images.

A leaf is the double hash of its line, an inner node the single hash of its two children; lines of 64 bytes
(the length of two children) are refused besides. A node without a sibling moves up unchanged. Leaves are
sorted by hash, so that the root does not depend on the order in which lines arrived.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from market.errors import SettlementError
from market.sha256 import Bytes, sha256_rows

EMPTY_ROOT = sha256(b"p2p-grid-twin empty batch").digest()


def leaf_hash(line: bytes) -> bytes:
    """Return the double SHA-256 of a line. Raises ``SettlementError`` for a line of exactly 64 bytes."""
    if len(line) == 64:
        raise SettlementError("leaf: a line of 64 bytes could be taken for an inner node")
    return sha256(sha256(line).digest()).digest()


def _leaves(lines: Sequence[bytes]) -> list[bytes]:
    """Sorted leaf hashes; in one go, because a batch has thousands."""
    for line in lines:
        if len(line) == 64:
            leaf_hash(line)
    return sorted([sha256(sha256(line).digest()).digest() for line in lines])


def _parents(level: list[bytes]) -> list[bytes]:
    pairs = [sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
    return pairs + level[-1:] if len(level) % 2 else pairs


def merkle_root(lines: Sequence[bytes]) -> bytes:
    """Return the root over the lines (32 bytes); of no lines it is ``EMPTY_ROOT``."""
    level = _leaves(lines)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def leaf_rows(lines: Bytes) -> Bytes:
    """Return ``leaf_hash`` of many lines of one length: (n, 32) bytes of (n, m) bytes."""
    if lines.shape[1] == 64:
        leaf_hash(bytes(64))
    return sha256_rows(sha256_rows(lines))


def levels_of(leaves: Bytes) -> list[Bytes]:
    """Return the tree over leaf hashes (n, 32), level by level from the sorted leaves up to the root (1, 32)."""
    # zero-padded text compares as bytes do
    levels = [leaves[np.argsort(leaves.view("S32").ravel(), kind="stable")]]
    while len(levels[-1]) > 1:
        level = levels[-1]
        even = len(level) // 2 * 2
        levels.append(np.concatenate((sha256_rows(level[:even].reshape(-1, 64)), level[even:])))
    return levels


def root_of_leaves(leaves: Bytes) -> bytes:
    """Return the root over leaf hashes (n, 32): as ``merkle_root`` over their lines, in a fraction of the time."""
    return levels_of(leaves)[-1].tobytes() if len(leaves) else EMPTY_ROOT


def merkle_proof(lines: Sequence[bytes], line: bytes) -> list[tuple[bool, bytes]]:
    """Return the path from a line to the root: (the sibling stands left, its hash), bottom up.

    Raises:
        SettlementError: The line is not among the lines.
    """
    level = _leaves(lines)
    wanted = leaf_hash(line)
    if wanted not in level:
        raise SettlementError("proof: the line is not part of the batch")
    position, path = level.index(wanted), []
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            path.append((sibling < position, level[sibling]))
        level, position = _parents(level), position // 2
    return path


def verify_proof(root: bytes, line: bytes, path: Sequence[tuple[bool, bytes]]) -> bool:
    """Return whether the path leads from the line to the root."""
    node = leaf_hash(line)
    for left, sibling in path:
        node = sha256(sibling + node if left else node + sibling).digest()
    return node == root
