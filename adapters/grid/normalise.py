"""A pandapower net reduced to what is energised: taps honoured, switches resolved, rows numbered from zero.

pandapower and power-grid-model read the same reduced net, so that they cannot disagree about topology. That
the reduction itself changes nothing is tested against ``pandapower.runpp`` on the net as it came.
"""

from typing import Any

from adapters.grid.case_values import check_values
from adapters.grid.errors import GridInputError
from adapters.grid.topology import DisjointSets, energised_buses

# element table -> its columns that name buses; every table that may stay in the net is listed
BRANCH_TABLES: dict[str, tuple[str, ...]] = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "trafo3w": ("hv_bus", "mv_bus", "lv_bus"),
    "impedance": ("from_bus", "to_bus"),
    "tcsc": ("from_bus", "to_bus"),
}
INJECTION_TABLES: tuple[str, ...] = (
    *("ext_grid", "gen", "load", "sgen", "storage", "shunt", "ward", "xward", "motor"),
    *("asymmetric_load", "asymmetric_sgen", "svc", "ssc"),
)
REFUSED_TABLES: tuple[str, ...] = (
    *("dcline", "bus_dc", "line_dc", "load_dc", "source_dc", "vsc", "vsc_stacked", "vsc_bipolar", "b2b_vsc"),
)
_SWITCH_CODES = {"l": "line", "t": "trafo", "t3": "trafo3w"}
_SWITCH_RX_RATIO = 2.0  # pandapower's default for switches with an impedance


def label(net: Any, table: str, index: Any) -> str:
    """A name for a row of an element table: its own, or table and index where it has none."""
    name = net[table].at[index, "name"] if "name" in net[table].columns else None
    return str(name) if isinstance(name, str) and name.strip() else f"{table} {index}"


def normalise(net: Any) -> tuple[str, ...]:
    """Reduce ``net`` in place and return what was assumed or changed, a sentence each.

    Raises:
        GridInputError: no external grid, an element that no engine here models, or an isolated bus that
        carries
            a load or a generator (all named).
    """
    notes: list[str] = []
    _refuse(net)
    _honour_taps(net, notes)
    _drop_out_of_service(net, notes)
    _resolve_branch_ends(net, notes)
    _fuse_buses(net, notes)
    _drop_isolated(net, notes)
    _renumber(net)
    return tuple(notes)


