"""From exceptions to exit codes and readable texts: no traceback reaches a user for wrong input."""

import errno
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from twin.errors import TwinError

WRONG_INPUT = 2
ABORTED = 4

CODES = {
    "adapters.export.errors.FolderExistsError": WRONG_INPUT,
    "adapters.grid.errors.GridError": WRONG_INPUT,
    "market.errors.ParameterError": WRONG_INPUT,
    "rigs.errors.BenchFileError": WRONG_INPUT,
    "adapters.chain.errors.ChainInputError": WRONG_INPUT,
    "rigs.errors.RigError": ABORTED,
    "adapters.chain.errors.ChainError": ABORTED,
    "adapters.modbus.errors.ModbusError": ABORTED,
    "twin.results.RunFolderError": WRONG_INPUT,
}
"""Errors of the other packages, by name so that naming them imports nothing; the nearest base counts."""


DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG}
"""What a disk may answer without anything being wrong in the program."""


def code_of(error: BaseException) -> int | None:
    """Return the exit code of an expected error, ``None`` for one that nobody expects."""
    if isinstance(error, OSError) and error.errno in DISK:
        return ABORTED
    if isinstance(error, TwinError):
        return error.exit_code
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((CODES[name] for name in names if name in CODES), None)


def guarded(execute: Callable[[], int], as_json: bool = False) -> int:
    """Run a command; turn what it raises into a text on stderr and an exit code."""
    try:
        code = execute()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _say("Interrupted. What was finished can be read.", as_json, ABORTED)
        return ABORTED
    except BrokenPipeError:
        _close_stdout()
        return 0
    except Exception as error:
        expected = code_of(error)
        if expected is None:
            _say(
                f"{_first_line(error)}\nThe traceback is in {_keep_traceback(error)}.",
                as_json,
                ABORTED,
                error,
            )
            return ABORTED
        _say(str(error), as_json, expected, error)
        return expected
    return code


def _say(text: str, as_json: bool, code: int, error: Exception | None = None) -> None:
    if as_json:
        problems = [p.as_dict() for p in getattr(error, "problems", ()) if hasattr(p, "as_dict")]
        sys.stdout.write(json.dumps({"exit_code": code, "error": text, "problems": problems}) + "\n")
    sys.stderr.write(f"twin: {text}\n")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"an error nobody expected: {type(error).__name__}: {text[0] if text else ''}".rstrip(": ")


def _keep_traceback(error: Exception) -> Path:
    handle, name = tempfile.mkstemp(prefix="twin-error-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    return Path(name)


def _close_stdout() -> None:
    """Whoever read our output has left (``| head``): keep Python from complaining at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
