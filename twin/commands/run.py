"""``twin run``: run a scenario, judge it, say so."""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from twin.errors import WrongInputError
from twin.progress import BarProgress, ProgressSink, silent

if TYPE_CHECKING:
    from twin.results import RunResult
    from twin.scenario.load import LoadedScenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin run`` understands."""
    parser.add_argument("scenario", type=Path, help="scenario file (YAML)")
    parser.add_argument("--bench", type=Path, metavar="FILE", help="bench file that serves roles by devices")
    parser.add_argument(
        "--arm",
        action="append",
        default=[],
        metavar="ROLE=SECONDS",
        help="let the run write to this real device of the bench for so long (repeatable); never a default",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="run folder (default: runs/NAME-TIME)")
    parser.add_argument("--replace", action="store_true", help="replace an earlier run in that folder")
    add_overrides(parser)
    parser.add_argument(
        "--variant", action="append", metavar="NAME", help="run only this one and the judged one (repeatable)"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write the checks as JUnit XML")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that change a scenario, which several commands share."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        help="override a key, for example duration_days=1 (repeatable)",
    )
    parser.add_argument("--seed", type=int, help="override the scenario's seed")


def execute(arguments: argparse.Namespace) -> int:
    """Run the scenario; return the verdict as an exit code."""
    from twin.scenario.load import load_scenario

    arm = _armed(arguments.arm)
    loaded = load_scenario(arguments.scenario, arguments.overrides, arguments.seed)
    variants = _variants(loaded, arguments.variant)
    out = arguments.out or _default_folder(loaded.base.name)
    _refuse_used(out, arguments.replace)
    _refuse_unwritable(arguments.junit)
    from twin.run import run

    with _terminated_cleanly(), _progress(loaded, arguments) as progress:
        result = run(
            loaded,
            out,
            bench=arguments.bench,
            variants=variants,
            replace=arguments.replace,
            progress=progress,
            say=None if arguments.quiet or arguments.json else _say,
            arm=arm,
        )
    if arguments.junit is not None:
        _write_junit(arguments.junit, result)
    _print(result, arguments)
    return int(result.exit_code)


def _say(note: str) -> None:
    sys.stderr.write(f"twin: {note}\n")


def _armed(words: list[str]) -> dict[str, float]:
    """Read ROLE=SECONDS; every word that is no such thing is told."""
    from rigs.arming import read_arms
    from rigs.errors import RigError
    from twin.scenario.problems import Problem, ScenarioError

    try:
        return read_arms(words)
    except RigError as error:
        lines = str(error).splitlines()
        raise ScenarioError([Problem("command line", None, "", line) for line in lines]) from None


def _variants(loaded: "LoadedScenario", wanted: list[str] | None) -> list[str] | None:
    if wanted is None:
        return None
    from twin.scenario.problems import Problem, ScenarioError
    from twin.scenario.words import listed, nearest

    known = list(loaded.runs())
    problems = [
        Problem("command line", None, "--variant", "the scenario has no such variant", got=repr(name),
                allowed=listed(known, "or"), hint=nearest(name, known, "Did you mean {}?"))
        for name in wanted
        if name not in known
    ]  # fmt: skip
    if problems:
        raise ScenarioError(problems)
    return [name for name in known if name in wanted]


def _default_folder(name: str) -> Path:
    return Path("runs") / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def _refuse_used(out: Path, replace: bool) -> None:
    """Refuse early what the run folder would refuse after the feeder is loaded."""
    if out.is_file():
        raise WrongInputError(f"{out} is a file. Name another output folder with --out.")
    if out.is_dir() and any(out.iterdir()) and not replace:
        raise WrongInputError(
            f"{out} exists. Name another output folder, or replace an earlier run (--replace)."
        )


def _refuse_unwritable(junit: Path | None) -> None:
    """Refuse before the run what could not be written after it."""
    if junit is None:
        return
    try:
        junit.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongInputError(f"--junit {junit}: its folder cannot be made: {error.strerror}.") from None
    if junit.is_dir():
        raise WrongInputError(f"--junit {junit} is a folder; name a file.")


@contextmanager
def _terminated_cleanly() -> Iterator[None]:
    """Treat a polite kill (SIGTERM) as Ctrl-C, so that the run folder is closed and devices are made safe."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(loaded: "LoadedScenario", arguments: argparse.Namespace) -> Iterator[ProgressSink]:
    if arguments.quiet or arguments.json or not sys.stderr.isatty():
        yield silent
        return
    with BarProgress(loaded.base.interval_s) as bar:
        yield bar


def _write_junit(path: Path, result: "RunResult") -> None:
    from adapters.export.junit import write_junit

    name = str(result.manifest.get("name", result.folder.name))
    write_junit(path, name, result.checks, result.verdict, float(result.manifest.get("wall_s") or 0.0))


def _print(result: "RunResult", arguments: argparse.Namespace) -> None:
    if arguments.json:
        answer = {
            "verdict": result.verdict,
            "exit_code": result.exit_code,
            "checks": result.checks,
            "kpis": result.kpis,
            "folder": str(result.folder),
        }
        if result.verdict == "aborted":
            answer["failure"] = str(result.manifest.get("failure", ""))
        sys.stdout.write(json.dumps(answer) + "\n")
    elif not arguments.quiet:
        from twin.commands.summary import summary

        sys.stdout.write("\n".join(summary(result)) + "\n")