def _listed(names: list[str], most: int = 8) -> str:
    """Join names for a message, shortened where there are many."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _tables(net: Any, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in net and len(net[name])]


def _refuse(net: Any) -> None:
    found = [label(net, table, i) for table in _tables(net, REFUSED_TABLES) for i in net[table].index]
    if found:
        raise GridInputError(
            f"direct-current elements are not modelled: {_listed(found)}. Replace them by loads."
        )
    if not len(net.ext_grid) or not net.ext_grid.in_service.any():
        raise GridInputError(
            "the net has no external grid (ext_grid) in service: add the upstream connection."
        )
    if not len(net.bus):
        raise GridInputError("the net has no buses.")
    check_values(net)
    line = net.line
    short = line.index[
        ((line.r_ohm_per_km * line.length_km) == 0) & ((line.x_ohm_per_km * line.length_km) == 0)
    ]
    if len(short):
        raise GridInputError(
            f"lines without impedance: {_listed([label(net, 'line', i) for i in short])}. "
            "Replace them by closed bus-bus switches."
        )


def _honour_taps(net: Any, notes: list[str]) -> None:
    """pandapower ignores ``tap_pos`` where ``tap_changer_type`` is empty; SimBench leaves it empty."""
    for table in _tables(net, ("trafo", "trafo3w")):
        frame = net[table]
        if "tap_changer_type" not in frame.columns:
            frame["tap_changer_type"] = None
        if "tap_dependency_table" not in frame.columns:  # nets from before pandapower 3
            frame["tap_dependency_table"] = False
        has_data = frame.tap_side.notna() & frame.tap_pos.notna() & frame.tap_step_percent.notna()
        untyped = frame.tap_changer_type.isna() | (
            frame.tap_changer_type.astype(str).isin(["", "None", "nan"])
        )
        frame["tap_changer_type"] = frame["tap_changer_type"].astype(object)
        for index in frame.index[has_data & untyped]:
            frame.at[index, "tap_changer_type"] = "Ratio"
            step = float(frame.at[index, "tap_step_percent"])
            off_neutral = float(frame.at[index, "tap_pos"]) - float(frame.at[index, "tap_neutral"] or 0.0)
            notes.append(
                f"Transformer {label(net, table, index)}: the case states tap {frame.at[index, 'tap_pos']:g} "
                f"but no tap type, which pandapower would ignore; taken as a ratio tap on the "
                f"{frame.at[index, 'tap_side']} side ({off_neutral * step:+g} % of its winding)."
            )


def _drop_out_of_service(net: Any, notes: list[str]) -> None:
    for table in _tables(net, (*BRANCH_TABLES, *INJECTION_TABLES)):
        frame = net[table]
        gone = frame.index[~frame.in_service.astype(bool)]
        if len(gone):
            notes.append(f"Out of service, left out: {_listed([label(net, table, i) for i in gone])}.")
            net[table] = frame.drop(gone)
    dead = set(net.bus.index[~net.bus.in_service.astype(bool)])
    for table in _tables(net, INJECTION_TABLES):
        gone = net[table].index[net[table].bus.isin(dead)]
        if len(gone):
            notes.append(
                f"At a bus out of service, left out: {_listed([label(net, table, i) for i in gone])}."
            )
            net[table] = net[table].drop(gone)
    if len(net.get("controller", ())):
        notes.append(f"{len(net.controller)} controllers of the net are not run.")


def _open_end(net: Any, table: str, index: Any, column: str) -> None:
    """Hang one end of a branch on a bus of its own: the branch stays energised from the other side."""
    old = net[table].at[index, column]
    new = int(max(net.bus.index)) + 1
    row = net.bus.loc[old].copy()
    row["name"] = f"{label(net, table, index)} (open end at {label(net, 'bus', old)})"
    row["in_service"] = True
    net.bus.loc[new] = row
    net[table].at[index, column] = new


def _resolve_branch_ends(net: Any, notes: list[str]) -> None:
    opened: set[tuple[str, Any, str]] = set()
    if len(net.switch):
        for row in net.switch[~net.switch.closed.astype(bool) & (net.switch.et != "b")].itertuples():
            table = _SWITCH_CODES[row.et]
            if row.element not in net[table].index:
                continue
            columns = [c for c in BRANCH_TABLES[table] if net[table].at[row.element, c] == row.bus]
            if not columns:
                raise GridInputError(
                    f"switch {row.Index} is not at an end of {label(net, table, row.element)}."
                )
            opened.add((table, row.element, columns[0]))
    dead = set(net.bus.index[~net.bus.in_service.astype(bool)])
    for table in _tables(net, tuple(BRANCH_TABLES)):
        for column in BRANCH_TABLES[table]:
            for index in net[table].index[net[table][column].isin(dead)]:
                opened.add((table, index, column))
    by_branch: dict[tuple[str, Any], list[str]] = {}
    for table, index, column in sorted(opened, key=str):
        by_branch.setdefault((table, index), []).append(column)
    for (table, index), columns in by_branch.items():
        name = label(net, table, index)
        if len(columns) >= len(BRANCH_TABLES[table]):
            notes.append(f"{name} is open at every end, left out.")
            net[table] = net[table].drop(index)
            continue
        notes.append(f"{name} is open at {len(columns)} end(s): kept, energised from the other.")
        for column in columns:
            _open_end(net, table, index, column)
    net.bus = net.bus[net.bus.in_service.astype(bool)]


def _switch_as_line(net: Any, row: Any) -> None:
    """A closed bus-bus switch with an impedance is a line of that impedance, a metre long, without rating."""
    import numpy as np

    scale = 1e3 * float(row.z_ohm) / np.hypot(1.0, _SWITCH_RX_RATIO)
    index = int(max(net.line.index, default=-1)) + 1
    values = {
        "name": f"switch {row.Index}" if not isinstance(row.name, str) else row.name,
        **{"from_bus": row.bus, "to_bus": row.element, "length_km": 1e-3, "parallel": 1, "df": 1.0},
        **{"r_ohm_per_km": scale * _SWITCH_RX_RATIO, "x_ohm_per_km": scale, "c_nf_per_km": 0.0},
        **{"g_us_per_km": 0.0, "max_i_ka": float("nan"), "in_service": True},
    }
    for column, value in values.items():
        net.line.at[index, column] = value


def _fuse_buses(net: Any, notes: list[str]) -> None:
    sets = DisjointSets(net.bus.index)
    if len(net.switch):
        closed = net.switch[net.switch.closed.astype(bool) & (net.switch.et == "b")]
        for row in closed[closed.bus.isin(net.bus.index) & closed.element.isin(net.bus.index)].itertuples():
            if getattr(row, "z_ohm", 0.0) > 0:
                _switch_as_line(net, row)
                notes.append(f"Switch {row.Index} has {row.z_ohm:g} ohm: modelled as a line without rating.")
            else:
                sets.join(int(row.bus), int(row.element))
    groups = [group for group in sets.groups() if len(group) > 1]
    if groups:
        texts = [" = ".join(label(net, "bus", b) for b in group) for group in groups]
        notes.append(f"Buses joined by closed switches are one bus: {_listed(texts, 4)}.")
    to = {bus: group[0] for group in groups for bus in group}
    for table, columns in (*BRANCH_TABLES.items(), *((t, ("bus",)) for t in INJECTION_TABLES)):
        for column in columns:
            if table in net and len(net[table]):
                net[table][column] = net[table][column].map(lambda b: to.get(b, b)).astype("int64")
    net.bus = net.bus.drop([b for group in groups for b in group[1:]])
    net.switch = net.switch.iloc[:0]
    for table in _tables(net, ("line", "impedance", "trafo")):
        first, second = BRANCH_TABLES[table]
        looped = net[table].index[net[table][first] == net[table][second]]
        if len(looped):
            notes.append(
                f"Bridged by closed switches, left out: {_listed([label(net, table, i) for i in looped])}."
            )
            net[table] = net[table].drop(looped)


def _drop_isolated(net: Any, notes: list[str]) -> None:
    pairs = [
        (int(a), int(b))
        for table in _tables(net, tuple(BRANCH_TABLES))
        for other in BRANCH_TABLES[table][1:]
        for a, b in zip(net[table][BRANCH_TABLES[table][0]], net[table][other], strict=True)
    ]
    alive = energised_buses(net.bus.index, pairs, net.ext_grid.bus)
    dead = [bus for bus in net.bus.index if bus not in alive]
    if not dead:
        return
    stranded = [
        f"{label(net, table, i)} at bus {label(net, 'bus', net[table].at[i, 'bus'])}"
        for table in _tables(net, INJECTION_TABLES)
        for i in net[table].index[net[table].bus.isin(dead)]
    ]
    if stranded:
        raise GridInputError(
            f"isolated from every external grid: {_listed(stranded)}. Close the switch or line that "
            "should feed them, or take them out of service."
        )
    notes.append(
        f"De-energised buses without load, left out: {_listed([label(net, 'bus', b) for b in dead])}."
    )
    for table in _tables(net, tuple(BRANCH_TABLES)):
        net[table] = net[table][net[table][BRANCH_TABLES[table][0]].isin(alive)]
    net.bus = net.bus.drop(dead)


def _renumber(net: Any) -> None:
    """Number buses and elements from zero, so that row and index are the same everywhere after."""
    to = {old: new for new, old in enumerate(net.bus.index)}
    net.bus = net.bus.reset_index(drop=True)
    for table, columns in (*BRANCH_TABLES.items(), *((t, ("bus",)) for t in INJECTION_TABLES)):
        if table in net and len(net[table]):
            net[table] = net[table].reset_index(drop=True)
            for column in columns:
                net[table][column] = net[table][column].map(to).astype("int64")
