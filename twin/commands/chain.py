"""``twin chain``: the adapter's own commands, and what needs a scenario besides."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.chain import cli
from twin.commands.run import add_overrides

if TYPE_CHECKING:
    from twin.prepare import PreparedRun

REGISTER = "enter the metering devices of a scenario, with their keys, into its deployment's registry"


def main(argv: list[str]) -> int:
    """Run one subcommand. Exit codes as ``adapters.chain.cli.main``."""
    return cli.main(argv, (_add_register,))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin chain register-devices`` understands."""
    parser.add_argument(
        "scenario", type=Path, help="scenario that settles with chain: rpc and settlement.oracles"
    )
    add_overrides(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be entered; send nothing")


def _add_register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("register-devices", help=REGISTER, description=REGISTER)
    add_arguments(command)
    command.set_defaults(run=_register)


def _register(arguments: argparse.Namespace) -> int:
    from adapters.chain.enrol import enrol, names_of
    from adapters.chain.errors import ChainInputError
    from twin.prepare import prepare
    from twin.scenario.load import load_scenario
    from twin.settlement_chain import devices, rpc_options

    prepared = prepare(load_scenario(arguments.scenario, arguments.overrides, arguments.seed))
    runs = {name: run for name, run in prepared.runs.items() if _signs(run)}
    if not runs:
        raise ChainInputError(
            f"{arguments.scenario}: no device signs for a node here; it needs settlement.chain: rpc and the section "
            "settlement.oracles"
        )
    for name, run in runs.items():
        options, mine = rpc_options(run.scenario, run.home), devices(run)
        assert options is not None
        roll = enrol(options, mine, _say, arguments.dry_run)
        if arguments.dry_run and roll.missing:
            _say(f"{name}: {len(roll.missing)} of {len(mine)} would be registered: {names_of(roll.missing)}")
        else:
            _say(f"{name}: {len(mine)} devices are in the registry, {len(roll.known)} of them were before")
    return cli.OK


def _signs(run: "PreparedRun") -> bool:
    section = run.scenario.settlement
    return section.chain == "rpc" and section.rpc is not None and section.oracles is not None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
