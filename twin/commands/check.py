"""``twin check``: validate a scenario and everything it refers to; run nothing."""

import argparse
import json
import sys
from pathlib import Path

from twin.commands.run import add_overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin check`` understands."""
    parser.add_argument("scenario", type=Path, nargs="+", help="scenario files (YAML)")
    parser.add_argument("--bench", type=Path, metavar="FILE", help="bench file to check the scenario with")
    parser.add_argument(
        "--offline", action="store_true", help="do not ask the bench's real devices who they are"
    )
    add_overrides(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def execute(arguments: argparse.Namespace) -> int:
    """Check every file; return 0, or 2 where one has a problem."""
    from twin.pace import slow_notes
    from twin.prepare import prepare
    from twin.scenario.load import load_scenario
    from twin.scenario.problems import Problem, ScenarioError

    problems: list[Problem] = []
    for file in arguments.scenario:
        try:
            loaded = load_scenario(file, arguments.overrides, arguments.seed)
            prepared = prepare(loaded, arguments.bench, ask=not arguments.offline)
        except ScenarioError as error:
            problems += error.problems
            continue
        if not arguments.json:
            runs, one = list(loaded.runs()), loaded.base
            days = f"{one.duration_days:g} day{'s' if one.duration_days != 1 else ''}"
            what = f"{one.n_intervals} intervals ({days} from {one.start:%Y-%m-%d %H:%M %z})"
            sys.stdout.write(f"{file}: fine: {what}, runs: {', '.join(runs)}\n")
            sys.stdout.writelines(f"  slow: {note}\n" for note in slow_notes(prepared))
    if problems:
        raise ScenarioError(problems)
    if arguments.json:
        sys.stdout.write(json.dumps({"exit_code": 0, "problems": []}) + "\n")
    return 0
