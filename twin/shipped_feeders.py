"""Feeders and their profiles, loaded and solved; those that ship with a library only once in a process.

A study calls ``run`` many times on one feeder, and reading it takes longer than a short run. What a library ships does
not change meanwhile; a file may, so it is read every time. Variants of a scenario share a feeder in the same way: no
engine changes a feeder or its net.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.grid.feeder import Feeder

if TYPE_CHECKING:
    from adapters.grid.compare import EngineComparison
    from adapters.grid.profiles import ProfileTable

_LIBRARIES = ("simbench:", "pandapower:")
_KEPT = 4


def compared_feeder(source: str, home: Path, every: bool) -> "tuple[Feeder, EngineComparison]":
    """A feeder and how far its engines agree on it.

    Args:
        source: as ``adapters.grid.source.load_feeder`` takes it.
        home: folder that a relative file name starts from.
        every: compare OpenDSS as well, see ``compare_engines``.

    Raises:
        GridError: as ``load_feeder`` and ``compare_engines`` raise it.
    """
    if source.startswith(_LIBRARIES):
        return _shipped(source), _comparison(source, every)
    from adapters.grid.compare import compare_engines
    from adapters.grid.source import load_feeder

    feeder = load_feeder(source, home)
    return feeder, compare_engines(feeder, every=every)


def feeder_profiles(feeder: Feeder) -> "ProfileTable | None":
    """The profiles that a feeder brings along; None where it has none.

    Raises:
        GridError: as ``case_profiles`` raises it.
    """
    if feeder.source.startswith(_LIBRARIES):
        return _profiles(feeder.source)
    from adapters.grid.profiles import case_profiles

    return case_profiles(feeder)


def forget() -> None:
    """Read everything anew from now on."""
    for kept in (_shipped, _comparison, _profiles):
        kept.cache_clear()


@lru_cache(maxsize=_KEPT)
def _shipped(source: str) -> Feeder:
    from adapters.grid.source import load_feeder

    return load_feeder(source, Path())


@lru_cache(maxsize=2 * _KEPT)
def _comparison(source: str, every: bool) -> "EngineComparison":
    from adapters.grid.compare import compare_engines

    return compare_engines(_shipped(source), every=every)


@lru_cache(maxsize=_KEPT)
def _profiles(source: str) -> "ProfileTable | None":
    from adapters.grid.profiles import case_profiles

    return case_profiles(_shipped(source))
