"""Places assets on connection points, with the scenario's seed and one random stream per participant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from adapters.grid.feeder import Feeder, FloatArray
from twin.heat_placement import HeatDraft, heat_pump_problems
from twin.participants import BoolArray, EvSession, Participants
from twin.scenario.assets import BatterySection, EvSection, HeatPumpSection, Placement, PvSection
from twin.scenario.participants_section import ParticipantsSection
from twin.scenario.schema import Scenario
from twin.settlement import ACCOUNTS
from twin.streams import stream

DAY_S = 86400

Complain = Callable[[str, str, str, str], None]
"""(key path, message, got, allowed) of a problem found while placing."""


@dataclass
class _Draft:
    """The columns of the participant table while they are being filled."""

    n: int
    columns: dict[str, Any] = field(default_factory=dict)
    sessions: list[EvSession] = field(default_factory=list)
    heat: HeatDraft = field(init=False)

    def __post_init__(self) -> None:
        zeros = ("pv_rated_w", "battery_p_w", "battery_wh", "ev_p_w", "soc_initial", "soc_min")
        ones = ("battery_efficiency", "soc_max", "ev_efficiency")
        ints = (
            "pv_profile",
            "sell_from_s",
            "sell_to_s",
            "recharge_from_s",
            "recharge_to_s",
            "battery_ask_micro",
        )
        flags = ("battery_sells", "ev_cheap")
        self.heat = HeatDraft(self.n)
        self.columns.update({k: np.zeros(self.n) for k in zeros})
        self.columns.update({k: np.ones(self.n) for k in ones})
        self.columns.update({k: np.zeros(self.n, dtype=np.int64) for k in ints})
        self.columns.update({k: np.zeros(self.n, dtype=np.bool_) for k in flags})

    def rated_w(self, kind: str) -> Any:
        """Rated power of a kind of asset so far; (n,)."""
        return self.heat.p_w if kind == "heat_pump" else self.columns[RATING[kind]]


RATING = {"ev": "ev_p_w", "battery": "battery_p_w", "pv": "pv_rated_w"}


def distance_from_slack(feeder: Feeder) -> FloatArray:
    """Return each bus's distance from the slack in branches walked, weighted by length where coordinates exist.

    Only the order matters (who is near the transformer, who is far), so hops with the drawn length as tie-break
    are enough; (n_bus,), infinity where no path exists. The phases of a bus are one place: a branch leads from
    place to place whatever phases it has.
    """
    site = feeder.site
    neighbours: list[list[tuple[int, float]]] = [[] for _ in range(int(site.max()) + 1)]
    for a, b in zip(feeder.branch_from, feeder.branch_to, strict=True):
        length = float(np.hypot(*(feeder.xy[a] - feeder.xy[b])))
        neighbours[site[a]].append((int(site[b]), length))
        neighbours[site[b]].append((int(site[a]), length))
    distance = np.full(len(neighbours), np.inf)
    start = int(site[feeder.slack_bus])
    distance[start] = 0.0
    frontier = [start]
    while frontier:
        coming: list[int] = []
        for bus in frontier:
            for other, length in neighbours[bus]:
                if not np.isfinite(distance[other]):
                    distance[other] = distance[bus] + 1.0 + 1e-6 * length
                    coming.append(other)
        frontier = coming
    return distance[site]


def _eligible(
    draft: _Draft, section: Placement, kind: str, trades: np.ndarray, far: FloatArray
) -> np.ndarray:
    """Rows that may receive an asset: no asset of this kind yet, trading, and in the wanted half of the feeder."""
    free = trades & (draft.rated_w(kind) == 0)
    if section.where == "anywhere":
        return np.flatnonzero(free)
    order = np.argsort(far, kind="stable")
    half = np.zeros(draft.n, dtype=np.bool_)
    near = order[: draft.n // 2]
    half[near] = True
    return np.flatnonzero(free & (half if section.where == "near_transformer" else ~half))


def _rows(
    draft: _Draft,
    section: Any,
    index: int,
    names: Sequence[str],
    trades: np.ndarray,
    far: FloatArray,
    seed: int,
    complain: Complain,
) -> list[int]:
    """Draw the rows of one asset section. Every participant draws its own lot, the lowest lots win."""
    path = f"participants.assets[{index}]"
    if section.at is not None:
        unknown = [name for name in section.at if name not in names]
        for name in unknown:
            complain(f"{path}.at", "no such connection point", name, f"names such as {', '.join(names[:3])}")
        rows = [names.index(name) for name in section.at if name in names]
        taken = [names[i] for i in rows if draft.rated_w(section.kind)[i] > 0]
        if taken:
            complain(
                f"{path}.at",
                f"already has an asset of kind {section.kind}",
                ", ".join(taken),
                "one of each kind",
            )
        return [i for i in rows if draft.rated_w(section.kind)[i] == 0]
    pool = _eligible(draft, section, section.kind, trades, far)
    share = section.share_percent
    wanted = section.count if section.count is not None else round(share / 100 * int(trades.sum()))
    if wanted > len(pool):
        got = f"{wanted} assets of kind {section.kind}"
        complain(
            path, "more assets than free connection points", got, f"at most {len(pool)} ({section.where})"
        )
        wanted = len(pool)
    lots = [stream(seed, names[i], f"place/{index}/{section.kind}").random() for i in pool]
    return sorted(int(pool[j]) for j in np.argsort(lots, kind="stable")[:wanted])


def _place_pv(draft: _Draft, section: PvSection, rows: list[int], profile_row: int) -> None:
    draft.columns["pv_rated_w"][rows] = section.p_max_w
    draft.columns["pv_profile"][rows] = profile_row


def _place_battery(
    draft: _Draft,
    section: BatterySection,
    rows: list[int],
    names: Sequence[str],
    scenario: Scenario,
    index: int,
) -> None:
    c = draft.columns
    c["battery_p_w"][rows] = section.p_max_w
    c["battery_wh"][rows] = section.capacity_wh
    c["battery_efficiency"][rows] = section.efficiency
    c["soc_initial"][rows] = min(max(section.soc_initial, section.soc_min), section.soc_max)
    c["soc_min"][rows] = section.soc_min
    c["soc_max"][rows] = section.soc_max
    c["battery_sells"][rows] = section.strategy == "sell_evening"
    for key in ("sell_from", "sell_to", "recharge_from", "recharge_to"):
        c[f"{key}_s"][rows] = round(getattr(section, f"{key}_h") * 3600)
    reserve = int(section.reserve_price_eur_per_kwh * 1_000_000)
    retail = int(scenario.market.supplier.retail_price_eur_per_kwh * 1_000_000)
    for i in rows:
        # asks spread over the lower half of the band, so that the merit order means something
        lot = stream(scenario.seed, names[i], f"ask/{index}").integers(0, max(1, (retail - reserve) // 2))
        c["battery_ask_micro"][i] = reserve + int(lot)


def _sessions(section: EvSection, row: int, name: str, index: int, scenario: Scenario) -> list[EvSession]:
    """Draw a car's stays for the whole run, from the evening before the start on."""
    rng = stream(scenario.seed, name, f"ev/{index}")
    end_s = scenario.n_intervals * scenario.interval_s
    midnight = -_second_of_day(scenario.start)
    stays: list[EvSession] = []
    days = int(np.ceil((end_s - midnight) / DAY_S)) + 1
    overnight = DAY_S if section.departure_h <= section.arrival_h else 0
    for day in range(-1, days):
        arrive, depart, need = rng.normal(size=3)
        arrival = midnight + day * DAY_S + (section.arrival_h + section.spread_h * arrive) * 3600
        departure = (
            midnight + day * DAY_S + overnight + (section.departure_h + section.spread_h * depart) * 3600
        )
        need_wh = float(np.clip(section.energy_need_wh * (1 + 0.25 * need), 0, section.capacity_wh))
        a, d = (round(t / scenario.step_s) * scenario.step_s for t in (arrival, departure))
        if stays and a < stays[-1].departure_s:
            a = stays[-1].departure_s
        # a car that was there before the start has had its evening; only later arrivals are followed
        if d > a >= 0 and a < end_s:
            stays.append(EvSession(row, int(a), int(d), need_wh))
    return stays


