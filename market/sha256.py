"""SHA-256 of many messages of one length at once (FIPS 180-4), compiled: what a batch of readings is hashed with.

``hashlib`` costs half a microsecond a call, whatever its hardware does; a day's readings of a street are 17,000 calls.
Here 32 messages go through the rounds side by side, which compilers turn into vector instructions: a third of the
time. ``hashlib`` stays for everything single, and is what the tests hold this against.
"""

from hashlib import sha256
from math import isqrt

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
LANES = 32
WORD = np.uint32


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _cube_root(number: int) -> int:
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


ROUNDS = np.array([_cube_root(prime << 96) & 0xFFFFFFFF for prime in _primes(64)], dtype=WORD)
"""First 32 bits of the fractional parts of the cube roots of the first 64 primes."""
START = np.array([isqrt(prime << 64) & 0xFFFFFFFF for prime in _primes(8)], dtype=WORD)
"""The same of the square roots of the first 8."""


@njit(inline="always")
def _turned(x, n):  # type: ignore[no-untyped-def]
    return WORD(WORD(x >> WORD(n)) | WORD(x << WORD(32 - n)))


@njit(cache=True, error_model="numpy")
def _compress(words, state, work):  # type: ignore[no-untyped-def]
    """One block of every lane: ``words`` (64, LANES) with the block in its first 16 rows; ``state`` (8, LANES)."""
    for t in range(16, 64):
        for j in range(LANES):
            x, y = words[t - 15, j], words[t - 2, j]
            low = _turned(x, 7) ^ _turned(x, 18) ^ WORD(x >> WORD(3))
            high = _turned(y, 17) ^ _turned(y, 19) ^ WORD(y >> WORD(10))
            words[t, j] = WORD(WORD(words[t - 16, j] + low) + WORD(words[t - 7, j] + high))
    for i in range(8):
        for j in range(LANES):
            work[i, j] = state[i, j]
    for t in range(64):
        # the eight registers move on by one row a round instead of being copied
        ra, rb, rc, rd = (64 - t) & 7, (65 - t) & 7, (66 - t) & 7, (67 - t) & 7
        re, rf, rg, rh = (68 - t) & 7, (69 - t) & 7, (70 - t) & 7, (71 - t) & 7
        k = ROUNDS[t]
        for j in range(LANES):
            a, b, c, e, f, g = work[ra, j], work[rb, j], work[rc, j], work[re, j], work[rf, j], work[rg, j]
            mixed = WORD(work[rh, j] + WORD(_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)))
            first = WORD(mixed + WORD(WORD((e & f) ^ (~e & g)) + WORD(k + words[t, j])))
            second = WORD(
                WORD(_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + WORD((a & b) ^ (a & c) ^ (b & c))
            )
            work[rd, j] = WORD(work[rd, j] + first)
            work[rh, j] = WORD(first + second)
    for i in range(8):
        for j in range(LANES):
            state[i, j] = WORD(state[i, j] + work[i, j])


@njit(inline="always")
def _word(message, at, length):  # type: ignore[no-untyped-def]
    """Four bytes of a padded message, big-endian; its last eight are not part of it."""
    if at + 4 <= length:
        high = WORD(WORD(WORD(message[at]) << WORD(24)) | WORD(WORD(message[at + 1]) << WORD(16)))
        return WORD(high | WORD(WORD(WORD(message[at + 2]) << WORD(8)) | WORD(message[at + 3])))
    word = WORD(0)
    for q in range(4):
        if at + q < length:
            word = WORD(word | WORD(WORD(message[at + q]) << WORD(24 - 8 * q)))
        elif at + q == length:
            word = WORD(word | WORD(WORD(0x80) << WORD(24 - 8 * q)))
    return word


@njit(cache=True, error_model="numpy")
def _digests(messages):  # type: ignore[no-untyped-def]
    """Digests (n, 32) of messages (n, m)."""
    n, length = messages.shape
    size = (length + 72) // 64 * 64
    out = np.empty((n, 32), np.uint8)
    words, state, work = np.zeros((64, LANES), WORD), np.empty((8, LANES), WORD), np.empty((8, LANES), WORD)
    for base in range(0, n, LANES):
        here = min(LANES, n - base)
        for i in range(8):
            for j in range(LANES):
                state[i, j] = START[i]
        for at in range(0, size, 64):
            for j in range(here):
                for t in range(16):
                    words[t, j] = _word(messages[base + j], at + 4 * t, length)
                if at + 64 == size:
                    words[14, j] = WORD((8 * length) >> 32)
                    words[15, j] = WORD((8 * length) & 0xFFFFFFFF)
            _compress(words, state, work)
        for j in range(here):
            for i in range(8):
                for q in range(4):
                    out[base + j, 4 * i + q] = np.uint8((state[i, j] >> WORD(24 - 8 * q)) & WORD(255))
    return out


def sha256_rows(messages: Bytes) -> Bytes:
    """SHA-256 of every row: (n, 32) bytes of (n, m) bytes."""
    if getattr(config, "DISABLE_JIT", 0):  # debugging: the lanes would take minutes
        digests = [list(sha256(row.tobytes()).digest()) for row in messages]
        return np.array(digests, dtype=np.uint8).reshape(-1, 32)
    made: Bytes = _digests(messages)
    return made
