"""A reduced pandapower net as OpenDSS commands: another engine for the same plant.

Stated tolerance against pandapower: 5e-5 pu (OpenDSS's own transformer model). Balanced unless the feeder has
single-phase points, which need zero-sequence data. ``vminpu`` is off, so that loads keep their power.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from adapters.grid.errors import UnsupportedElementError
from adapters.grid.feeder import Feeder
from adapters.grid.normalise import label
from adapters.grid.opendss_core import MAX_ITERATIONS, TOLERANCE_PU, V_MIN_PU
from adapters.grid.topology import potentials

ENGINE = "opendss"
TOLERANCE_TO_PANDAPOWER_PU = 5e-5
OPEN_OHM = 1e12
SOURCE_DROP_PU = 1e-9  # an ideal source is not to be had; a stiffer one costs digits of its power
_UNSUPPORTED = ("trafo3w", "impedance", "tcsc", "gen", "ward", "xward", "motor", "svc", "ssc")
_NODES = {"abc": ".1.2.3", "a": ".1", "b": ".2", "c": ".3"}
_DELTA = {1: (0, "lag"), 5: (1, "lag"), 9: (2, "lag"), 11: (0, "lead"), 3: (1, "lead"), 7: (2, "lead")}
"""By clock number, by how many phases a delta winding is turned and whether it lags: OpenDSS knows 1 and 11 alone."""
_TURNED = (".1.2.3", ".2.3.1", ".3.1.2")


def refused_elements(net: Any) -> tuple[str, ...]:
    """What is not exported: one text per element, naming it."""
    found = [
        f"{label(net, table, i)} ({table})"
        for table in _UNSUPPORTED
        if table in net and len(net[table])
        for i in net[table].index
    ]
    found += [f"{label(net, 'ext_grid', i)} (second external grid)" for i in net.ext_grid.index[1:]]
    for i in net.trafo.index:
        if str(net.trafo.at[i, "tap_changer_type"]) in ("Tabular", "Ideal"):
            found.append(f"{label(net, 'trafo', i)} ({net.trafo.at[i, 'tap_changer_type']} tap changer)")
    return (*found, *_meshed_shifts(net))


def refused_groups(net: Any) -> tuple[str, ...]:
    """Transformers that are not exported where houses have single phases: the zero sequence would be another."""
    found = []
    for i, row in enumerate(net.trafo.itertuples()):
        group = str(row.vector_group).rstrip("0123456789")
        if group not in ("Dyn", "YNyn"):
            found.append(f"{label(net, 'trafo', i)} (vector group {row.vector_group})")
        elif group == "Dyn" and _clock(row) not in _DELTA:
            found.append(
                f"{label(net, 'trafo', i)} (group Dyn with a phase shift of {row.shift_degree:g} degrees)"
            )
    return tuple(found)


def delta_turns(feeder: Feeder, net: Any) -> list[int]:
    """By how many phases the upper winding of each exported transformer is turned."""
    if feeder.balanced:
        return [0] * len(net.trafo)
    rows = list(net.trafo.itertuples())
    return [_DELTA[int(_clock(row))][0] if str(row.vector_group).startswith("D") else 0 for row in rows]


def _clock(row: Any) -> float:
    return float(row.shift_degree) / 30 % 12


def _meshed_shifts(net: Any) -> list[str]:
    """Transformers whose phase shift is not the same along every path: OpenDSS's are all set to zero shift."""
    steps = [(int(a), int(b), 0.0) for a, b in zip(net.line.from_bus, net.line.to_bus, strict=True)]
    steps += [(int(t.hv_bus), int(t.lv_bus), -float(t.shift_degree)) for t in net.trafo.itertuples()]
    angle = potentials(len(net.bus), steps, {int(net.ext_grid.bus.iloc[0]): 0.0})
    return [
        f"{label(net, 'trafo', i)} (phase shift in a loop)"
        for i, t in enumerate(net.trafo.itertuples())
        if abs((angle[t.hv_bus] - angle[t.lv_bus] - t.shift_degree + 180) % 360 - 180) > 1e-6
    ]


def export_commands(feeder: Feeder, net: Any) -> list[str]:
    """Commands that build the feeder; bus row i is ``b<i>``, point i ``Load.p<i>``, line i ``Line.l<i>``.

    Args:
        feeder: whose points are exported.
        net: its reduced net, perhaps with a model error applied.

    Raises:
        UnsupportedElementError: naming what OpenDSS is not given.
    """
    refused = (*refused_elements(net), *(() if feeder.balanced else refused_groups(net)))
    if refused:
        raise UnsupportedElementError(ENGINE, refused)
    grid = net.ext_grid.iloc[0]
    bus = int(grid.bus)
    rated_va = max(1e4, sum(abs(point.p_rated_w) + abs(point.q_rated_var) for point in feeder.points))
    source_ohm = SOURCE_DROP_PU * (float(net.bus.vn_kv[bus]) * 1e3) ** 2 / rated_va
    return [
        "Clear",
        f"Set DefaultBaseFrequency={float(net.f_hz):.10g}",
        f"New Circuit.feeder bus1=b{bus} basekv={net.bus.vn_kv[bus]:.12g} pu={grid.vm_pu:.12g} angle=0 phases=3 "
        f"R1=0 X1={source_ohm:.6g} R0=0 X0={source_ohm:.6g}",
        *_lines(feeder, net),
        *_transformers(feeder, net),
        *_shunts(net),
        *_loads(feeder),
        f"Set voltagebases=[{' '.join(f'{kv:.12g}' for kv in sorted(set(net.bus.vn_kv)))}]",
        "Calcvoltagebases",
        "Set mode=snapshot controlmode=off",
        f"Set tolerance={TOLERANCE_PU} maxiterations={MAX_ITERATIONS}",
    ]


