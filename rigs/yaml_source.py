"""YAML with the line of every key, so that a problem can be shown where it stands; duplicate keys are
problems.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

KeyPath = tuple[str | int, ...]


@dataclass
class YamlSource:
    """A parsed file: plain data, the line of every key path, and what was wrong already while parsing."""

    path: Path
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def problem(self, where: KeyPath, text: str) -> str:
        """Return ``file:line: key.path: text``; the line is that of the nearest key that exists."""
        known = where
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in where).lstrip(".")
        return f"{self.path.name}:{line}: {dotted + ': ' if dotted else ''}{text}"


def read_yaml(path: Path) -> YamlSource:
    """Read a file; never raises for its contents (see ``problems``)."""
    source = YamlSource(path)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        source.problems.append(f"{path.name}: cannot be read ({error.strerror})")
        return source
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        source.problems.append(f"{path.name}:{line}: not YAML: {getattr(error, 'problem', None) or error}")
        return source
    source.data = _plain(node, (), source) if node is not None else {}
    return source


def _plain(node: yaml.Node, where: KeyPath, source: YamlSource) -> Any:
    source.lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            inner = (*where, str(key))
            if key in result:
                first = source.lines[inner]
                line = key_node.start_mark.line + 1
                dotted = ".".join(map(str, inner))
                source.problems.append(
                    f"{source.path.name}:{line}: {dotted}: given twice (first in line {first})"
                )
                continue
            source.lines[inner] = key_node.start_mark.line + 1
            result[key] = _plain(value_node, inner, source)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*where, i), source) for i, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def describe(source: YamlSource, error: ValidationError, known: dict[KeyPath, list[str]]) -> list[str]:
    """Return one line per pydantic error; ``known`` maps a model's title path to its keys, for
    suggestions."""
    problems = []
    for item in error.errors():
        where = tuple(p for p in item["loc"] if not str(p).startswith("function-"))
        if item["type"] == "extra_forbidden":
            keys = known.get(tuple("*" if i == 1 else p for i, p in enumerate(where[:-1])), [])
            near = get_close_matches(str(where[-1]), keys, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(keys)}"
            problems.append(source.problem(where, "unknown key" + hint))
            continue
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "missing":
            problems.append(source.problem(where, "is missing"))
        elif isinstance(item["input"], dict):
            problems.append(source.problem(where, text))
        else:
            problems.append(source.problem(where, f"{text}, got {item['input']!r}"))
    return problems