def _second_of_day(moment: datetime) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _place_ev(
    draft: _Draft, section: EvSection, rows: list[int], names: Sequence[str], index: int, scenario: Scenario
) -> None:
    c = draft.columns
    c["ev_p_w"][rows] = section.p_max_w
    c["ev_efficiency"][rows] = section.efficiency
    c["ev_cheap"][rows] = section.strategy == "cheap"
    for i in rows:
        draft.sessions.extend(_sessions(section, i, names[i], index, scenario))


def _place_case_assets(draft: _Draft, feeder: Feeder, pv_rows: dict[str, int]) -> None:
    """Put the case's own PV plants and batteries into the table; several of a kind at one point are added up."""
    c = draft.columns
    for asset in feeder.assets:
        i = asset.point
        if asset.kind == "pv":
            c["pv_rated_w"][i] += asset.p_rated_w
            c["pv_profile"][i] = pv_rows.get(asset.profile or "", 0)  # missing ones were complained about
        elif asset.p_rated_w > 0 and asset.capacity_wh > 0:
            c["battery_p_w"][i] += asset.p_rated_w
            c["battery_wh"][i] += asset.capacity_wh
            c["battery_efficiency"][i] = asset.efficiency
            c["soc_initial"][i] = 0.5


def _case_pv_problems(feeder: Feeder, pv_rows: dict[str, int], complain: Complain) -> None:
    """A plant of the case without a profile would never generate, and nobody would see why."""
    missing = [asset.name for asset in feeder.assets if asset.kind == "pv" and asset.profile not in pv_rows]
    if missing:
        complain(
            "profiles.source",
            "no PV profile for plants of the case",
            ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
            f"{', '.join(pv_rows) or 'none here'}; name a column pv:PLANT, or set participants.case_assets: false",
        )


