"""A pandapower net as a feeder: names, ratings, connection points, the case's own assets, coordinates."""

import json
from typing import Any, Literal

import numpy as np

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import CaseAsset, ConnectionPoint, Feeder, FloatArray
from adapters.grid.normalise import BRANCH_TABLES, label, normalise
from adapters.grid.phases import asymmetric_points, per_phase
from adapters.grid.topology import tree_layout

UNLIMITED_KA = 1e3  # pandapower's cases write 99999 kA where no rating is known
EARTH_RADIUS_M = 6_371_008.8
FIXED_TABLES = ("gen", "shunt", "ward", "xward", "motor", "svc", "ssc")


def feeder_from_net(net: Any, name: str, source: str) -> Feeder:
    """Build a feeder from a pandapower net, which is changed in place and becomes ``Feeder.native``.

    In the native net, load row i is connection point i, and sgens and storages are gone: what they inject is
    part of the powers that an engine is given. Its elements are numbered from zero.

    Raises:
        GridInputError: as ``normalise`` does, and for values that cannot be read.
    """
    notes = list(normalise(net))
    points = _load_points(net, notes)
    single_phase = asymmetric_points(net, notes)
    points += single_phase
    assets = _assets(net, points, notes)
    _replace_loads(net, points)
    _note_fixed(net, notes)
    branches = _branches(net, notes)
    feeder = Feeder(
        name=name,
        source=source,
        bus_names=unique_names([label(net, "bus", i) for i in net.bus.index], "bus", notes),
        bus_vn_v=net.bus.vn_kv.to_numpy(dtype=np.float64) * 1e3,
        slack_bus=int(net.ext_grid.bus.iloc[0]),
        points=tuple(points),
        assets=tuple(assets),
        xy=_coordinates(net, branches["branch_from"], branches["branch_to"], notes),
        native=net,
        notes=tuple(notes),
        **branches,
    )
    return per_phase(feeder) if single_phase else feeder


def unique_names(names: list[str], what: str, notes: list[str]) -> tuple[str, ...]:
    """The names with a counter behind those that occur again, which is noted."""
    seen: dict[str, int] = {}
    taken = set(names)
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        candidate = name
        while seen[name] > 1 and candidate in taken:
            candidate = f"{name} #{seen[name]}"
            seen[name] += candidate in taken
        taken.add(candidate)
        result.append(candidate)
    doubled = [name for name, count in seen.items() if count > 1]
    if doubled:
        notes.append(
            f"{len(doubled)} {what} name(s) occur more than once and got a counter, e.g. {doubled[0]}."
        )
    return tuple(result)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _scaled(frame: Any, column: str) -> FloatArray:
    scaling = frame["scaling"].fillna(1.0) if "scaling" in frame.columns else 1.0
    values: FloatArray = (frame[column] * scaling).to_numpy(dtype=np.float64) * 1e6
    return values


def _load_points(net: Any, notes: list[str]) -> list[ConnectionPoint]:
    frame = net.load
    if not len(frame):
        return []
    p_w, q_var = _scaled(frame, "p_mw"), _scaled(frame, "q_mvar")
    for i in np.flatnonzero(~np.isfinite(p_w) | ~np.isfinite(q_var)):
        raise GridInputError(f"{label(net, 'load', i)}: power is not a finite number.")
    names = unique_names([label(net, "load", i) for i in frame.index], "load", notes)
    percent = [c for c in frame.columns if c.startswith("const_")]
    if percent and bool((frame[percent].fillna(0.0) != 0).to_numpy().any()):
        notes.append("Loads with a constant-impedance or constant-current share are taken as constant power.")
    negative = [names[i] for i in np.flatnonzero(p_w < 0)]
    if negative:
        notes.append(f"Loads with negative power feed in: {', '.join(negative[:8])}.")
    profiles = frame["profile"] if "profile" in frame.columns else [None] * len(frame)
    return [
        ConnectionPoint(name, int(bus), "abc", float(p), float(q), _text(profile))
        for name, bus, p, q, profile in zip(names, frame.bus, p_w, q_var, profiles, strict=True)
    ]


