"""The command line ``twin``. Imports nothing heavy before a command needs it."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from twin.commands.table import Command, available

EPILOG = """\
exit codes: 0 pass, 1 fail, 2 wrong input (nothing was run), 3 inconclusive,
            4 aborted (interrupted, or an outside part failed: worth another try)
"""


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import twin

        sys.stdout.write(f"twin {twin.__version__}\n")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments as JSON as well, where that was asked for."""

    as_json = False

    def error(self, message: str) -> NoReturn:
        if self.as_json:
            answer = {"exit_code": 2, "error": f"{self.prog}: {message}", "problems": []}
            sys.stdout.write(json.dumps(answer) + "\n")
        super().error(message)


def _parser(commands: dict[str, Command], chosen: str | None, as_json: bool) -> _Parser:
    """Return the parser; only the chosen command's arguments are filled in."""
    parser = _Parser(
        prog="twin",
        description="Do these P2P trades respect the voltage and feeder limits, and if not, who is to blame?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.as_json = as_json
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in commands.values():
        sub = subparsers.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        sub.as_json = as_json
        if command.name == chosen:
            import_module(command.module).add_arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    # sums of products depend on the number of BLAS threads, and more than one only costs here: matrices are small
    for library in ("OPENBLAS", "MKL", "OMP"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = available()
    chosen = commands.get(arguments[0]) if arguments else None

    def execute() -> int:
        if chosen is not None and chosen.own_parser:
            return int(import_module(chosen.module).main(arguments[1:]))
        parsed = _parser(commands, chosen.name if chosen else None, "--json" in arguments).parse_args(
            arguments
        )
        return int(import_module(commands[parsed.command].module).execute(parsed))

    if chosen is None:
        return execute()
    from twin.commands.failures import guarded

    return guarded(execute, as_json="--json" in arguments)
