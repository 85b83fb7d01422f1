"""From what pydantic says to what an author can act on: key, what was got, what is allowed, what to do."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from twin.scenario.keypath import KeyPath, child, parse, render
from twin.scenario.keys import all_keys, allowed_at, known_keys, node_at
from twin.scenario.quantity import suggestion
from twin.scenario.schema import Scenario
from twin.scenario.words import listed, nearest_word, shown

ROUNDS = 5
_PLACEHOLDERS = {
    "name": "x",
    "start": "2016-01-01T00:00:00+00:00",
    "duration_days": 1,
    "seed": 0,
    "source": "x",
    "kpi": "x",
}
_STAND_INS = {"grid": {"source": "x"}}


@dataclass(frozen=True)
class Finding:
    """A problem that is not yet located in a file."""

    path: KeyPath
    message: str
    got: str = ""
    allowed: str = ""
    hint: str = ""
    value_rule: bool = False
    section: KeyPath = ()


def validate(tree: dict[str, Any]) -> tuple[Scenario | None, list[Finding]]:
    """Return the scenario, or ``None`` and everything that is wrong with it.

    Rules between keys are checked only where each key is right by itself, so wrong keys are taken out and the
    rest is checked again, until nothing new is found.
    """
    scenario, findings = _once(tree)
    rest, touched = deepcopy(tree), set[KeyPath]()
    latest = findings
    for _ in range(ROUNDS):
        if not latest:
            break
        for finding in latest:
            _take_out(rest, finding)
            touched.add(finding.path)
        _, latest = _once(rest)
        findings += [f for f in latest if f.value_rule and not any(_within(t, f.section) for t in touched)]
    return scenario, findings


def _within(path: KeyPath, section: KeyPath) -> bool:
    return bool(section) and path[: len(section)] == section


def _once(tree: dict[str, Any]) -> tuple[Scenario | None, list[Finding]]:
    try:
        return Scenario.model_validate(tree), []
    except ValidationError as error:
        return None, list(_findings(error, tree))


def _findings(error: ValidationError, tree: dict[str, Any]) -> Iterator[Finding]:
    items: dict[KeyPath, list[Any]] = {}
    for item in error.errors(include_url=False):
        path, branched = _real_path(item["loc"], tree, item["type"])
        items.setdefault(path, []).append((item, branched))
    for path, found in items.items():
        deeper = any(p[: len(path)] == path != p for p in items)
        if deeper and all(branched for _, branched in found):
            continue  # another branch of the union fits but for something inside it
        kind = "branch" if len(found) > 1 and all(branched for _, branched in found) else found[0][0]["type"]
        yield _finding(kind, path, found[0][0], tree)


def _real_path(loc: tuple[str | int, ...], tree: Any, kind: str) -> tuple[KeyPath, bool]:
    """Drop from pydantic's location what is no key: the names of union branches, and ``[key]`` marks."""
    path: list[str | int] = []
    node, branched = tree, False
    for n, part in enumerate(loc):
        last = n == len(loc) - 1
        if part == "[key]":
            continue
        tag = isinstance(node, dict) and node.get("kind") == part and bool(path) and isinstance(path[-1], int)
        if tag and part not in node:
            continue
        known = child(node, part) is not None or (isinstance(node, dict) and part in node)
        if (
            not known
            and not (last and kind == "missing")
            and not (isinstance(node, list) and isinstance(part, int))
        ):
            branched = True
            continue
        path.append(part)
        node = child(node, part)
    return tuple(path), branched


def _finding(kind: str, path: KeyPath, item: Any, tree: Any) -> Finding:
    got, may = shown(item["input"]), allowed_at(path, tree)
    if kind == "missing":
        return _missing(path, tree)
    if kind == "extra_forbidden":
        return _unknown(path, item["input"], tree)
    if kind == "value_error":
        return _rule(path, item["msg"].removeprefix("Value error, "), tree)
    if kind == "string_pattern_mismatch" and "[key]" in item["loc"]:
        may = "lower-case letters, digits, - and _, beginning with a letter or a digit"
        return Finding(path, "is no name that a folder may have", got=repr(path[-1]), allowed=may)
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return _no_kind(path, item, tree)
    if kind == "timezone_aware" and isinstance(item["input"], str):
        when = str(item["input"]) if "T" in str(item["input"]) else f"{item['input']}T00:00:00"
        return Finding(
            path, "has no time zone", got=got, hint=f"Write {when}+01:00 for central European winter time."
        )
    return _wrong_value(kind, path, item, tree, got, may)


def _wrong_value(kind: str, path: KeyPath, item: Any, tree: Any, got: str, may: str) -> Finding:
    value = child_at(tree, path)
    if kind == "branch":
        got = shown(value)
    if value is None:
        hint = (
            "Fill it in, or leave the key out."
            if not may.startswith("a section")
            else "Leave the empty section out."
        )
        return Finding(path, "is empty", allowed=may, hint=hint)
    message = _MESSAGES.get("too_short" if value == [] and kind == "branch" else kind, "is wrong")
    if kind.startswith(("greater", "less")):
        message = "is too small" if kind.startswith("greater") else "is too large"
    if kind == "string_pattern_mismatch":
        may = node_at(path, tree).get("description", may) if node_at(path, tree) else may  # type: ignore[union-attr]
    hint = ""
    if isinstance(value, str):
        hint = suggestion(str(path[-1]) if path else "", value, may)
        choices = _choices(path, tree)
        word = nearest_word(value, choices) if choices else None
        hint = f"Did you mean {word}?" if word is not None else hint
    if isinstance(value, bool) and "true" not in may:
        hint = hint or "Numbers and words stand without true or false."
    return Finding(path, message, got, may, hint)


