"""``twin chain deposit``: raise the deposits of accounts to a total, with an allowance for exactly what is missing."""

import argparse
from collections.abc import Callable
from pathlib import Path


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command understands."""
    command.add_argument(
        "totals", nargs="*", metavar="NAME=TOTAL", help="account, and the total it shall have been paid in"
    )
    command.add_argument("--file", type=Path, help="lines of name,total")
    command.add_argument(
        "--owner", default="", metavar="ADDRESS", help="of accounts that are opened (default: payer)"
    )
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and send nothing")


def deposit(arguments: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Say what is needed, and do it. Raises ChainInputError where it cannot be done; then nothing was sent."""
    from adapters.chain.deposits import Counter, told, totals_of

    totals = totals_of(arguments.totals, arguments.file)
    counter = Counter(arguments.url, arguments.deployment, arguments.development)
    try:
        plan = counter.plan(totals)
        say(
            f"payer        {plan.payer}: {told(plan.balance_micro)} of the currency {counter.currency.address}"
        )
        say(
            f"to be paid   {told(plan.sum_micro)} for {len(plan.raised_micro)} accounts; {len(plan.opened)} are opened"
        )
        short = plan.allowance_micro < plan.sum_micro
        then = f": {told(plan.sum_micro)} is approved first" if short else ""
        say(f"allowance    {told(plan.allowance_micro)}{then}")
        if plan.kept:
            say(f"as they are  {len(plan.kept)} accounts had this total already")
        if plan.lacks_micro:
            more = " (play money is made)" if arguments.development else ""
            say(f"missing      {told(plan.lacks_micro)}{more}")
        if arguments.dry_run:
            say("nothing was sent (--dry-run)")
            return 1 if plan.lacks_micro and not arguments.development else 0
        counter.pay(plan, arguments.owner)
        say("paid" if plan.raised_micro else "nothing to pay")
    finally:
        counter.close()
    return 0
