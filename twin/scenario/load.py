"""Loading a scenario file: read, apply overrides, resolve variants, report every problem at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin.scenario.explain import Finding, validate
from twin.scenario.keypath import KeyPath, canonical, parse, render
from twin.scenario.overrides import (
    SHARED,
    Override,
    Refused,
    apply,
    parse_override,
    variant_overrides,
    without_effect,
)
from twin.scenario.problems import Problem, ScenarioError
from twin.scenario.schema import Scenario
from twin.scenario.secrets import ADVICE, find_secrets, redact
from twin.scenario.yamlfile import read_yaml

COMMAND_LINE = "command line"
MAIN = "main"
"""Name of the only run of a scenario without variants."""


@dataclass(frozen=True)
class Origin:
    """Where each key came from: the file and its lines, or the command line."""

    file: str
    lines: Mapping[str, int]
    overridden: frozenset[str] = frozenset()

    def problem(
        self, path: KeyPath, message: str, got: str = "", allowed: str = "", hint: str = ""
    ) -> Problem:
        """Make a problem that points to the key, or to the nearest section around it that is in the file."""
        prefixes = [render(path[:n]) for n in range(len(path), 0, -1)]
        if any(p in self.overridden for p in prefixes):
            return Problem(COMMAND_LINE, None, render(path), message, got, allowed, hint)
        line = next((self.lines[p] for p in prefixes if p in self.lines), None)
        return Problem(self.file, line, render(path), message, got, allowed, hint)


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario as it will run: overrides applied, every variant resolved.

    ``variants`` maps each variant to its whole scenario (empty: the scenario runs once, as ``main``);
    ``judged`` names the run whose verdict counts. ``lines`` maps key paths to lines of the file,
    ``overridden`` holds the key paths that were given on the command line, ``arguments`` what gives them again.
    """

    path: Path
    base: Scenario
    variants: dict[str, Scenario]
    judged: str
    lines: Mapping[str, int] = field(repr=False, default_factory=dict)
    overridden: frozenset[str] = frozenset()
    arguments: tuple[str, ...] = ()

    def runs(self) -> dict[str, Scenario]:
        """Return what is run, in the order of the file."""
        return dict(self.variants) if self.variants else {MAIN: self.base}

    def problem(
        self, key_path: str, message: str, got: str = "", allowed: str = "", hint: str = ""
    ) -> Problem:
        """Make a problem that points to ``key_path``, for what shows only once the feeder is known."""
        origin = Origin(str(self.path), self.lines, self.overridden)
        return origin.problem(parse(key_path), message, got, allowed, hint)


def load_scenario(path: str | Path, overrides: Sequence[str] = (), seed: int | None = None) -> LoadedScenario:
    """Load a scenario file.

    Args:
        path: the YAML file.
        overrides: ``key.path=value``, the value written as in YAML; they apply before the variants do.
        seed: replaces the scenario's own seed.

    Raises:
        ScenarioError: with everything that is wrong, in the file and in the overrides.
    """
    source = read_yaml(Path(path))
    given, problems = _given(overrides, seed)
    tree, refused = apply(source.tree, given)
    problems += [_on_command_line(r) for r in refused]
    problems += [
        _on_command_line(
            Refused(o.path, "has no effect, because every variant sets this key itself", _SET_VARIANT)
        )
        for o in without_effect(tree, given)
    ]
    overridden = frozenset(render(canonical(o.path, tree)) for o in given)
    origin = Origin(str(source.path), source.lines, overridden)
    secrets = [
        origin.problem(path, f"{what}: it is not read", hint=ADVICE) for path, what in find_secrets(tree)
    ]
    if secrets:  # alone, so that no other message repeats a value
        raise ScenarioError(secrets)
    base, findings = validate(tree)
    problems += [_located(origin, f) for f in findings]
    variants: dict[str, Scenario] = {}
    for name, own in variant_overrides(tree):
        variant, found = _variant(name, own, tree, findings, origin)
        problems += found
        if variant is not None:
            variants[name] = variant
    if problems or base is None:
        unique = dict.fromkeys(problems)
        raise ScenarioError(sorted(unique, key=lambda p: (p.file == COMMAND_LINE, p.line or 0)))
    judged = next((name for name, variant in base.variants.items() if variant.judged), MAIN)
    arguments = [word for text in overrides for word in ("--set", text)]
    arguments += [] if seed is None else ["--seed", str(seed)]
    return LoadedScenario(source.path, base, variants, judged, source.lines, overridden, tuple(arguments))


_SET_VARIANT = "Choose a variant with --variant, or set variants.NAME.set.KEY."


def _given(texts: Sequence[str], seed: int | None) -> tuple[list[Override], list[Problem]]:
    given: list[Override] = []
    problems: list[Problem] = []
    for text in texts:
        try:
            given.append(parse_override(text))
        except ValueError as error:
            problems.append(Problem(COMMAND_LINE, None, "--set", str(error), got=repr(redact(text))))
    if seed is not None:
        given.append(Override(("seed",), seed))
    return given, problems


def _on_command_line(refused: Refused) -> Problem:
    return Problem(COMMAND_LINE, None, render(refused.path), refused.message, hint=refused.hint)


def _located(origin: Origin, finding: Finding, path: KeyPath | None = None) -> Problem:
    where = finding.path if path is None else path
    return origin.problem(where, finding.message, finding.got, finding.allowed, finding.hint)


def _variant(
    name: str, own: Mapping[str, Any], tree: dict[str, Any], base: list[Finding], origin: Origin
) -> tuple[Scenario | None, list[Problem]]:
    """Resolve one variant; only what its own overrides break is reported."""
    here: KeyPath = ("variants", name, "set")
    overrides: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    whole = {key: value for key, value in tree.items() if key != "variants"}
    for key, value in own.items():
        try:
            path = canonical(parse(key), whole)
        except ValueError as error:
            problems.append(origin.problem((*here, key), str(error)))
            continue
        if path[0] in SHARED:
            problems.append(
                origin.problem((*here, key), "must be the same in all variants", hint=_SHARED_HINT)
            )
            continue
        overrides[path] = key
        whole, refused = apply(whole, [Override(path, value)])
        problems += [origin.problem((*here, key), r.message, hint=r.hint) for r in refused]
    scenario, findings = validate(whole)
    known = {(f.path, f.message) for f in base}
    for finding in findings:
        if (finding.path, finding.message) not in known:
            problems.append(_located(origin, finding, (*here, *_own_key(finding.path, overrides))))
    return scenario, problems


_SHARED_HINT = "Variants are compared interval by interval, on the same random numbers."


def _own_key(path: KeyPath, overrides: Mapping[KeyPath, str]) -> KeyPath:
    """Return the variant's key that a problem at the path comes from, as it stands in the file."""
    for own, key in overrides.items():
        if path[: len(own)] == own:
            return (key, *path[len(own) :])
    for own, key in overrides.items():
        if own[: len(path)] == path:
            return (key,)
    siblings = (key for own, key in overrides.items() if path and own[:-1] == path[:-1])
    return tuple(siblings)[:1]
