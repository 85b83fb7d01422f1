"""``twin chain``: a local node, deployment, the registry of assets, and proofs from the chain alone.

Keys come from keystore files that the environment names (see ``adapters.chain.keys``), or with --development
from the public keys of the embedded chain. None is ever an argument.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.chain.certificates_cli import add_arguments, of_run
from adapters.chain.deposits_cli import add_arguments as add_deposit_arguments
from adapters.chain.deposits_cli import deposit
from adapters.chain.errors import ChainError, ChainInputError

if TYPE_CHECKING:
    from adapters.chain.desk import Desk

OK, DISAGREES, WRONG_INPUT, ABORTED = 0, 1, 2, 4


Commands = Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None]
"""Adds commands of somebody who knows more than this package does."""


def main(argv: list[str], more: Sequence[Commands] = ()) -> int:
    """Run one subcommand, ``more`` ones besides. 0: done, 1: a proof failed, 2: wrong input, 4: the node is away."""
    parser = _parser(more)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except ChainInputError as error:
        return _fail(str(error), WRONG_INPUT)
    except ChainError as error:
        return _fail(str(error), ABORTED)
    except KeyboardInterrupt:
        return ABORTED


def _parser(more: Sequence[Commands]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="twin chain", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = _command(commands, "up", _up, "start a local node and keep it until Ctrl-C")
    up.add_argument(
        "--engine",
        choices=("embedded", "anvil"),
        default="embedded",
        help="anvil comes from npm, embedded with us",
    )
    up.add_argument(
        "--fund", action="append", default=[], metavar="ADDRESS", help="embedded: give it coin for gas"
    )
    up.add_argument("--port", type=int, default=8545)
    up.add_argument("--start-s", type=int, default=0, help="time of its first block, Unix seconds")
    deploy = _command(commands, "deploy", _deploy, "put settlement, registry and certificates on a chain")
    _node_arguments(deploy, deployed=False)
    deploy.add_argument("--market", required=True, help="id of the market that it settles")
    deploy.add_argument(
        "--currency", default="", help="address of the ERC-20 currency (not with --development)"
    )
    deploy.add_argument("--window-s", type=int, default=21_600, help="dispute window, seconds")
    deploy.add_argument("--withdraw-delay-s", type=int, default=172_800)
    deploy.add_argument("--interval-s", type=int, default=900, help="interval of certificates, at most 3600")
    deploy.add_argument("--out", required=True, type=Path, help="deployment file to write")
    text = "raise accounts' deposits to a total: opens accounts, approves what is missing, pays"
    money = _command(commands, "deposit", lambda arguments: deposit(arguments, _say), text)
    add_deposit_arguments(money)
    _node_arguments(money)
    _registry_commands(commands)
    audit = _command(commands, "audit", _audit, "every change of an asset, from the chain")
    audit.add_argument("asset")
    _node_arguments(audit)
    reconcile = _command(commands, "reconcile", _reconcile, "prove a run's settlement from its chain")
    reconcile.add_argument("folder", type=Path, metavar="RUN")
    reconcile.add_argument("--url", default="", help="address of the node, where the run used one")
    text = "certificates of a run: metered, certified, held and retired; claim, transfer or retire them"
    certificates = _command(commands, "certificates", _certificates, text)
    add_arguments(certificates)
    verify = _command(commands, "verify", _verify, "which of our contracts is at an address")
    verify.add_argument("address")
    verify.add_argument("--url", required=True)
    for add in more:
        add(commands)
    return parser


def _registry_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    registry = commands.add_parser("registry", help="list, show, add, configure or retire assets")
    actions = registry.add_subparsers(required=True, metavar="ACTION")
    _node_arguments(_command(actions, "list", _list, "all assets"))
    for name, run, text in [
        ("show", _show, "one asset as it is now"),
        ("add", _add, "register an asset"),
        ("configure", _configure, "change key, capacity, efficiency or metadata"),
        ("retire", _retire, "retire an asset for ever"),
    ]:
        command = _command(actions, name, run, text)
        command.add_argument("asset", help="name, for example house_07.pv")
        _node_arguments(command)
        if name == "add":
            command.add_argument("--owner", required=True, help="address")
            command.add_argument("--kind", required=True, choices=("house", "pv", "battery", "ev"))
            command.add_argument("--meter-point", required=True)
        if name in ("add", "configure"):
            required = name == "add"
            command.add_argument("--device-key", required=required, help="address of the device's key")
            command.add_argument("--capacity", type=int, required=required, help="W, for a battery Wh")
            command.add_argument("--efficiency-percent", type=float, help="round trip of a battery")
            command.add_argument("--metadata", type=Path, help="file whose hash is kept")
        if name in ("configure", "retire"):
            command.add_argument("--reason", required=True)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _node_arguments(command: argparse.ArgumentParser, deployed: bool = True) -> None:
    command.add_argument("--url", required=True, help="address of the node (http, https, ws, wss)")
    command.add_argument("--development", action="store_true", help="public keys and play money")
    if deployed:
        command.add_argument("--deployment", required=True, type=Path, help="file that 'deploy' wrote")


def _up(arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or anvil would outlive us
    if not 0 <= arguments.port < 65_536 or not 0 <= arguments.start_s < 2**53:
        raise ChainInputError(
            "give --port from 0 (any free one) to 65535, and --start-s in seconds since 1970"
        )
    if arguments.engine == "anvil":
        from adapters.chain.local_node import LocalNode

        with LocalNode(arguments.start_s or 1, port=arguments.port) as node:
            _say(f"anvil, chain 31337, listens on {node.url} and {node.ws_url} (Ctrl-C ends it)")
            return node.wait()
    from adapters.chain.embedded import CHAIN_ID
    from adapters.chain.http_node import embedded_node

    with embedded_node(arguments.start_s, arguments.port, arguments.fund) as served:
        _say(f"embedded, chain {CHAIN_ID}, listens on {served.url} (Ctrl-C ends it)")
        return served.wait()


def _deploy(arguments: argparse.Namespace) -> int:
    from adapters.chain.desk import deploy

    if arguments.out.exists():
        raise ChainInputError(f"{arguments.out} exists: name another file, a deployment is not overwritten")
    if bool(arguments.currency) == arguments.development:
        raise ChainInputError("give --currency ADDRESS, or --development for play money, and not both")
    terms = (arguments.market, arguments.window_s, arguments.withdraw_delay_s)
    found = deploy(arguments.url, arguments.development, terms, arguments.currency, arguments.interval_s)
    found.save(arguments.out)
    _say(f"settlement   {found.settlement}\nregistry     {found.registry}\ncertificates {found.certificates}")
    return OK


def _list(arguments: argparse.Namespace) -> int:
    rows = list(_desk(arguments).assets())
    for row in rows:
        unit, owner = "Wh" if row["kind"] == "battery" else "W", f"owner {row['owner']}"
        _say(
            f"{row['name']}  {row['kind']}  {row['capacity']} {unit}  {'retired' if row['retired'] else owner}"
        )
    if not rows:
        _say("no asset is registered yet")
    return OK


def _show(arguments: argparse.Namespace) -> int:
    _say(json.dumps(_desk(arguments).asset(arguments.asset), indent=1))
    return OK


def _add(arguments: argparse.Namespace) -> int:
    _desk(arguments).add(
        arguments.asset,
        owner=arguments.owner,
        kind=arguments.kind,
        meter_point=arguments.meter_point,
        device_key=arguments.device_key,
        capacity=arguments.capacity,
        efficiency_percent=arguments.efficiency_percent or 0.0,
        metadata=_bytes(arguments.metadata),
    )
    _say(f"registered {arguments.asset}")
    return OK


def _configure(arguments: argparse.Namespace) -> int:
    _desk(arguments).configure(
        arguments.asset,
        device_key=arguments.device_key,
        capacity=arguments.capacity,
        efficiency_percent=arguments.efficiency_percent,
        metadata=_bytes(arguments.metadata) if arguments.metadata else None,
        reason=arguments.reason,
    )
    _say(f"configured {arguments.asset}")
    return OK


def _retire(arguments: argparse.Namespace) -> int:
    _desk(arguments).retire(arguments.asset, arguments.reason)
    _say(f"retired {arguments.asset}: its meter point and key are free again")
    return OK


def _audit(arguments: argparse.Namespace) -> int:
    for event in _desk(arguments).audit(arguments.asset):
        when = datetime.fromtimestamp(event["time_s"], UTC)
        place = f"block {event['block_number']}  {when:%Y-%m-%d %H:%M:%S} UTC"
        _say(f"{place}  {event['event']}  {event['text']}  {event['transaction']}")
    return OK


def _reconcile(arguments: argparse.Namespace) -> int:
    from adapters.chain.reconcile import reconcile

    findings = reconcile(arguments.folder, arguments.url)
    for finding in findings:
        _say(f"{'ok   ' if finding.agrees else 'WRONG'} {finding.what}: {finding.detail}")
    return OK if all(finding.agrees for finding in findings) else DISAGREES


def _certificates(arguments: argparse.Namespace) -> int:
    if arguments.folder is not None:
        return of_run(arguments, _say)
    if not arguments.url or arguments.deployment is None:
        raise ChainInputError("name a RUN, or a node and a deployment (--url, --deployment)")
    rows = _desk(arguments).certificates()
    for row in rows:
        _say(f"{row['asset']}  certified {row['certified_wh']} Wh  retired {row['retired_wh']} Wh")
    if not rows:
        _say("nothing was certified yet")
    return OK


def _verify(arguments: argparse.Namespace) -> int:
    from adapters.chain.desk import identify

    name, compiler, source = identify(arguments.url, arguments.address)
    _say(f"{arguments.address} is {name} (compiler {compiler}, source sha256 {source})")
    return OK


def _desk(arguments: argparse.Namespace) -> "Desk":
    from adapters.chain.desk import Desk

    return Desk(arguments.url, arguments.deployment, arguments.development)


def _bytes(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ChainInputError(f"{path} cannot be read: {error.strerror}") from error


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fail(text: str, code: int) -> int:
    sys.stderr.write(text + "\n")
    return code