def _pv_problems(section: PvSection, path: str, pv_rows: dict[str, int], complain: Complain) -> None:
    if section.profile is not None and section.profile not in pv_rows:
        allowed = ", ".join(pv_rows) or "none: the profile source has no PV profile"
        complain(f"{path}.profile", "no such PV profile", section.profile, allowed)
    if not pv_rows:
        complain(path, "the profile source has no PV profile", "kind: pv", "")


def _who_trades(section: ParticipantsSection, names: Sequence[str], complain: Complain) -> BoolArray:
    """Who takes part in trading; (n,)."""
    if section.include == "all":
        return np.ones(len(names), dtype=np.bool_)
    for name in section.include:
        if name not in names:
            complain("participants.include", "no such connection point", name, "a name of `twin feeder`")
    return np.array([name in section.include for name in names], dtype=np.bool_)


def place(
    scenario: Scenario, feeder: Feeder, load_rows: dict[str, int], pv_rows: dict[str, int], complain: Complain
) -> Participants:
    """Build the participant table of a scenario.

    Args:
        scenario: the resolved scenario.
        feeder: the feeder, whose connection points become the participants.
        load_rows: load profile name to row of the profile table.
        pv_rows: PV profile name to row.
        complain: called for every problem; the result is only meaningful if it never was.
    """
    names = [point.name for point in feeder.points]
    for name in sorted(set(ACCOUNTS).intersection(names)):
        complain("grid.source", "a load has the name of an account of the market", name, "any other name")
    section = scenario.participants
    trades = _who_trades(section, names, complain)
    draft = _Draft(len(names))
    if section.case_assets:
        _case_pv_problems(feeder, pv_rows, complain)
        _place_case_assets(draft, feeder, pv_rows)
    distance = distance_from_slack(feeder)
    far = np.array([distance[point.bus] for point in feeder.points])
    for index, asset in enumerate(section.assets):
        rows = _rows(draft, asset, index, names, trades, far, scenario.seed, complain)
        if isinstance(asset, PvSection):
            _pv_problems(asset, f"participants.assets[{index}]", pv_rows, complain)
            _place_pv(draft, asset, rows, pv_rows.get(asset.profile or "", 0))
        elif isinstance(asset, BatterySection):
            _place_battery(draft, asset, rows, names, scenario, index)
        elif isinstance(asset, HeatPumpSection):
            heat_pump_problems(asset, f"participants.assets[{index}]", scenario, load_rows, complain)
            draft.heat.place(asset, rows, names, scenario, index, load_rows)
        else:
            _place_ev(draft, asset, rows, names, index, scenario)
    spread = section.bid_spread_percent / 100
    bids = np.array([stream(scenario.seed, name, "bid").random() * spread for name in names])
    return Participants(
        names=tuple(names),
        trades=trades,
        firm_import_w=section.connection.firm_import_w,
        firm_export_w=section.connection.firm_export_w,
        curtails=section.connection.surplus == "curtail",
        load_p_rated_w=np.array([point.p_rated_w for point in feeder.points]),
        load_q_rated_var=np.array([point.q_rated_var for point in feeder.points]),
        load_profile=np.array(
            [load_rows.get(point.profile or "", 0) for point in feeder.points], dtype=np.int64
        ),
        ev_sessions=tuple(sorted(draft.sessions, key=lambda s: (s.arrival_s, s.participant))),
        house_bid_share=bids,
        heat=draft.heat.table(),
        **draft.columns,
    )
