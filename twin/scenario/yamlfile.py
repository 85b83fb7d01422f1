"""YAML files with line numbers and without surprises.

PyYAML itself reads YAML 1.1, in which ``NO`` is false, ``17:30`` is 1050 and ``010`` is 8. Here a plain
scalar is what YAML 1.2's core schema says, and what the two versions read differently is refused with what
to write instead.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from twin.scenario.keypath import KeyPath, render
from twin.scenario.problems import Problem, ScenarioError
from twin.scenario.secrets import ADVICE, redact
from twin.scenario.words import listed, nearest_word

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 50
STR_TAG, SEQ_TAG, MAP_TAG = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?")
_OCTAL_OR_HEX = re.compile(r"[-+]?(0[0-7_]+|0o[0-7]+|0x[0-9a-fA-F_]+|0b[01_]+)")
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?")
_TRUE, _FALSE = {"true", "True", "TRUE"}, {"false", "False", "FALSE"}
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL_IN_1_1 = {"yes", "no", "on", "off", "y", "n"}


class ScalarError(ValueError):
    """A plain scalar that means different things to different readers; the text says what to write."""


@dataclass(frozen=True)
class YamlFile:
    """A YAML mapping as plain data; ``lines`` maps every key path to its line."""

    path: Path
    tree: dict[str, Any]
    lines: Mapping[str, int]


def plain_scalar(text: str) -> Any:
    """Return the value of an unquoted scalar. Raises ``ScalarError`` where readers would differ."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text.lower() in _BOOL_IN_1_1:
        raise ScalarError(
            f'{text} is a truth value to some YAML readers; write true or false, or "{text}" for text'
        )
    if _SEXAGESIMAL.fullmatch(text):
        raise ScalarError(
            f'{text} is a number to base 60 to some YAML readers; write hours as 17.5, or "{text}"'
        )
    if _OCTAL_OR_HEX.fullmatch(text) and not _INT.fullmatch(text):
        if redact(text) != text:
            raise ScalarError(f"{redact(text)} is not read. {ADVICE}")
        raise ScalarError(
            f'{text} is read as octal or hexadecimal by some; write a decimal number, or "{text}"'
        )
    if _UNDERSCORED.fullmatch(text):
        raise ScalarError(f"{text} is a number to some YAML readers; write {text.replace('_', '')}")
    if _INT.fullmatch(text):
        return int(text)
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        raise ScalarError(f"{text} is not a finite number")
    return float(text) if _FLOAT.fullmatch(text) else text


def read_yaml(path: Path) -> YamlFile:
    """Read one YAML mapping. Raises ``ScenarioError`` with every problem of form that was found."""
    text = _decode(path, _read_bytes(path))
    try:
        if _too_deep(text):
            raise ScenarioError([Problem(str(path), None, "", "is nested too deeply")])
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        raise ScenarioError(_syntax_problems(path, text, error)) from None
    except yaml.YAMLError as error:
        detail = " ".join(f"is no YAML: {error}".split())
        raise ScenarioError([Problem(str(path), None, "", detail)]) from None
    if root is None:
        raise ScenarioError(
            [Problem(str(path), 1, "", "is empty", hint="`twin new NAME` writes a first scenario.")]
        )
    if not isinstance(root, yaml.MappingNode):
        got = "a list" if isinstance(root, yaml.SequenceNode) else f"only the text {root.value!r:.60}"
        raise ScenarioError([Problem(str(path), 1, "", "must hold keys and values ('key: value')", got=got)])
    reader = _Reader(path)
    tree = reader.value(root, ())
    if reader.problems:
        raise ScenarioError(reader.problems)
    return YamlFile(path, tree, reader.lines)


def read_value(text: str) -> Any:
    """Read one YAML value, as after ``--set key=``. Raises ``ValueError`` with what is wrong."""
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        raise ValueError("the value is no YAML; quote it") from None
    if root is None:
        return None
    reader = _Reader(Path())
    value = reader.value(root, ())
    if reader.problems:
        raise ValueError(reader.problems[0].message)
    return value


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ScenarioError(
                [Problem(str(path), None, "", f"is larger than {MAX_BYTES:,} bytes: not a scenario")]
            )
        return path.read_bytes()
    except FileNotFoundError:
        folder = path.parent
        files = sorted(str(p) for p in folder.glob("*.yaml")) if folder.is_dir() else []
        near = nearest_word(path.stem, [Path(f).stem for f in files])
        hint = f"Did you mean {folder / near}.yaml?" if near is not None else ""
        if not hint and files:
            hint = f"That folder holds {listed(files[:8])}."
        problem = Problem(str(path), None, "", "there is no such file", hint=hint)
        raise ScenarioError([problem]) from None
    except IsADirectoryError:
        raise ScenarioError([Problem(str(path), None, "", "is a folder, not a scenario file")]) from None
    except OSError as error:
        raise ScenarioError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from None


def _decode(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        got = f"byte 0x{data[error.start]:02x}"
        raise ScenarioError(
            [Problem(str(path), line, "", "is not UTF-8; save it as UTF-8", got=got)]
        ) from None


def _syntax_problems(path: Path, text: str, error: yaml.MarkedYAMLError) -> list[Problem]:
    tabs = [
        n for n, line in enumerate(text.splitlines(), 1) if "\t" in line[: len(line) - len(line.lstrip())]
    ]
    if tabs and "'\\t'" in str(error):
        return [Problem(str(path), n, "", "is indented with a tab; YAML wants spaces") for n in tabs]
    mark = error.problem_mark or error.context_mark
    detail = " ".join(part for part in (error.context, error.problem) if part)
    hint = "Write one scenario per file." if "single document" in detail else ""
    return [Problem(str(path), mark.line + 1 if mark else None, "", f"is no valid YAML: {detail}", hint=hint)]


def _too_deep(text: str) -> bool:
    """Whether collections nest far beyond any scenario; seen in the events, which no recursion limit cuts short."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > 4 * MAX_DEPTH:
            return True
    return False


@dataclass
class _Reader:
    """Turns YAML nodes into plain data, noting lines and collecting problems."""

    path: Path
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            what = (
                f"more than {MAX_NODES:,} values (aliases counted)"
                if self.nodes > MAX_NODES
                else "too much nesting"
            )
            raise ScenarioError(
                [*self.problems, Problem(str(self.path), node.start_mark.line + 1, "", f"holds {what}")]
            )
        if isinstance(node, yaml.CollectionNode) and node.tag not in {MAP_TAG, SEQ_TAG}:
            return self._problem(node, path, f"tags such as {node.tag} are not read; write the plain value")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._located(item, (*path, n)) for n, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _located(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines[render(path)] = node.start_mark.line + 1
        return self.value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key must be a single word")
                continue
            key, here = key_node.value, (*path, key_node.value)
            if key == "<<":
                self._problem(
                    key_node, path, "merge keys (<<) are not read; write the keys out, or use variants"
                )
            elif key in result:
                self._problem(key_node, here, f"is given twice, first in line {self.lines[render(here)]}")
            else:
                self.lines[render(here)] = key_node.start_mark.line + 1
                result[key] = self.value(value_node, here)
        return result

    def _scalar(self, node: Any, path: KeyPath) -> Any:
        if node.tag != STR_TAG:
            return self._problem(node, path, f"tags such as {node.tag} are not read; write the plain value")
        if node.style is not None:
            return node.value
        try:
            return plain_scalar(node.value)
        except ScalarError as error:
            return self._problem(node, path, str(error))

    def _problem(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(str(self.path), node.start_mark.line + 1, render(path), message))
