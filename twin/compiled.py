"""Compiled code on disk that its sources have outrun.

numba keeps what it compiled beside the source and notices a change of the file that holds a function, but not of
the files whose functions it calls. After an update of the market core a cached caller would go on computing with the
old formula, without a word. So the cache is dropped whenever any source of the market core differs.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
STAMP = "sources.sha256"
CALLERS = ("market", "benchmarks")
"""Folders with compiled functions that call the market core's."""


def drop_stale_code(project: Path = PROJECT) -> bool:
    """Drop compiled code where the market core's sources are not those it was compiled from.

    Args:
        project: the folder that holds ``market``.

    Returns:
        Whether code was dropped. A folder that cannot be written is left alone: numba's cache is elsewhere then.
    """
    sources = sorted((project / "market").glob("*.py"))
    digest = hashlib.sha256(repr(CALLERS).encode() + b"".join(p.read_bytes() for p in sources)).hexdigest()
    stamp = project / "market" / "__pycache__" / STAMP
    with suppress(OSError):
        if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
            return False
        for folder in CALLERS:
            for compiled in (project / folder / "__pycache__").glob("*.nb[ic]"):
                compiled.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(digest, encoding="ascii")
        return True
    return False
