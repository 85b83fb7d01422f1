"""``twin report``: write a run's report.html anew."""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin report`` understands."""
    parser.add_argument("run", type=Path, help="run folder")


def execute(arguments: argparse.Namespace) -> int:
    """Write the report and print its path."""
    from twin.report.render import write_report
    from twin.results import RunResult

    folder = RunResult(arguments.run).folder
    sys.stdout.write(f"{write_report(folder)}\n")
    return 0
