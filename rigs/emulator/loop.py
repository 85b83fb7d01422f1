"""The event loop that devices run on.

asyncio's own wakes, reads and writes in Python and took most of a request's time: a bare protocol that answers without
looking cost as much as the whole server on uvloop does several times over (``python -m benchmarks rigs``).
"""

import asyncio
import sys
from collections.abc import Coroutine


def run(work: Coroutine[object, object, int]) -> int:
    """Run a process's work to its end. Returns its exit code. uvloop does not exist for Windows."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)
