"""What an OpenDSS file may do before OpenDSS reads it: read files of its own folder, and write nothing."""

import re
from pathlib import Path

from adapters.grid.errors import GridInputError

_INCLUDES = ("redirect", "compile", "buscoords", "latlongcoords")
_WRITES = ("export", "save", "show", "dump", "fileedit", "cd", "plot", "visualize", "doscmd")
_COMMAND = re.compile(r"^\s*[\"'\[({]?\s*([a-z_]+)[\"'\])}]?(.*)$", re.IGNORECASE)
_TARGET = re.compile(r"^\s*(?:\w+\s*=\s*)?(?:\"([^\"]+)\"|'([^']+)'|[\[({]?([^\s\"'\])}]+))")
_DATA = re.compile(
    r"\b(?:file|\w*file|\w*csv\w*|sng\w*|dbl\w*)\s*=\s*(?:\"([^\"]+)\"|'([^']+)'|[\[({]*\s*([^\s\"'\])},|]+))",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"(\"[^\"]*\"|'[^']*')|!.*$")
_DATA_PATH = re.compile(r"\bdatap\w*\s*=", re.IGNORECASE)


def check_includes(path: Path, root: Path, seen: set[Path]) -> None:
    """Refuse files outside the folder and commands that write; comments are skipped.

    OpenDSS takes commands by their first letters (``redir``, ``exp``), so these are looked for here as well.
    ``seen`` becomes all files that are read as commands.

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
        found = _COMMAND.match(_COMMENT.sub(lambda m: m[1] or "", line))
        if found is None:
            continue
        where, word, rest = f"{path.name}:{number}", found[1].lower(), found[2]
        if _is_one_of(word, _WRITES) or (word == "set" and _DATA_PATH.search(rest)):
            raise GridInputError(f"{where}: {found[1]!r} writes files or changes folders: remove the line.")
        for data in _DATA.finditer(rest):
            _inside(next(filter(None, data.groups())), path, root, where)
        target = _TARGET.match(rest) if _is_one_of(word, _INCLUDES) else None
        if target is None:
            continue
        name = next(filter(None, target.groups()))
        file = _inside(name, path, root, where)
        if not file.is_file():
            raise GridInputError(f"{where}: {name} does not exist.")
        if file not in seen and _is_one_of(word, _INCLUDES[:2]):
            check_includes(file, root, seen)


def where_defined(name: str, files: set[Path]) -> str:
    """File and line that make an element such as ``Load.x``; empty where none does by that name."""
    pattern = re.compile(rf"^\s*new\s+(?:object\s*=\s*)?[\"']?{re.escape(name)}[\"']?(?:\s|$)", re.IGNORECASE)
    for path in sorted(files):
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        ):
            if pattern.match(line):
                return f"{path.name}:{number}: "
    return ""


def _is_one_of(word: str, commands: tuple[str, ...]) -> bool:
    """Whether a word is one of the commands or begins one; two letters at least, or it is another's."""
    return word in commands or (len(word) > 1 and any(command.startswith(word) for command in commands))


def _inside(name: str, path: Path, root: Path, where: str) -> Path:
    target = (path.parent / name.replace("\\", "/")).resolve()
    if not target.is_relative_to(root):
        raise GridInputError(f"{where}: {name} lies outside the folder of the feeder.")
    return target
