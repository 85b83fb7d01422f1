"""Random streams: independent of each other, of the hash seed and of who else lives on the street."""

import os
import subprocess
import sys
from pathlib import Path

from twin.streams import stream

ROOT = Path(__file__).parents[2]


def test_streams_are_known_by_seed_participant_and_purpose():
    draws = {
        (s, p, w): stream(s, p, w).random() for s in (1, 2) for p in ("a", "b", "a1") for w in ("x", "1x", "")
    }
    assert len(set(draws.values())) == len(draws)
    assert stream(1, "a", "x").random() == draws[1, "a", "x"]


def test_the_key_cannot_be_read_in_two_ways():
    assert stream(1, "1a", "x").random() != stream(11, "a", "x").random()
    assert stream(1, "a", "bx").random() != stream(1, "ab", "x").random()


def test_draws_do_not_depend_on_the_hash_seed():
    code = "from twin.streams import stream; print(stream(7, 'house', 'bid').random())"
    seen = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT,
                       capture_output=True, text=True, check=True).stdout
        for seed in ("0", "1")
    }  # fmt: skip
    assert seen == {f"{stream(7, 'house', 'bid').random()}\n"}
