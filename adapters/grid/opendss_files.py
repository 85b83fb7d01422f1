"""What an OpenDSS file may do before OpenDSS reads it: include files of its own folder, and write nothing."""

import re
from pathlib import Path

from adapters.grid.errors import GridInputError

_INCLUDES = re.compile(
    r"^\s*(redirect|compile|buscoords|latlongcoords)\s+[\"'\[({]?([^\s\"'\])}]+)", re.IGNORECASE
)
_WRITES = re.compile(r"^\s*(export|save|dump|fileedit|cd|set\s+datapath)\b", re.IGNORECASE)


def check_includes(path: Path, root: Path, seen: set[Path]) -> None:
    """Refuse files outside the folder and commands that write; comments are skipped.

    Raises:
        GridInputError: naming file and line.
    """
    seen.add(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise GridInputError(f"grid file {path.name} cannot be read: {error}") from error
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path.name}:{number}"
        if _WRITES.match(line):
            raise GridInputError(
                f"{where}: {line.split()[0]!r} writes files or changes folders: remove the line."
            )
        found = _INCLUDES.match(line)
        if found is None:
            continue
        target = (path.parent / found.group(2).replace("\\", "/")).resolve()
        if not target.is_relative_to(root):
            raise GridInputError(f"{where}: {found.group(2)} lies outside the folder of the feeder.")
        if not target.is_file():
            raise GridInputError(f"{where}: {found.group(2)} does not exist.")
        if target not in seen and found.group(1).lower() in ("redirect", "compile"):
            check_includes(target, root, seen)
