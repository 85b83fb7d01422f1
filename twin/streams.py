"""Random streams: one per participant and purpose, so that adding a house leaves the others unchanged."""

import hashlib

import numpy as np


def stream(seed: int, participant: str, purpose: str) -> np.random.Generator:
    """Return the generator of (seed, participant id, purpose).

    The key is hashed with BLAKE2b, not with Python's `hash`, so it does not depend on PYTHONHASHSEED.
    """
    key = hashlib.blake2b(f"{seed}\x1f{participant}\x1f{purpose}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))
