"""Overrides of a scenario's keys: ``--set key.path=value`` and the ``set`` of a variant."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from twin.scenario.keypath import KeyPath, canonical, parse, render
from twin.scenario.keys import is_section
from twin.scenario.words import shown
from twin.scenario.yamlfile import read_value

SHARED = ("name", "start", "duration_days", "interval_s", "seed", "currency", "variants")
"""Keys a variant may not override: variants are compared interval by interval, on the same random numbers."""


@dataclass(frozen=True)
class Override:
    """One key path and its new value."""

    path: KeyPath
    value: Any


@dataclass(frozen=True)
class Refused:
    """An override that cannot be applied, and why."""

    path: KeyPath
    message: str
    hint: str = ""


def parse_override(text: str) -> Override:
    """Read ``key.path=value``. Raises ``ValueError`` saying what to write."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError("write --set key.path=value, for example --set duration_days=1")
    return Override(parse(key.strip()), read_value(value))


def apply(tree: dict[str, Any], overrides: Sequence[Override]) -> tuple[dict[str, Any], list[Refused]]:
    """Return a copy of the tree with the overrides applied, and those that could not be."""
    result = deepcopy(tree)
    refused: list[Refused] = []
    for override in overrides:
        path = _variant_aware(override.path)
        if len(path) == len(override.path):
            path = canonical(path, result)
        problem = _put(result, path, override.value)
        if problem is not None:
            refused.append(problem)
    return result, refused


def _variant_aware(path: KeyPath) -> KeyPath:
    """Join what follows ``variants.<name>.set``: a variant's overrides are one key each."""
    if len(path) > 3 and path[0] == "variants" and path[2] == "set":
        return (*path[:3], render(path[3:]))
    return path


def _put(tree: dict[str, Any], path: KeyPath, value: Any) -> Refused | None:
    node: Any = tree
    for n, part in enumerate(path[:-1]):
        if isinstance(node, dict) and isinstance(part, str) and node.get(part) is None:
            if isinstance(path[n + 1], int):
                return Refused(path, f"{render(path[: n + 1])} has no items")
            node[part] = {}
        node, problem = _step(node, part, path[: n + 1])
        if problem is not None:
            return problem
    if isinstance(value, dict) and value and is_section(path, tree):
        inner = next(iter(value))
        hint = f"Write one key per line: '{render((*path, inner))}: {shown(value[inner])}'."
        return Refused(path, "is a section and cannot be replaced whole", hint)
    _, problem = _step(node, path[-1], path, last=True)
    if problem is not None:
        return problem
    node[path[-1]] = deepcopy(value)
    return None


def _step(node: Any, part: str | int, path: KeyPath, last: bool = False) -> tuple[Any, Refused | None]:
    parent = render(path[:-1])
    if isinstance(node, dict):
        if isinstance(part, int):
            return None, Refused(path, f"{parent or 'the file'} is a section, not a list")
        return node.get(part), None
    if isinstance(node, list):
        if not isinstance(part, int):
            return None, Refused(path, f"{parent} is a list", f"Write {parent}[0] for its first item.")
        if part >= len(node):
            return None, Refused(path, f"{parent} has only {len(node)} items, counted from 0")
        return (None if last else node[part]), None
    return None, Refused(path, f"{parent} is a value ({shown(node)}), not a section")


def variant_overrides(tree: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each variant's name and its ``set``, as far as they have the form of one."""
    variants = tree.get("variants")
    for name, variant in variants.items() if isinstance(variants, dict) else ():
        given = variant.get("set", {}) if isinstance(variant, dict) else {}
        yield name, given if isinstance(given, dict) else {}


def without_effect(tree: dict[str, Any], overrides: Sequence[Override]) -> Iterator[Override]:
    """Yield the overrides that no run would see, because every variant sets the key itself."""
    per_variant = [[parse_or_empty(key) for key in given] for _, given in variant_overrides(tree)]
    for override in overrides:
        path = canonical(override.path, tree)
        hidden = [any(p and path[: len(p)] == canonical(p, tree) for p in paths) for paths in per_variant]
        if hidden and all(hidden):
            yield override


def parse_or_empty(key: str) -> KeyPath:
    """Return the key as a path, the empty path where it is none (reported elsewhere)."""
    try:
        return parse(key)
    except ValueError:
        return ()
