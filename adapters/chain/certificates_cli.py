"""``twin chain certificates RUN``: what a run's final batches certify, claimed, transferred and retired."""

import argparse
from collections.abc import Callable
from pathlib import Path

from adapters.chain.errors import ChainInputError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command understands."""
    command.add_argument(
        "folder", type=Path, metavar="RUN", nargs="?", help="without it, all of a deployment"
    )
    command.add_argument("--claim", action="store_true", help="claim what final batches commit to")
    command.add_argument("--asset", default="", help="of this asset only")
    command.add_argument("--transfer", type=int, metavar="WH", help="with --asset and --to")
    command.add_argument("--to", metavar="ADDRESS", default="")
    command.add_argument("--retire", type=int, metavar="WH", help="with --asset and --purpose")
    command.add_argument("--purpose", default="")
    command.add_argument("--beneficiary", default="")
    command.add_argument("--url", default="", help="address of the node, where the run used one")
    command.add_argument(
        "--deployment", type=Path, help="file that 'deploy' wrote, where the run used a node"
    )
    command.add_argument("--development", action="store_true", help="public keys and play money")


def of_run(arguments: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Do what is asked, then list the run's assets. Raises ChainInputError, before anything is sent."""
    from adapters.chain.desk import check_address
    from adapters.chain.green import GreenRun

    wanted = {"--transfer": arguments.transfer, "--retire": arguments.retire}
    for option, energy_wh in wanted.items():
        if energy_wh is not None and not arguments.asset:
            raise ChainInputError(f"{option} needs --asset: certificates are of one")
    to = check_address(arguments.to, "--to") if arguments.transfer is not None else ""
    if arguments.retire is not None and not arguments.purpose:
        raise ChainInputError("--retire needs --purpose: what the energy was used for")
    run = GreenRun(arguments.folder, arguments.url, arguments.deployment, arguments.development)
    done = False
    try:
        if arguments.claim:
            say(f"claimed {run.claim(arguments.asset)} readings")
        if arguments.transfer is not None:
            run.transfer(arguments.asset, arguments.transfer, to)
        if arguments.retire is not None:
            run.retire(arguments.asset, arguments.retire, arguments.purpose, arguments.beneficiary)
        done = arguments.claim or any(energy_wh is not None for energy_wh in wanted.values())
        _list(run.summary(), say)
    finally:
        run.close(keep=done)
    return 0


def _list(rows: list[dict[str, object]], say: Callable[[str], None]) -> None:
    for row in rows:
        numbers = [f"{key} {row[f'{key}_wh']} Wh" for key in ("metered", "certified", "held", "retired")]
        say("  ".join([str(row["asset"]), *numbers, str(row["note"])]).rstrip())
    if not rows:
        say("no final batch of this run holds a reading that fed in")
