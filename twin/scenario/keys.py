"""Every key a scenario may have, with what is allowed: from the schema, for messages and the reference."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from twin.scenario.keypath import KeyPath, child
from twin.scenario.schema import Scenario
from twin.scenario.words import listed

Node = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """One key. In its path ``[]`` stands for any item and ``<name>`` for any name."""

    path: str
    allowed: str
    default: str
    description: str
    section: bool = False


@cache
def json_schema() -> Node:
    """Return the JSON Schema of a scenario file, for editors."""
    schema = _numbers(Scenario.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "p2p-grid-twin scenario",
    }


def _numbers(node: Any) -> Any:
    """Write the defaults of prices as numbers (pydantic writes decimals as text)."""
    if isinstance(node, dict):
        node = {key: _numbers(value) for key, value in node.items()}
        if node.get("type") == "number" and isinstance(node.get("default"), str):
            node["default"] = float(node["default"])
        return node
    return [_numbers(item) for item in node] if isinstance(node, list) else node


def _resolve(node: Node) -> Node:
    while "$ref" in node:
        target = json_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def _choices(node: Node) -> list[Node]:
    """Return the alternatives of a node, resolved, without 'null'."""
    node = _resolve(node)
    found = node.get("anyOf") or node.get("oneOf")
    if not found:
        return [node]
    return [c for option in found for c in _choices(option) if c.get("type") != "null"]


def node_at(path: KeyPath, tree: Any = None) -> Node | None:
    """Return the schema of what the path names, ``None`` for an unknown key.

    ``tree`` is the scenario, which decides (by ``kind``) between the sorts of assets.
    """
    node: Node | None = json_schema()
    data = tree
    for part in path:
        data = child(data, part)
        node = _below(node, part) if node is not None else None
        if node is not None:
            node = _by_kind(node, data)
    return node


def _below(node: Node, part: str | int) -> Node | None:
    for choice in _choices(node):
        if isinstance(part, int) and "items" in choice:
            return _resolve(choice["items"])
        if isinstance(part, str) and part in choice.get("properties", {}):
            return _resolve(choice["properties"][part])
        if isinstance(part, str) and (named := _named(choice)) is not None:
            return _resolve(named)
    return None


def _named(node: Node) -> Node | None:
    """Return the schema of the values of a section with free names."""
    for named in [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]:
        if isinstance(named, dict):
            return named
    return None


def _by_kind(node: Node, data: Any) -> Node:
    mapping = node.get("discriminator", {}).get("mapping", {})
    kind = data.get("kind") if isinstance(data, dict) else None
    return _resolve({"$ref": mapping[kind]}) if isinstance(kind, str) and kind in mapping else node


def known_keys(path: KeyPath, tree: Any) -> list[str]:
    """Return the keys that the section at the path may have."""
    node = node_at(path, tree)
    return [key for choice in _choices(node or {}) for key in choice.get("properties", {})]


def is_section(path: KeyPath, tree: Any = None) -> bool:
    """Return whether the path names a section of fixed keys (an item of a list is none)."""
    return bool(path) and isinstance(path[-1], str) and bool(known_keys(path, tree))


def allowed_at(path: KeyPath, tree: Any = None) -> str:
    """Return in words what may stand at the path, nothing for an unknown key."""
    node = node_at(path, tree)
    return allowed(node) if node is not None else ""


def allowed(node: Node) -> str:
    """Return in words what a schema node allows."""
    words = dict.fromkeys(_one(choice) for choice in _choices(node))
    kinds = node.get("discriminator", {}).get("mapping")
    if kinds:
        return f"a section with kind: {listed(kinds, 'or')}"
    return listed(words, "or")


def _one(node: Node) -> str:
    if "words" in node:
        return str(node["words"])
    if "const" in node or "enum" in node:
        return listed((str(v) for v in node.get("enum", [node.get("const")])), "or")
    kind = node.get("type")
    if kind in {"number", "integer"}:
        return f"a {'whole ' if kind == 'integer' else ''}number{_range(node)}"
    if kind == "array":
        item = allowed(node["items"]) if "items" in node else "anything"
        return "a list of names" if item == "text" else f"a list, each item {item}"
    if kind == "object":
        return "a section" if "properties" in node else "a section of names"
    words = {"boolean": "true or false", "string": "text"}
    if node.get("format") == "date-time":
        return "a date and time with its time zone, such as 2016-01-18T12:00:00+01:00"
    return words.get(str(kind), "anything")


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.15g}"


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    parts = []
    if low is not None:
        parts.append(f"from {_plain(low)}")
    if above is not None:
        parts.append(f"above {_plain(above)}")
    if high is not None:
        parts.append(f"to {_plain(high)}" if low is not None else f"up to {_plain(high)}")
    if below is not None:
        parts.append(f"below {_plain(below)}")
    joint = " and " if above is not None or below is not None else " "
    return f" {joint.join(parts)}" if parts else ""


def all_keys() -> Iterator[Key]:
    """Yield every key of the schema in its order, sections before what they hold."""
    yield from _walk("", json_schema())


def _walk(prefix: str, node: Node) -> Iterator[Key]:
    required = set(node.get("required", []))
    for name, raw in node.get("properties", {}).items():
        field = _resolve(raw)
        path = f"{prefix}.{name}" if prefix else name
        sections = _subsections(path, field)
        default = "required" if name in required else "" if sections else _default(field.get("default"))
        yield Key(path, allowed(field), default, field.get("description", ""), bool(sections))
        for inner_prefix, inner in sections:
            yield from _walk(inner_prefix, inner)


def _subsections(path: str, field: Node) -> list[tuple[str, Node]]:
    found: list[tuple[str, Node]] = []
    for choice in _choices(field):
        if "properties" in choice:
            found.append((path, choice))
        for below, suffix in ((choice.get("items"), "[]"), (_named(choice), ".<name>")):
            if isinstance(below, dict):
                inner = _resolve(below)
                kinds = inner.get("discriminator", {}).get("mapping", {})
                for kind, ref in kinds.items():
                    found.append((f"{path}{suffix} ({kind})", _resolve({"$ref": ref})))
                if not kinds and "properties" in inner:
                    found.append((f"{path}{suffix}", inner))
    return found


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)
