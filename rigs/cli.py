"""``twin rig``: the commands of the rigs. Thin: every command is a plain function elsewhere."""

import argparse
import sys
from pathlib import Path

from adapters.modbus.errors import ModbusError
from rigs.errors import RigError

_OK, _FAIL, _INPUT = 0, 1, 2


def main(argv: list[str]) -> int:
    """Run one command; returns 0 for pass, 1 for fail, 2 for wrong input or nobody there."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except (RigError, ModbusError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return _INPUT
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="twin rig", description="Emulated and real devices.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, run: object) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    scan = command("scan", "What is at an address, as a table. Reads only.", _scan)
    scan.add_argument("host", metavar="HOST[:PORT]")
    scan.add_argument("--units", default="1", help="unit ids, for example 1,126 or 1-10")
    emulate = command("emulate", "Serve the devices of a bench until stopped.", _emulate)
    emulate.add_argument("bench", type=Path)
    check = command("check", "Pre-flight: identity, sign, round trip, safe state, reversion.", _check)
    check.add_argument("bench", type=Path)
    conform = command("conformance", "Run the public SunSpec list against a device.", _conformance)
    conform.add_argument("host", metavar="HOST[:PORT]")
    conform.add_argument("--unit", type=int, default=1)
    conform.add_argument("--write", action="store_true", help="also run what writes (values are restored)")
    replay = command("replay", "Drive the decoders with a recorded log.", _replay)
    replay.add_argument("log", type=Path)
    reset = command("reset", "Open the latch of a real device after a breach.", _reset)
    reset.add_argument("bench", help="name of the bench, as in its file")
    reset.add_argument("role")
    stop = command("stop", "Write the safe values of a bench. Not a safety function.", _stop)
    stop.add_argument("bench", type=Path)
    return parser


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    if port and not port.isdigit():
        raise RigError(f"{text!r}: the port must be a number")
    return host, int(port or 502)


def _units(text: str) -> tuple[int, ...]:
    units: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise RigError(f"--units {text!r}: give numbers and ranges, for example 1,126 or 1-10")
        units += range(int(first), int(last or first) + 1)
    return tuple(units)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _scan(arguments: argparse.Namespace) -> int:
    from rigs.scan import as_table, scan

    results = scan(*_endpoint(arguments.host), _units(arguments.units))
    _say(as_table(results))
    return _OK if results else _FAIL


def _emulate(arguments: argparse.Namespace) -> int:
    from rigs.emulate import emulate

    emulate(arguments.bench, _say)
    return _OK


def _check(arguments: argparse.Namespace) -> int:
    from rigs.preflight import preflight

    checks = preflight(arguments.bench)
    for check in checks:
        mark = {True: "ok", False: "FAIL", None: "--"}[check.ok]
        _say(f"{mark:4s} {check.role}: {check.name}: {check.detail}")
    return _FAIL if any(c.ok is False for c in checks) else _OK


def _conformance(arguments: argparse.Namespace) -> int:
    from rigs.conformance import conformance

    results = conformance(*_endpoint(arguments.host), arguments.unit, may_write=arguments.write)
    for result in results:
        _say(f"{result.name}  {result.verdict:14s}  {result.title}: {result.detail}")
    return _FAIL if any(r.verdict == "fail" for r in results) else _OK


def _replay(arguments: argparse.Namespace) -> int:
    from rigs.journal import replay

    result = replay(arguments.log)
    for difference in result.differences:
        _say(difference)
    _say(
        f"{result.entries} entries, chain intact; {result.readings} readings, {len(result.differences)} differ"
    )
    return _FAIL if result.differences or not result.readings else _OK


def _reset(arguments: argparse.Namespace) -> int:
    from rigs.preflight import reset_latch

    _say(f"reset; it was latched because {reset_latch(arguments.bench, arguments.role)}")
    return _OK


def _stop(arguments: argparse.Namespace) -> int:
    from rigs.stop import stop

    _say("This is a convenience, not a safety function: use the hard-wired stop where anybody may be hurt.")
    troubles = stop(arguments.bench)
    for role, trouble in troubles.items():
        _say(f"{role}: {trouble or 'safe'}")
    return _FAIL if any(troubles.values()) else _OK