def _point_at(points: list[ConnectionPoint], bus: int, profile: str | None, owner: str) -> int:
    """The point of an asset: the load of its bus whose profile it names, else the first, else a new one."""
    here = [i for i, point in enumerate(points) if point.bus == bus]
    for i in here:
        if profile and points[i].profile and profile.endswith(str(points[i].profile)):
            return i
    if here:
        return here[0]
    points.append(ConnectionPoint(f"{owner} connection", bus))
    return len(points) - 1


def _assets(net: Any, points: list[ConnectionPoint], notes: list[str]) -> list[CaseAsset]:
    storages = _storages(net, points, notes)
    owner = {points[asset.point].bus: asset.point for asset in reversed(storages)}
    plants = _plants(net, points, owner, notes)
    new = sum(point.p_rated_w == 0 and point.name.endswith(" connection") for point in points)
    if new:
        notes.append(f"{new} bus(es) with an asset but no load got a connection point of zero load.")
    return [*plants, *storages]


def _storages(net: Any, points: list[ConnectionPoint], notes: list[str]) -> list[CaseAsset]:
    found = []
    for row in net.storage.itertuples():
        rated = [getattr(row, c, float("nan")) for c in ("max_p_mw", "min_p_mw", "sn_mva", "p_mw")]
        p_w = float(np.nanmax(np.abs(np.array(rated, dtype=np.float64)))) * 1e6
        capacity = getattr(row, "max_e_mwh", float("nan"))
        efficiency = float(getattr(row, "efficiency_percent", float("nan")))
        efficiency = efficiency / 100 if efficiency > 1.5 else efficiency
        name = label(net, "storage", row.Index)
        if not capacity > 0:
            notes.append(f"{name} states no energy capacity: two hours at rated power are assumed.")
            capacity = 2e-6 * p_w
        if not 0 < efficiency <= 1:
            notes.append(f"{name} states no efficiency: 0.95 one way is assumed.")
            efficiency = 0.95
        profile = _text(getattr(row, "profile", None))
        point = _point_at(points, int(row.bus), profile, name)
        found.append(CaseAsset("battery", name, point, p_w, float(capacity) * 1e6, efficiency, profile))
    return found


def _plants(
    net: Any, points: list[ConnectionPoint], owner: dict[int, int], notes: list[str]
) -> list[CaseAsset]:
    found = []
    for row, p_w in zip(net.sgen.itertuples(), _scaled(net.sgen, "p_mw"), strict=True):
        name = label(net, "sgen", row.Index)
        if not p_w >= 0:
            raise GridInputError(
                f"{name}: a static generator of {p_w:g} W; give generation >= 0, model draw as load."
            )
        kind = _text(getattr(row, "type", None))
        if kind is not None and kind.upper() != "PV":
            notes.append(f"{name} is of type {kind}: treated as weather-driven generation, like PV.")
        if abs(float(row.q_mvar)) > 0:
            notes.append(f"{name} states {row.q_mvar:g} Mvar, left out: it runs at unity power factor here.")
        profile = _text(getattr(row, "profile", None))
        point = owner.get(int(row.bus))
        point = _point_at(points, int(row.bus), profile, name) if point is None else point
        found.append(CaseAsset("pv", name, point, float(p_w), profile=profile))
    return found


def _replace_loads(net: Any, points: list[ConnectionPoint]) -> None:
    """One load row per connection point; everything that engines are given as power leaves the net."""
    import pandas as pd

    columns = {
        "name": [point.name for point in points],
        "bus": np.array([point.bus for point in points], dtype=np.int64),
        "p_mw": np.array([point.p_rated_w for point in points]) / 1e6,
        "q_mvar": np.array([point.q_rated_var for point in points]) / 1e6,
        **{f"const_{e}_{c}_percent": np.zeros(len(points)) for e in "zi" for c in "pq"},
        **{"sn_mva": np.full(len(points), np.nan), "scaling": np.ones(len(points))},
        **{"in_service": np.ones(len(points), dtype=bool), "type": [None] * len(points)},
    }
    net.load = pd.DataFrame(columns)
    net.sgen, net.storage = net.sgen.iloc[:0], net.storage.iloc[:0]