def _rule(path: KeyPath, text: str, tree: Any) -> Finding:
    """Point a broken rule between keys to the key it begins with, where the file holds that key."""
    match = _RULE.fullmatch(text)
    if match is not None:
        key = (*path, *parse(match["key"]))
        if child_at(tree, key) is not None:
            return Finding(key, match["rest"], match["got"] or "", value_rule=True, section=path)
    return Finding(path, text, value_rule=True, section=path)


_RULE = re.compile(r"(?P<key>[a-z_.]+) (\((?P<got>[^)]*)\) )?(?P<rest>.*)", re.DOTALL)

_MESSAGES = {
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a section",
    "model_type": "must be a section",
    "model_attributes_type": "must be a section",
    "decimal_type": "must be a price",
    "decimal_parsing": "must be a price",
    "decimal_max_places": "has more than 6 decimals; money is counted in millionths",
    "decimal_max_digits": "has too many digits",
    "decimal_whole_digits": "has too many digits",
    "finite_number": "must be a finite number",
    "literal_error": "is none of the known words",
    "string_pattern_mismatch": "does not have the right form",
    "timezone_aware": "must be a date and time",
    "datetime_type": "must be a date and time",
    "datetime_parsing": "must be a date and time",
    "datetime_from_date_parsing": "must be a date and time",
    "too_short": "must not be empty",
    "branch": "is not allowed here",
}


def _choices(path: KeyPath, tree: Any) -> list[str]:
    node = node_at(path, tree) or {}
    options = node.get("anyOf", [node])
    return [str(v) for o in options for v in o.get("enum", [o["const"]] if "const" in o else [])]


def child_at(tree: Any, path: KeyPath) -> Any:
    """Return what lies at the path, ``None`` where there is nothing."""
    for part in path:
        tree = child(tree, part)
    return tree


def _missing(path: KeyPath, tree: Any) -> Finding:
    may = allowed_at(path, tree)
    description = (node_at(path, tree) or {}).get("description", "")
    return Finding(path, "is missing", allowed=may, hint=description)


def _unknown(path: KeyPath, value: Any, tree: Any) -> Finding:
    key, section = str(path[-1]), path[:-1]
    known = known_keys(section, tree)
    present = child_at(tree, section)
    word = nearest_word(key, known)
    if word is None or not word.lower().startswith(key.lower()):  # else only the unit was left out
        free = [k for k in known if not isinstance(present, dict) or k not in present]
        word = nearest_word(key, free) or word
    if word is not None:
        return Finding(path, "is no known key", hint=f"Did you mean {render((*section, word))}?")
    elsewhere = [k.path for k in all_keys() if k.path.rsplit(".", 1)[-1] == key]
    hint = f"There is {elsewhere[0]}." if elsewhere else f"Known here: {listed(known)}."
    return Finding(path, "is no known key", hint=hint)


def _no_kind(path: KeyPath, item: Any, tree: Any) -> Finding:
    node = node_at(path, tree) or {}
    kinds = list(node.get("discriminator", {}).get("mapping", {}))
    if item["type"] == "union_tag_not_found":
        return Finding((*path, "kind"), "is missing", allowed=listed(kinds, "or"))
    kind = child_at(tree, (*path, "kind"))
    word = nearest_word(str(kind), kinds)
    hint = f"Did you mean {word}?" if word is not None else ""
    return Finding((*path, "kind"), "is none of the known words", shown(kind), listed(kinds, "or"), hint)


def _take_out(tree: Any, finding: Finding) -> None:
    """Remove what is wrong, or put in something valid where a key is required."""
    if not finding.path:
        return
    *section, key = finding.path
    parent = child_at(tree, tuple(section))
    if isinstance(parent, list) and isinstance(key, int) and key < len(parent):
        parent[key] = _neutral(parent[key])
    elif isinstance(parent, dict):
        parent.pop(key, None)
        if key == "kind":
            _take_out(tree, Finding(tuple(section), ""))
        elif key in _STAND_INS:
            parent[key] = dict(_STAND_INS[str(key)])
        elif key in _PLACEHOLDERS and finding.message != "is no known key":
            parent[key] = _PLACEHOLDERS[str(key)]


def _neutral(item: Any) -> Any:
    """Return an item that is right in the scenario's lists: an asset nobody gets, an expectation, a name."""
    if isinstance(item, dict) and "kpi" in item:
        return {"kpi": "x", "min": 0}
    if isinstance(item, dict) and "target" in item:
        return {"target": "x", "kind": "mute"}
    return "x" if isinstance(item, str) else {"kind": "pv", "count": 0}
