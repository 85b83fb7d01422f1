"""Feeders with single-phase connection points: what they need, and their rows per bus and phase."""

import dataclasses
from typing import Any, Literal

import numpy as np

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import ConnectionPoint, Feeder, FloatArray
from adapters.grid.normalise import label

PHASES: tuple[Literal["a", "b", "c"], ...] = ("a", "b", "c")
_ZERO_SEQUENCE = {
    "line": ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km"),
    "trafo": ("vector_group", "vk0_percent", "vkr0_percent"),
}


def asymmetric_points(net: Any, notes: list[str]) -> list[ConnectionPoint]:
    """Connection points of the asymmetric loads of a reduced net, one per phase used; the loads leave the net.

    A load with the same power in every phase is one three-phase point. Asymmetric static generators are
    refused.

    Raises:
        GridInputError: loads in delta, or zero-sequence data that are missing (named).
    """
    if len(net.asymmetric_sgen):
        raise GridInputError(
            f"{label(net, 'asymmetric_sgen', 0)}: asymmetric generators are not read; give it as a load with "
            "negative power."
        )
    points: list[ConnectionPoint] = []
    for row in net.asymmetric_load.itertuples():
        name = label(net, "asymmetric_load", row.Index)
        if str(row.type) != "wye":
            raise GridInputError(
                f"{name}: connected in {row.type}; only loads from phase to neutral are modelled."
            )
        scale = float(row.scaling) * 1e6
        power = [(getattr(row, f"p_{x}_mw") * scale, getattr(row, f"q_{x}_mvar") * scale) for x in PHASES]
        used = [i for i, pair in enumerate(power) if pair != (0.0, 0.0)]
        if len(used) == 3 and len(set(power)) == 1:
            points.append(ConnectionPoint(name, int(row.bus), "abc", 3 * power[0][0], 3 * power[0][1]))
            continue
        for i in used or [0]:
            text = name if len(used) <= 1 else f"{name} ({PHASES[i]})"
            p_w, q_var = power[i]
            points.append(ConnectionPoint(text, int(row.bus), PHASES[i], float(p_w), float(q_var)))
        if not used:
            notes.append(f"{name} states no power in any phase: connected to phase a.")
    net.asymmetric_load = net.asymmetric_load.iloc[:0]
    if any(point.phases != "abc" for point in points):
        _require_zero_sequence(net)
    return points


def _require_zero_sequence(net: Any) -> None:
    missing = [
        f"{label(net, table, i)} ({column})"
        for table, columns in _ZERO_SEQUENCE.items()
        for column in columns
        for i in net[table].index
        if column not in net[table].columns or net[table].at[i, column] in (None, "")
        or net[table].at[i, column] != net[table].at[i, column]
    ]  # fmt: skip
    if missing:
        rest = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        raise GridInputError(
            f"single-phase loads need zero-sequence data, which are missing: {', '.join(missing[:6])}{rest}."
        )


def per_phase(feeder: Feeder) -> Feeder:
    """The feeder with one row per bus and phase (bus row times three plus phase), and branches likewise."""

    def repeated(values: FloatArray) -> FloatArray:
        return np.repeat(values, 3, axis=0)

    points = tuple(
        dataclasses.replace(point, bus=3 * point.bus + max(0, "abc".find(point.phases[:1])))
        for point in feeder.points
    )
    phase = np.tile(np.arange(3), feeder.n_branch)
    return dataclasses.replace(
        feeder,
        bus_names=tuple(f"{name}.{x}" for name in feeder.bus_names for x in PHASES),
        bus_vn_v=repeated(feeder.bus_vn_v),
        slack_bus=3 * feeder.slack_bus,
        branch_names=tuple(f"{name}.{x}" for name in feeder.branch_names for x in PHASES),
        branch_kind=tuple(kind for kind in feeder.branch_kind for _ in PHASES),
        branch_from=3 * np.repeat(feeder.branch_from, 3) + phase,
        branch_to=3 * np.repeat(feeder.branch_to, 3) + phase,
        branch_rated_a=repeated(feeder.branch_rated_a),
        branch_rated_va=repeated(feeder.branch_rated_va) / 3,
        branch_length_m=repeated(feeder.branch_length_m),
        points=points,
        xy=repeated(feeder.xy),
        bus_phase=PHASES * feeder.n_bus,
        branch_phase=PHASES * feeder.n_branch,
        site=np.repeat(np.arange(feeder.n_bus), 3),
        notes=(
            *feeder.notes,
            "Single-phase connections: solved per phase, voltages are phase to neutral.",
            *(
                ("Shunts are taken as stars with their neutral on earth.",)
                if len(feeder.native.shunt)
                else ()
            ),
        ),
    )


def phase_shares(feeder: Feeder) -> FloatArray:
    """(n_points, 3): which share of a point's power flows in which phase."""
    shares = {"abc": (1 / 3, 1 / 3, 1 / 3), "a": (1.0, 0.0, 0.0), "b": (0.0, 1.0, 0.0), "c": (0.0, 0.0, 1.0)}
    return np.array([shares[point.phases] for point in feeder.points], dtype=np.float64).reshape(-1, 3)


def unbalance_percent(voltage: Any) -> FloatArray:
    """Negative- over positive-sequence voltage in percent, from complex phase voltages (..., 3).

    IEC 61000-4-30, the factor u2; Fortescue's transformation.
    """
    turn = np.exp(2j * np.pi / 3)
    positive = voltage @ np.array([1, turn, turn**2])
    negative = voltage @ np.array([1, turn**2, turn])
    result: FloatArray = 100.0 * np.abs(negative) / np.abs(positive)
    return result
