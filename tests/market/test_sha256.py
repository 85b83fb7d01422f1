"""SHA-256 of many messages at once against the standard library's, and trees made with it."""

from hashlib import sha256

import numpy as np
import pytest

from market.errors import SettlementError
from market.merkle import EMPTY_ROOT, leaf_rows, levels_of, merkle_root, root_of_leaves
from market.sha256 import sha256_rows


@pytest.mark.parametrize("length", [0, 1, 3, 52, 55, 56, 57, 63, 64, 65, 77, 119, 120, 157, 200])
def test_every_length_around_a_block(length):
    for count in (0, 1, 31, 32, 33, 70):
        messages = np.random.default_rng(length).integers(0, 256, (count, length), dtype=np.uint8)
        assert [row.tobytes() for row in sha256_rows(messages)] == [
            sha256(row.tobytes()).digest() for row in messages
        ]


def test_rows_that_do_not_lie_side_by_side():
    messages = np.arange(40 * 60, dtype=np.uint16).astype(np.uint8).reshape(40, 60)[::2, 3:50]
    assert [row.tobytes() for row in sha256_rows(messages)] == [
        sha256(row.tobytes()).digest() for row in messages
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 100])
def test_the_same_root_as_line_by_line(count):
    lines = np.random.default_rng(count).integers(0, 256, (count, 77), dtype=np.uint8)
    assert root_of_leaves(leaf_rows(lines)) == merkle_root([line.tobytes() for line in lines])


def test_lines_of_two_lengths_in_one_tree_zeros_in_hashes_and_no_line():
    short, long = (
        np.full((3, length), 7, dtype=np.uint8) + np.arange(3, dtype=np.uint8)[:, None] for length in (9, 80)
    )
    both = np.concatenate((leaf_rows(short), leaf_rows(long)))
    assert root_of_leaves(both) == merkle_root([line.tobytes() for part in (short, long) for line in part])
    leaves = np.zeros((4, 32), dtype=np.uint8)
    leaves[:, 31] = 3, 0, 2, 1  # differ after zeros only
    assert levels_of(leaves)[0][:, 31].tolist() == [0, 1, 2, 3]
    assert root_of_leaves(leaves[:0]) == EMPTY_ROOT
    with pytest.raises(SettlementError, match="64 bytes"):
        leaf_rows(np.zeros((2, 64), dtype=np.uint8))