def _note_fixed(net: Any, notes: list[str]) -> None:
    if len(net.ext_grid) > 1:
        others = ", ".join(label(net, "ext_grid", i) for i in net.ext_grid.index[1:])
        notes.append(f"Several external grids; the first is the slack bus of the tables, further: {others}.")
    for table in FIXED_TABLES:
        if table in net and len(net[table]):
            names = ", ".join(label(net, table, i) for i in net[table].index[:8])
            notes.append(f"{len(net[table])} {table} element(s) stay as the case has them: {names}.")


def _branches(net: Any, notes: list[str]) -> dict[str, Any]:
    """Branch rows: lines, transformers, three-winding (two rows each), impedances, series compensators."""
    names: list[str] = []
    kinds: list[Literal["line", "trafo"]] = []
    ends: list[tuple[int, int]] = []
    rated_a: list[float] = []
    rated_va: list[float] = []
    length_m: list[float] = []
    for table in BRANCH_TABLES:
        for row in net[table].itertuples() if table in net else ():
            name = label(net, table, row.Index)
            first, *others = (int(getattr(row, column)) for column in BRANCH_TABLES[table])
            for other, side in zip(others, ("mv", "lv"), strict=False):
                names.append(f"{name} ({side})" if table == "trafo3w" else name)
                kinds.append("trafo" if table.startswith("trafo") else "line")
                ends.append((first, other))
                rated_a.append(_line_rating_a(row) if table == "line" else float("nan"))
                rated_va.append(_trafo_rating_va(row, table, side))
                length_m.append(float(row.length_km) * 1e3 if table == "line" else float("nan"))
    unrated = [n for n, k, a in zip(names, kinds, rated_a, strict=True) if k == "line" and not a > 0]
    if unrated:
        notes.append(
            f"{len(unrated)} line(s) without a thermal rating, their loading is unknown: {unrated[0]}..."
        )
    array = np.array(ends, dtype=np.int64).reshape(-1, 2)
    return {
        "branch_names": unique_names(names, "branch", notes),
        "branch_kind": tuple(kinds),
        "branch_from": array[:, 0].copy(),
        "branch_to": array[:, 1].copy(),
        "branch_rated_a": np.array(rated_a, dtype=np.float64),
        "branch_rated_va": np.array(rated_va, dtype=np.float64),
        "branch_length_m": np.array(length_m, dtype=np.float64),
    }


def _line_rating_a(row: Any) -> float:
    amps = float(row.max_i_ka) * float(row.df) * float(row.parallel) * 1e3
    return amps if 0 < float(row.max_i_ka) < UNLIMITED_KA else float("nan")


def _trafo_rating_va(row: Any, table: str, side: str) -> float:
    if table == "trafo":
        return float(row.sn_mva) * float(row.parallel) * float(row.df) * 1e6
    return float(getattr(row, f"sn_{side}_mva")) * 1e6 if table == "trafo3w" else float("nan")


def _coordinates(net: Any, branch_from: Any, branch_to: Any, notes: list[str]) -> FloatArray:
    """Metres where the case has longitude and latitude, else as given, or a computed tree."""
    n_bus = len(net.bus)
    xy = np.full((n_bus, 2), np.nan)
    for i, text in enumerate(net.bus["geo"] if "geo" in net.bus.columns else ()):
        if isinstance(text, str) and text.strip():
            try:
                xy[i] = json.loads(text)["coordinates"][:2]
            except (ValueError, KeyError, TypeError, IndexError):
                notes.append(f"{label(net, 'bus', i)}: its coordinates cannot be read.")
    if np.isnan(xy).any() or len(np.unique(xy.round(9), axis=0)) < max(2, n_bus // 2):
        notes.append("Coordinates are missing or coincide: the drawing is a computed tree, not a map.")
        pairs = zip(branch_from.tolist(), branch_to.tolist(), strict=True)
        return tree_layout(n_bus, pairs, int(net.ext_grid.bus.iloc[0]))
    centre = xy.mean(axis=0)
    if (
        np.all(np.abs(xy) <= (180.0, 90.0))
        and np.all(np.ptp(xy, axis=0) < 5.0)
        and np.abs(centre).max() > 5.0
    ):
        scale = np.radians(1.0) * EARTH_RADIUS_M
        xy = (xy - centre) * (scale * np.cos(np.radians(centre[1])), scale)
    return xy
