"""The event loop that devices run on: uvloop, as asyncio's own took four fifths of a request's time."""

import asyncio
import sys
from collections.abc import Coroutine


def run(work: Coroutine[object, object, int]) -> int:
    """Run a process's work to its end. Returns its exit code. uvloop does not exist for Windows."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)
