"""``twin rig``: the commands of the rigs. Thin: every command is a plain function elsewhere."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.modbus.errors import ModbusError
from rigs.errors import RigError

if TYPE_CHECKING:
    from rigs.conformance import Where

_LAST_UNIT, _LAST_PORT = 255, 65535
_OK, _FAIL, _INPUT, _INCONCLUSIVE = 0, 1, 2, 3


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
    _endpoint_arguments(scan)
    _scan_arguments(scan)
    emulate = command("emulate", "Serve the devices of a bench until stopped.", _emulate)
    emulate.add_argument("bench", type=Path)
    check = command("check", "Pre-flight: identity, sign, round trip, safe state, reversion.", _check)
    _check_arguments(check)
    conform = command("conformance", "Run the public SunSpec list against a device.", _conformance)
    _endpoint_arguments(conform)
    _conformance_arguments(conform)
    shape = command(
        "characterise",
        "Volt-var, volt-watt and watt-limit step tests with IEEE 1547.1 criteria.",
        _characterise,
    )
    shape.add_argument("bench", type=Path)
    shape.add_argument("--role", action="append", default=[], help="only this one; may be given again")
    shape.add_argument("--test", action="append", default=[], choices=["volt_var", "volt_watt", "watt_limit"])
    shape.add_argument(
        "--out", type=Path, help="new folder for plots (SVG) and the record that fit and drift read"
    )
    shape.add_argument(
        "--arm", type=float, metavar="SECONDS", help="arm the real devices under test for so long"
    )
    fit = command("fit", "Fit emulated devices to a record of step responses; states the error.", _fit)
    fit.add_argument("record", type=Path)
    fit.add_argument("--role", help="only this one")
    fit.add_argument("--out", type=Path, help="folder for the parameter files; default: beside the record")
    drift = command("drift", "Whether hardware (a fresh record) and its twin (a fit) have parted.", _drift)
    drift.add_argument("record", type=Path)
    drift.add_argument("parameters", type=Path, help="what 'twin rig fit' wrote")
    drift.add_argument("--tolerance", type=float, default=0.2, help="allowed share of the time constant")
    replay = command("replay", "Drive the decoders with a recorded log.", _replay)
    replay.add_argument("log", type=Path)
    reset = command("reset", "Open the latch of a real device after a breach.", _reset)
    reset.add_argument("bench", help="name of the bench, as in its file")
    reset.add_argument("role")
    stop = command("stop", "Write the safe values of a bench. Not a safety function.", _stop)
    stop.add_argument("bench", type=Path)
    return parser


def _scan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--units", default="1", help="unit ids, for example 1,126 or 1-10")
    parser.add_argument(
        "--map", help="read by a register map: keba_p30, stiebel_isg, eastron_sdm630 or a CSV file"
    )


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bench", type=Path)
    parser.add_argument(
        "--arm",
        action="append",
        default=[],
        metavar="ROLE=SECONDS",
        help="let it write to this real device, or to ac_source, for so long (repeatable); never a default",
    )


def _conformance_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--unit", type=int, default=1)
    parser.add_argument(
        "--write",
        action="store_true",
        help="also run what writes; needs --arm and --serial (values are put back)",
    )
    parser.add_argument(
        "--arm", type=float, metavar="SECONDS", help="let --write write for so long, never longer"
    )
    parser.add_argument(
        "--serial", help="serial number of the device that --write may write to, as scan shows it"
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="new file for the log of an armed run (default: in the state folder)",
    )


def _endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST[:PORT]", help="or a serial line, for example /dev/ttyUSB0")
    parser.add_argument("--baudrate", type=int, default=19200, help="of a serial line")
    parser.add_argument("--parity", choices=["N", "E", "O"], default="E", help="of a serial line")


def _where(arguments: argparse.Namespace, unit: int = 1) -> "Where":
    """Return the endpoint that was named: a serial line has a slash in its name, or is a COM port."""
    from rigs.conformance import Where

    text: str = arguments.host
    if not 0 <= unit <= _LAST_UNIT:
        raise RigError(f"--unit {unit}: a unit id is 0 to {_LAST_UNIT}")
    if "/" in text or text.upper().startswith("COM"):
        return Where(device=text, baudrate=arguments.baudrate, parity=arguments.parity, unit=unit)
    host, _, port = text.partition(":")
    if not host or (port and not port.isdigit()):
        raise RigError(f"{text!r}: give HOST or HOST:PORT; the port must be a number")
    if not 0 < int(port or 502) <= _LAST_PORT:
        raise RigError(f"{text!r}: the port must be a number from 1 to {_LAST_PORT}")
    return Where(host, int(port or 502), unit=unit)


def _units(text: str) -> tuple[int, ...]:
    units: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise RigError(f"--units {text!r}: give numbers and ranges, for example 1,126 or 1-10")
        if not int(first) <= int(last or first) <= _LAST_UNIT:
            raise RigError(f"--units {text!r}: {part} is no range of unit ids, 0 to {_LAST_UNIT}")
        units += range(int(first), int(last or first) + 1)
    return tuple(units)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _scan(arguments: argparse.Namespace) -> int:
    from adapters.modbus.register_map import load_map, shipped_maps
    from rigs.bench_file import find_map
    from rigs.scan import as_table, scan

    where, units = _where(arguments), _units(arguments.units)
    register_map = None
    if arguments.map is not None:
        path = find_map(arguments.map, Path())
        if not path.is_file():
            raise RigError(
                f"--map {arguments.map}: no such map or file; shipped: {', '.join(shipped_maps())}"
            )
        register_map = load_map(path)
    results = scan(where, units, register_map)
    _say(as_table(results))
    return _OK if any(r.found for r in results) else _FAIL


def _emulate(arguments: argparse.Namespace) -> int:
    from rigs.emulate import emulate

    emulate(arguments.bench, _say)
    return _OK


def _check(arguments: argparse.Namespace) -> int:
    from rigs.arming import read_arms
    from rigs.preflight import preflight

    checks = preflight(arguments.bench, read_arms(arguments.arm))
    for check in checks:
        mark = {True: "ok", False: "FAIL", None: "--"}[check.ok]
        _say(f"{mark:4s} {check.role}: {check.name}: {check.detail}")
    return _FAIL if any(c.ok is False for c in checks) else _OK


def _conformance(arguments: argparse.Namespace) -> int:
    from rigs.conformance import conformance
    from rigs.trial import default_log, read_arming

    where = _where(arguments, arguments.unit)
    arming = read_arming(arguments.write, arguments.arm, arguments.serial)
    log = (arguments.log or default_log()) if arming is not None else None
    results = conformance(where, arming, log=log)
    for result in results:
        _say(f"{result.name}  {result.verdict:14s}  {result.title}: {result.detail}")
    if log is not None:
        _say(f"every write is in {log}")
    return _FAIL if any(r.verdict == "fail" for r in results) else _OK


def _characterise(arguments: argparse.Namespace) -> int:
    from rigs.characterise import TESTS, as_table, characterise, write_record
    from rigs.step_plot import plot
    from rigs.step_test import worst

    out: Path | None = arguments.out
    if out is not None:
        out.mkdir(parents=True, exist_ok=False)
    found = characterise(
        arguments.bench, roles=arguments.role, tests=arguments.test or TESTS, arm_s=arguments.arm
    )
    _say(as_table(found))
    if out is not None:
        write_record(found, out / "record.json")
        for c in found:
            if c.judgements:
                (out / f"{c.role}.{c.test}.svg").write_text(plot(c), encoding="utf-8")
    verdict = worst([j.verdict for c in found for j in c.judgements])
    _say(f"{verdict}" + (f"; plots and record in {out}" if out is not None else ""))
    return {"pass": _OK, "fail": _FAIL, "inconclusive": _INCONCLUSIVE}[verdict]


def _fit(arguments: argparse.Namespace) -> int:
    from rigs.fitted import fit_record, load_record, write_fitted

    record = load_record(arguments.record)
    folder = arguments.out or arguments.record.parent
    roles = [arguments.role] if arguments.role else list(record)
    for role in roles:
        if role not in record:
            raise RigError(f"{arguments.record}: has no role {role!r}; it has {', '.join(record)}")
        fitted = fit_record(role, record[role])
        path = folder / f"{role}.fit.yaml"
        write_fitted(fitted, path)
        _say(
            f"{role}: response_s {fitted.response_s:g}, fit error {fitted.rms_w:g} W rms, {fitted.worst_w:g} W at "
            f"worst over {fitted.steps} steps ({fitted.rms_w / fitted.rated_w:.2%} of the rating): {path}"
        )
    return _OK


def _drift(arguments: argparse.Namespace) -> int:
    from rigs.fitted import drift, load_fitted, load_record

    fitted, record = load_fitted(arguments.parameters), load_record(arguments.record)
    if fitted.role not in record:
        raise RigError(f"{arguments.record}: has no role {fitted.role!r}; it has {', '.join(record)}")
    if not 0 < arguments.tolerance < 1:
        raise RigError(f"--tolerance {arguments.tolerance}: a share between 0 and 1")
    found = drift(fitted, record[fitted.role], arguments.tolerance)
    _say(
        f"{fitted.role}: response_s {found.response_s:g} (fit {fitted.response_s:g}); the fit leaves "
        f"{found.rms_w:.1f} W rms, at most {found.allowed_rms_w:.1f} W"
    )
    _say(f"hardware and twin have parted: {found.why}" if found.parted else "hardware and twin agree")
    return _FAIL if found.parted else _OK


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
    done = stop(arguments.bench)
    for role, (_, text) in done.items():
        _say(f"{role}: {text}")
    if any("latched" in text for _, text in done.values()):
        _say("Nothing is sent to a latched device until 'twin rig reset BENCH ROLE'.")
    return _OK if all(safe for safe, _ in done.values()) else _FAIL