def _lines(feeder: Feeder, net: Any) -> Iterator[str]:
    for i, row in enumerate(net.line.itertuples()):
        length, n = float(row.length_km), float(row.parallel)
        r1, x1 = row.r_ohm_per_km * length / n, row.x_ohm_per_km * length / n
        c1 = row.c_nf_per_km * length * n
        r0, x0, c0 = r1, x1, c1  # nothing flows in the zero sequence of a balanced feeder
        if not feeder.balanced:
            r0, x0 = row.r0_ohm_per_km * length / n, row.x0_ohm_per_km * length / n
            c0 = row.c0_nf_per_km * length * n
        yield (
            f"New Line.l{i} bus1=b{row.from_bus} bus2=b{row.to_bus} phases=3 length=1 units=none "
            f"r1={r1:.12g} x1={x1:.12g} r0={r0:.12g} x0={x0:.12g} c1={c1:.12g} c0={c0:.12g}"
        )
        siemens = float(np.nan_to_num(row.g_us_per_km)) * 1e-6 * length * n
        if siemens > 0:
            for end, at in (("f", row.from_bus), ("t", row.to_bus)):
                yield f"New Reactor.g{i}{end} bus1=b{at} phases=3 R={2 / siemens:.12g} X=0"


def _transformers(feeder: Feeder, net: Any) -> Iterator[str]:
    for i, row in enumerate(net.trafo.itertuples()):
        kva = float(row.sn_mva * row.parallel) * 1e3
        reactance = np.sqrt(row.vk_percent**2 - row.vkr_percent**2)
        tap = {"hv": 1.0, "lv": 1.0}
        if isinstance(row.tap_changer_type, str) and np.isfinite(row.tap_pos):
            tap[row.tap_side] += (
                float(row.tap_pos - np.nan_to_num(row.tap_neutral)) * row.tap_step_percent / 100
            )
        delta = not feeder.balanced and str(row.vector_group).startswith("D")
        turn, lead = _DELTA[int(_clock(row))] if delta else (0, "lag")
        yield (
            f"New Transformer.t{i} phases=3 windings=2 XHL={reactance:.12g} %LoadLoss={row.vkr_percent:.12g} "
            "%NoLoadLoss=0 %imag=0 ppm_antifloat=0 "
            f"leadlag={lead} wdg=1 bus=b{row.hv_bus}{_TURNED[turn]} conn={'delta' if delta else 'wye'} "
            f"kV={row.vn_hv_kv:.12g} kVA={kva:.12g} tap={tap['hv']:.12g} "
            f"wdg=2 bus=b{row.lv_bus} conn=wye kV={row.vn_lv_kv:.12g} kVA={kva:.12g} tap={tap['lv']:.12g}"
        )
        yield from _magnetising(i, row, tap)


def _magnetising(i: int, row: Any, tap: dict[str, float]) -> Iterator[str]:
    """Half of the no-load power at either end, as in the π model; OpenDSS puts all of it at one winding."""
    p_w = float(row.pfe_kw * row.parallel) * 1e3
    s_va = float(row.i0_percent / 100 * row.sn_mva * row.parallel) * 1e6
    q_var = np.sqrt(max(0.0, s_va**2 - p_w**2))
    if p_w <= 0 and q_var <= 0:
        return
    for end, bus, volt in (
        ("f", row.hv_bus, row.vn_hv_kv * tap["hv"] * 1e3),
        ("t", row.lv_bus, row.vn_lv_kv * tap["lv"] * 1e3),
    ):
        ohm = [2 * volt**2 / x if x > 0 else OPEN_OHM for x in (p_w, q_var)]
        yield f"New Reactor.m{i}{end} bus1=b{bus} phases=3 R=0 X={ohm[1]:.12g} Rp={ohm[0]:.12g}"


def _shunts(net: Any) -> Iterator[str]:
    """Capacitor banks, reactors and conductances: constant impedances, which no reader takes for a load."""
    for i, row in enumerate(net.shunt.itertuples()):
        p_w, q_var, volt = row.p_mw * row.step * 1e6, row.q_mvar * row.step * 1e6, row.vn_kv * 1e3
        at = f"bus1=b{row.bus} phases=3"
        if q_var < 0:
            yield f"New Capacitor.s{i} {at} kV={row.vn_kv:.12g} kvar={-q_var / 1e3:.12g}"
        elif q_var > 0:
            yield f"New Reactor.s{i} {at} R=0 X={volt**2 / q_var:.12g}"
        if p_w != 0:
            yield f"New Reactor.s{i}p {at} R={volt**2 / p_w:.12g} X=0"


def _loads(feeder: Feeder) -> Iterator[str]:
    stride = 1 if feeder.balanced else 3
    for i, point in enumerate(feeder.points):
        kv = feeder.bus_vn_v[point.bus] / 1e3 / (1.0 if point.phases == "abc" else np.sqrt(3))
        n_phases = 3 if point.phases == "abc" else 1
        yield (
            f"New Load.p{i} bus1=b{point.bus // stride}{_NODES[point.phases]} phases={n_phases} conn=wye model=1 "
            f"kV={kv:.12g} kW=0 kvar=0 vminpu={V_MIN_PU} vlowpu=0 vmaxpu=9"
        )
