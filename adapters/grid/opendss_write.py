"""A pandapower feeder as an OpenDSS file: the circuit that our OpenDSS engine solves, with its loads and ratings."""

import re
from pathlib import Path

import numpy as np

from adapters.grid.compare import nominal_powers
from adapters.grid.errors import GridError, GridInputError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.normalise import label
from adapters.grid.opendss_export import ENGINE, export_commands
from adapters.grid.opendss_source import load_dss_feeder

REREAD_PU = 1e-8
"""Largest difference of a voltage between the feeder and its file as it is read again."""


def dss_text(feeder: Feeder) -> str:
    """The file. Bus row i is ``b<i>``, line i ``Line.l<i>``, point i ``Load.p<i>``; names stand in comments.

    Raises:
        GridInputError: the feeder is an OpenDSS file already.
        UnsupportedElementError: naming what OpenDSS is not given.
    """
    net = feeder.native
    if not hasattr(net, "bus"):
        raise GridInputError(f"{feeder.source} is an OpenDSS file already.")
    stride = 1 if feeder.balanced else 3
    names = [name if feeder.balanced else name.rpartition(".")[0] for name in feeder.bus_names[::stride]]
    lines = [f"! {feeder.name}, from {feeder.source}", *(f"! b{i}: {name}" for i, name in enumerate(names))]
    lines += [_stated(feeder, stride, command) for command in export_commands(feeder, net)]
    xy = feeder.xy[::stride]
    lines += [
        f"SetBusXY bus=b{i} x={x:.9g} y={y:.9g}" for i, (x, y) in enumerate(xy) if np.isfinite((x, y)).all()
    ]
    return "\n".join((*lines, "Solve", ""))


def _stated(feeder: Feeder, stride: int, command: str) -> str:
    """A command with the name of what it makes, its load or its rating."""
    found = re.match(r"New (Load\.p|Line\.l|(?:Capacitor|Reactor)\.s)(\d+)p? ", command)
    if not found:
        return command
    row = int(found[2])
    if found[1].endswith(".s"):
        return f"! {command.split()[1]}: {label(feeder.native, 'shunt', feeder.native.shunt.index[row])}\n{command}"
    return _load(feeder, row, command) if found[1] == "Load.p" else _line(feeder, stride * row, command)


def _load(feeder: Feeder, row: int, command: str) -> str:
    point = feeder.points[row]
    power = f"kW={point.p_rated_w / 1e3:.12g} kvar={point.q_rated_var / 1e3:.12g}"
    return f"! p{row}: {point.name}\n" + command.replace("kW=0 kvar=0", power)


def _line(feeder: Feeder, row: int, command: str) -> str:
    rated_a, number = feeder.branch_rated_a[row], command.split()[1]
    rating = f" normamps={rated_a:.12g}" if rated_a > 0 else ""
    return f"! {number}: {feeder.branch_names[row]}\n{command}{rating}"


def write_dss(feeder: Feeder, path: Path) -> float:
    """Write the file, read it again and solve both at nominal load.

    Returns:
        The largest difference of a voltage, in pu.

    Raises:
        GridInputError: the path is no .dss file, or the feeder is one already.
        UnsupportedElementError: naming what OpenDSS is not given.
        GridError: what was read again is not the feeder; the file is left as it is.
    """
    if path.suffix.lower() != ".dss":
        raise GridInputError(f"{path.name} must end in .dss.")
    path.write_text(dss_text(feeder), encoding="utf-8")
    again = load_dss_feeder(path, path.name)
    if len(again.points) != len(feeder.points):
        raise GridError(f"{path.name} holds {len(again.points)} loads, the feeder {len(feeder.points)}.")
    solved = []
    for one in (feeder, again):
        p, q = nominal_powers(one)
        solved.append(make_engine(one, ENGINE).solve(p[None], q[None]).v_pu[0])
    row = {name: i for i, name in enumerate(again.bus_names)}
    phase = ("a" for _ in feeder.bus_names) if feeder.balanced else feeder.bus_phase
    stride = 1 if feeder.balanced else 3
    there = [row[f"b{i // stride}.{x}"] for i, x in enumerate(phase)]
    worst = float(np.abs(solved[1][there] - solved[0]).max())
    if not worst <= REREAD_PU:
        raise GridError(f"{path.name} as read again differs by {worst:.1e} pu (tolerance {REREAD_PU:.0e}).")
    return worst
