"""Key paths: text such as ``participants.assets[0].p_max_w``, and the tuple of its parts."""

import re
from typing import Any

KeyPath = tuple[str | int, ...]

_PART = re.compile(r"(?P<name>[^\[\].]+)(?P<indices>(\[\d+\])*)")


def render(path: KeyPath) -> str:
    """Return the path as text."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: str) -> KeyPath:
    """Return the text as a path. Raises ``ValueError`` where it is none; the empty text is the whole file."""
    path: list[str | int] = []
    for part in text.split(".") if text else []:
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{text!r} is no key path; write for example participants.assets[0].p_max_w")
        path.append(match["name"])
        path += [int(i) for i in re.findall(r"\d+", match["indices"])]
    return tuple(path)


def canonical(path: KeyPath, tree: Any) -> KeyPath:
    """Turn ``assets.0`` into ``assets[0]`` where the tree holds a list (shells dislike brackets)."""
    result: list[str | int] = []
    node = tree
    for part in path:
        if isinstance(node, list) and isinstance(part, str) and part.isdigit():
            part = int(part)  # noqa: PLW2901
        result.append(part)
        node = child(node, part)
    return tuple(result)


def child(node: Any, part: str | int) -> Any:
    """Return what lies at one part below the node, ``None`` where there is nothing."""
    if isinstance(node, dict):
        return node.get(part)
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        return node[part]
    return None
