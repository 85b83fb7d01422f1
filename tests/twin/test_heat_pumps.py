"""Heat pumps of participants: physics against an oracle that knows nothing of ours, strategy by hand, and a street."""

import math
import random
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.orders import BUY, HEAT_PUMP
from rigs.sg_ready import BLOCKED, BOOST, FORCED, NORMAL
from twin.agents import Agents
from twin.fleet import advance, dispatch
from twin.gate.envelope import Envelope
from twin.heat_demand import HeatProfiles, cop_of
from twin.heat_pumps import (
    HeatDemand,
    HeatPoints,
    HeatPumps,
    HeatState,
    drawn,
    draws,
    state_for,
    store,
    surplus_state,
)
from twin.heated_fleet import dispatch_heated
from twin.heating import NEED, STORE, Heating
from twin.scenario.market_section import SupplierSection
from twin.tariff import SupplierTariff

H = 900
HOUR = 3600
PUMP = {
    "p_w": 3000.0, "store_wh": 10000.0, "initial": 0.5, "comfort_min": 0.2, "comfort_normal": 0.6, "modulates": False,
    "shifts": True, "heat_load_w": 6000.0, "hot_water_w": 300.0, "design_c": -12.0, "heating_limit_c": 15.0,
    "outdoor_c": 2.0, "outdoor_swing_k": 0.0, "flow_c": 35.0, "cop": 3.0, "profile": -1,
}  # fmt: skip


def pumps(n: int = 1, **columns) -> HeatPumps:
    kinds = {"modulates": bool, "shifts": bool, "profile": np.int64}
    return HeatPumps(**{
        k: np.broadcast_to(np.asarray(columns.get(k, v)), (n,)).astype(kinds.get(k, float)) for k, v in PUMP.items()
    })  # fmt: skip


def demand(heat_w=3000.0, cop=3.0, n=1) -> HeatDemand:
    return HeatDemand(np.full(n, float(heat_w)), np.full(n, float(cop)))


def state(stored_wh, blocked_s=0.0) -> HeatState:
    return HeatState(
        np.atleast_1d(np.asarray(stored_wh, float)), np.full(np.size(stored_wh), float(blocked_s))
    )


@pytest.mark.parametrize(
    ("stored", "heat_w", "firm_w", "expected"),
    [
        (6000, 3000, 4200, (1000, 1800, 3000)),  # at its normal level it makes what is asked: 3000 W / 3
        (5500, 3000, 4200, (1000 + 500 / 0.75, 1800, 3000)),  # and 500 Wh more in a quarter of an hour
        (9700, 1500, 4200, (0, 900, 900)),  # 300 Wh of room and 375 Wh asked: (300 + 375) / 3 / 0.25
        (10000, 0, 4200, (0, 0, 0)),
        (0, 9e9, 4200, (3000, 3000, 3000)),  # rated power binds
        (0, 9e9, 2000, (2000, 2000, 3000)),  # the firm limit binds normal operation
    ],
)
def test_what_each_state_draws(stored, heat_w, firm_w, expected):
    can = draws(pumps(), np.array([float(stored)]), demand(heat_w), firm_w, 0.25)
    assert (can.normal_w[0], can.boost_w[0], can.most_w[0]) == pytest.approx(expected)
    assert can.of(np.array([BLOCKED]))[0] == 0


def oracle(step, level, heat_w, cop, hours, sg, extra_w, modulates, firm_w):
    """One pump, one step, from the definitions alone: (with trades, without, new level, unserved)."""
    p, full, normal_level = 3000.0, 10000.0, 6000.0

    def to_reach(target):
        return min(max((target - level + heat_w * hours) / (cop * hours), 0.0), p)

    def of(which):
        normal, most = min(to_reach(normal_level), firm_w), to_reach(full)
        return {1: 0.0, 2: normal, 3: min(max(normal, 0.6 * p), most), 4: most}[which]

    base_state, full_state, base_w = sg
    if modulates:
        base = (
            0.0 if base_state == 1 else of(base_state) if base_state != 3 else min(max(of(2), base_w), of(4))
        )
        power = min(base + extra_w, of(4))
    else:
        base, power = of(base_state), of(full_state)
    level = level + power * cop * hours - heat_w * hours
    return power, base, min(max(level, 0.0), full), max(-level, 0.0)


@pytest.mark.parametrize("modulates", [False, True])
@pytest.mark.parametrize("hours", [0.25, 1 / 60, 1.0])
def test_stores_and_powers_against_an_oracle(modulates, hours):
    rng = random.Random(5)
    fleet, now, level = pumps(modulates=modulates), state(5000.0), 5000.0
    sums = dict.fromkeys(("made", "used", "unserved", "excess"), 0.0)
    seen = set()
    for step in range(400):
        heat_w, cop = rng.choice((0.0, 900.0, 3000.0, 30000.0)), rng.uniform(2, 4.5)
        base_state = rng.choice((1, 2, 3, 4))
        full_state, extra_w = max(base_state, rng.choice((1, 2, 3, 4))), rng.uniform(0, 2500)
        points = HeatPoints(*(np.array([x]) for x in (base_state, full_state, 1700.0, extra_w)))
        asked = demand(heat_w, cop)
        power, base = drawn(fleet, points, draws(fleet, now.stored_wh, asked, 2500.0, hours))
        sg = (base_state, full_state, 1700.0)
        told = oracle(step, level, heat_w, cop, hours, sg, extra_w, modulates, 2500.0)
        assert (power[0], base[0]) == pytest.approx(told[:2])
        now, heat = store(fleet, now, asked, power, np.array([full_state]), round(hours * HOUR))
        level = told[2]
        assert (now.stored_wh[0], heat.unserved_wh[0]) == pytest.approx(told[2:], abs=1e-6)
        for name in sums:
            sums[name] += getattr(heat, f"{name}_wh")[0]
        seen |= {"cold"} if heat.unserved_wh[0] > 0 else {"full"} if level == 10000.0 else set()
    assert sums["made"] == pytest.approx(sums["used"] + sums["excess"] + level - 5000.0)
    assert sums["excess"] == pytest.approx(0, abs=1e-6), "a pump stops when its store is full"
    assert seen == ({"cold", "full"} if hours > 0.1 else seen)


def test_heat_that_a_device_made_beyond_its_store_is_told():
    after, heat = store(pumps(), state(9900.0), demand(0.0), np.array([3000.0]), np.array([FORCED]), H)
    assert (heat.made_wh[0], heat.used_wh[0], heat.excess_wh[0]) == pytest.approx((2250, 0, 2150))
    assert after.stored_wh[0] == 10000


def test_how_long_it_has_been_blocked_is_counted():
    now = state(9000.0)
    for told, expected in ((BLOCKED, 900), (BLOCKED, 1800), (NORMAL, 0), (BLOCKED, 900)):
        now, _ = store(pumps(), now, demand(), np.zeros(1), np.array([told]), H)
        assert now.blocked_s[0] == expected


@pytest.mark.parametrize(
    ("outdoor", "flow", "expected"),
    # 0.85 (6.08 - 0.09 dT + 0.0005 dT^2), worked out by hand; a lift below 15 K counts as 15 K
    [(5, 35, 0.85 * (6.08 - 2.7 + 0.45)), (-15, 55, 0.85 * (6.08 - 6.3 + 2.45)), (30, 35, 0.85 * (6.08 - 1.35 + 0.1125))],
)  # fmt: skip
def test_the_coefficient_of_performance_is_the_published_one(outdoor, flow, expected):
    assert cop_of(pumps(cop=np.nan, flow_c=flow), np.array([float(outdoor)]))[0] == pytest.approx(expected)
    assert cop_of(pumps(cop=2.5), np.array([float(outdoor)]))[0] == 2.5


def test_demand_follows_the_temperature_and_its_swing_or_a_profile():
    def at(step, rows=None, **columns):
        rows = np.zeros((96, 1), dtype=np.int64) if rows is None else rows
        table = np.array([[0.2, 0.5], [0.4, 1.0]])
        return HeatProfiles(pumps(**columns), rows, table, (H, 1, 0), 0).at(step).heat_w[0]

    assert at(0, outdoor_c=-12) == pytest.approx(6300)
    assert at(0, outdoor_c=1.5) == pytest.approx(3300), "half-way between design and limit"
    assert at(0, outdoor_c=20) == 300, "hot water alone"
    warmest, coldest = at(60, outdoor_swing_k=5), at(12, outdoor_swing_k=5)
    assert warmest < coldest and coldest - warmest == pytest.approx(6000 / 27 * 10, rel=1e-3)
    rows = np.array([[0], [1]])
    assert [at(k, rows, profile=1) for k in (0, 1)] == pytest.approx([3300, 6300])


class Believed:
    """Forecasts that are what they are told to be."""

    def __init__(self, heat_w, cop=3.0):
        self.told = HeatDemand(np.atleast_1d(np.asarray(heat_w, float)), np.full(np.size(heat_w), cop))

    def interval(self, interval):
        return self.told


def tariff(night=None, from_h=2.0) -> SupplierTariff:
    section = SupplierSection(
        retail_price_eur_per_kwh=Decimal("0.30"), feed_in_price_eur_per_kwh=Decimal("0.10"),
        night_price_eur_per_kwh=night, night_from_h=from_h, night_to_h=6,
    )  # fmt: skip
    return SupplierTariff(section, 0)


def heating(people, heat_w=3000.0, night=None) -> Heating:
    return Heating(people, Believed(np.full(people.n, heat_w)), tariff(night), H)


def owner(make_people, **columns):
    heat = {k: columns.pop(k) for k in list(columns) if k in PUMP}
    people = make_people(1, **columns)
    return replace(people, heat=pumps(**heat))


def planned(people, stored, interval=0, load=400.0, pv=0.0, night=None, blocked_s=0.0, heat_w=3000.0):
    plan = heating(people, heat_w, night).plan(
        interval, state(stored, blocked_s), np.array([load]), np.array([pv])
    )
    return int(plan.base_state[0]), float(plan.base_w[0]), plan.wish_wh[:, 0].tolist(), plan


def test_it_follows_its_house_and_bids_for_what_its_store_can_take(make_people):
    people = owner(make_people, house_bid_share=0.25)
    base_state, base_w, wishes, plan = planned(people, 6000)
    assert (base_state, base_w, wishes) == (NORMAL, pytest.approx(1000), pytest.approx([0, 500]))
    assert plan.bid_micro[STORE, 0] == 250_000, "below the supplier's price, so only neighbours sell to it"
    assert planned(owner(make_people, shifts=False), 6000)[:3] == (NORMAL, pytest.approx(1000), [0, 0])


def test_it_waits_for_a_lower_price_while_its_store_lasts_and_two_hours_at_most(make_people):
    people, night, one = owner(make_people), Decimal("0.20"), 4  # one o'clock; the night begins at two
    assert planned(people, 6000, one, night=night)[0] == BLOCKED, "4000 Wh to spare last 80 minutes"
    assert planned(people, 4900, one, night=night)[0] == NORMAL, "2900 Wh last 58: not until two o'clock"
    assert planned(people, 6000, one, night=night, blocked_s=3600)[0] == BLOCKED
    assert planned(people, 6000, one, night=night, blocked_s=3700)[0] == NORMAL, (
        "two hours would end before two o'clock"
    )
    assert planned(people, 6000, 8, night=night)[0] == NORMAL, "it is there"
    assert planned(people, 6000, one)[0] == NORMAL, "one price, nothing to wait for"
    assert planned(owner(make_people, shifts=False), 6000, one, night=night)[0] == NORMAL
    blocked = planned(people, 6000, one, night=night)
    assert blocked[1:3] == (0, pytest.approx([0, 750])), (
        "and it would still take neighbours' energy, at full power"
    )
    assert blocked[3].bid_micro[STORE, 0] == 200_000


def test_a_block_never_outlasts_two_hours_though_the_price_falls_in_its_last_interval(make_people):
    people = owner(make_people)
    believed = Believed(np.full(1, 3000.0))
    for blocked_s, expected in (
        (6900.0, NORMAL),
        (6300.0, BLOCKED),
    ):  # at 2:00, three minutes before the night
        plan = Heating(people, believed, tariff(Decimal("0.20"), 2.05), H).plan(
            8, state(9000.0, blocked_s), np.array([400.0]), np.zeros(1)
        )
        assert plan.base_state[0] == expected


def test_its_own_roof_comes_first(make_people):
    people = owner(make_people)
    assert planned(people, 6000, pv=3400.0)[:2] == (FORCED, 3000)
    assert planned(people, 6000, pv=3399.0)[:2] == (BOOST, 1800), "3 kW are not there, 60 % are"
    assert planned(people, 6000, pv=2199.0)[0] == NORMAL
    smooth = owner(make_people, modulates=True)
    assert planned(smooth, 6000, pv=2199.0)[:3] == (BOOST, 1799, [0, pytest.approx(300.25)])
    assert planned(smooth, 6000, pv=1200.0)[:2] == (NORMAL, pytest.approx(1000))


def test_a_large_one_buys_what_it_needs_beyond_its_firm_limit(make_people):
    people = owner(make_people, p_w=9000.0, modulates=True)
    base_state, base_w, wishes, plan = planned(people, 2000, heat_w=9000.0)
    # to its normal level: (4000 + 2250) Wh / 3 / 0.25 h = 8333 W, of which 4200 W are firm; full power for the store
    assert (base_state, base_w) == (NORMAL, 4200)
    assert wishes == pytest.approx([(8333.333 - 4200) / 4, (9000 - 8333.333) / 4])
    assert plan.bid_micro[NEED, 0] == 300_000, "at the supplier's price: it is needed"


@given(
    base=st.floats(0, 3000), extra=st.floats(0, 3000), boost=st.floats(0, 3000), most=st.floats(0, 3000),
    told=st.sampled_from([BLOCKED, NORMAL]),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_no_state_draws_more_than_was_accepted(base, extra, boost, most, told):
    boost = min(boost, most)
    from twin.heat_pumps import Draws

    can = Draws(np.array([min(base, most)]), np.array([boost]), np.array([most]))
    base_w = can.of(np.array([told]))
    found = state_for(pumps(), np.array([told]), base_w, np.array([extra]), can, 8.0)
    assert can.of(found)[0] <= base_w[0] + extra + 8.0 + 1e-9
    if extra == 0:
        assert found[0] == told


def test_surplus_of_nothing_is_no_state():
    can = draws(pumps(), np.array([10000.0]), demand(0.0), 4200, 0.25)
    assert surplus_state(pumps(), np.array([5000.0]), can)[0] == NORMAL, "a full store takes nothing"


def agents(people, night=None) -> Agents:
    return Agents(people, tariff(night), H, 0, None, heating(people, night=night))


def test_its_orders_are_flexible_and_its_running_is_the_houses_load(make_people, make_state):
    people = owner(make_people)
    home = replace(make_state(people), heat=state(6000))
    for interval, first in ((0, 0), (3, 3 * 8)):
        intent = agents(people).intend(interval, home, np.array([400.0]), np.zeros(1), np.zeros(1))
        assert intent.orders["energy_wh"].tolist() == [350, 500]  # 400 W and 1000 W; 2000 W for the store
        assert intent.orders["device"].tolist()[1] == HEAT_PUMP and intent.orders["side"].tolist() == [
            BUY,
            BUY,
        ]
        assert intent.orders["flexible"].tolist() == [False, True]
        assert intent.orders["id"].tolist() == [first, first + 6 + STORE]
        assert intent.p_base_w[0] == pytest.approx(-1400)
    points = intent.set_points(np.zeros(1), np.zeros(1), np.zeros(1), np.array([2000.0]))
    assert (points.heat.base_state[0], points.heat.state[0]) == (NORMAL, FORCED)
    cut = intent.set_points(np.zeros(1), np.zeros(1), np.zeros(1), np.array([1900.0]))
    assert cut.heat.state[0] == BOOST, "1900 W more do not make 3 kW, but they make 60 %"


def test_nobody_stores_a_neighbours_energy_while_it_sells_its_own(make_people, make_state):
    battery = {
        "battery_p_w": 5000,
        "battery_wh": 10000,
        "battery_sells": True,
        "sell_from_s": 0,
        "sell_to_s": 5 * HOUR,
    }
    people = owner(make_people, **battery)
    home = replace(make_state(people, soc=0.9), heat=state(6000))
    intent = agents(people).intend(0, home, np.array([400.0]), np.zeros(1), np.zeros(1))
    assert HEAT_PUMP not in intent.orders["device"]


def test_an_envelope_leaves_whole_states(make_people, make_state):
    people = owner(make_people)
    home = replace(make_state(people), heat=state(6000))
    given = (np.array([400.0]), np.zeros(1), np.zeros(1))
    for import_w, expected in ((5000, [500]), (1999, [200]), (799, []), (0, [])):  # 800 W more are state 3
        envelope = Envelope(np.zeros(1), np.array([float(import_w)]), None, None, 0)
        intent = agents(people).intend(0, home, *given, envelope)
        mine = intent.orders[intent.orders["device"] == HEAT_PUMP]["energy_wh"].tolist()
        assert mine == expected
        assert intent.wanted["energy_wh"].tolist()[-1] == 500


def test_powers_at_the_connection_point_add_up(make_people, make_state, make_points):
    rng = np.random.default_rng(3)
    n = 60
    battery = {"battery_p_w": 4000, "battery_wh": 9000, "soc_min": 0.1, "soc_max": 0.9}
    people = make_people(n, **battery, pv_rated_w=6000, firm_export_w=1000.0)
    people = replace(people, heat=pumps(n, modulates=np.arange(n) % 2 == 0))
    home = replace(
        make_state(people, soc=rng.uniform(0.1, 0.9, n)),
        heat=HeatState(rng.uniform(0, 10000, n), np.zeros(n)),
    )
    base = rng.integers(1, 5, n)
    heat = HeatPoints(
        base, np.maximum(base, rng.integers(1, 5, n)), np.full(n, 1500.0), rng.uniform(0, 2000, n)
    )
    points = replace(make_points(n, battery_extra_w=rng.uniform(-2000, 2000, n)), heat=heat)
    load, pv = rng.uniform(0, 2000, n), rng.uniform(0, 6000, n)
    with_, without = dispatch_heated(people, home, points, load, load / 4, pv, H, demand(n=n))
    for flows in (with_, without):
        net = flows.pv_w - load + flows.battery_w - flows.heat_pump_w
        assert flows.p_gen_w == pytest.approx(net, abs=1e-9)
        assert (flows.load_w == load).all() and (flows.pv_w + flows.pv_curtailed_w == pytest.approx(pv))
    allowed = 1000 + np.maximum(points.battery_extra_w, 0)
    free = pv - load + with_.battery_w - with_.heat_pump_w
    assert with_.pv_curtailed_w == pytest.approx(np.clip(free - allowed, 0, pv))
    assert (with_.heat_pump_w >= without.heat_pump_w - 1e-9).all()
    # a pump without a trade is a load: the rest of the house does what it would with that load
    plain = dispatch(people, home, points, load + without.heat_pump_w, load / 4, pv, H)[1]
    assert without.p_gen_w == pytest.approx(plain.p_gen_w) and (without.battery_w == plain.battery_w).all()
    assert advance(people, home, with_, H).heat is home.heat, "stores are integrated beside"


HOUSES = [f"load {i}" for i in range(13)]
ASSETS = [
    {"kind": "heat_pump", "at": HOUSES[5:11], "p_max_w": 4000, "store_wh": 6000, "heat_load_w": 9000, "outdoor_c": -5,
     "heat_initial": 0.7},
    {"kind": "heat_pump", "at": HOUSES[11:], "p_max_w": 9000, "control": "modulating", "heat_load_w": 20000},
    {"kind": "battery", "at": HOUSES[:4], "p_max_w": 8000, "capacity_wh": 20000, "soc_initial": 0.9},
    {"kind": "pv", "at": HOUSES[4:7], "p_max_w": 8000},
]  # fmt: skip
STREET = {
    "participants": {"assets": ASSETS},
    "market": {"supplier": {"night_price_eur_per_kwh": 0.2, "night_from_h": 20, "night_to_h": 6}},
    "limits": {"voltage_min_pu": 0.94},
}


@pytest.fixture(scope="module")
def street(run_street):
    return run_street(**STREET)


def test_a_streets_heat_and_power_balance_to_the_watt_hour(street):
    table = street.table("heat_pumps").to_pandas()
    made, asked, unserved, excess = (table[f"{n}_wh"].sum() for n in ("made", "asked", "unserved", "excess"))
    last = table[table.interval == table.interval.max()]["stored_wh"].sum()
    first = 6 * 6000 * 0.7 + 2 * 15000 * 0.6
    assert made + unserved == pytest.approx(asked + excess + last - first, abs=1e-6)
    assert (table.heat_pump_w * table.cop * 0.25).to_numpy() == pytest.approx(table.made_wh.to_numpy())
    k = street.kpis
    assert (k["heat_made_wh"], k["heat_unserved_wh"]) == pytest.approx((made, unserved))
    assert k["heat_pump_wh"] == pytest.approx(table.heat_pump_w.sum() / 4)
    assert k["heat_stored_change_wh"] == pytest.approx(last - first)
    assert k["heat_comfort_lost_h"] == (~table.comfortable).sum() / 4
    assert k["heat_pump_blocked_h"] == (table.sg_state == BLOCKED).sum() / 4 > 0
    assert k["heat_pump_boosted_h"] == (table.sg_state >= BOOST).sum() / 4 > 0
    rows = street.table("intervals").to_pandas()
    inside = rows.pv_w + rows.battery_w - rows.load_w - rows.ev_w - rows.heat_pump_w
    assert (rows.p_slack_w - rows.loss_w).to_numpy() == pytest.approx(-inside.to_numpy(), abs=0.5)
    assert k["money_sum_micro"] == 0 and street.verdict == "pass"
    trades = street.table("trades").to_pandas()
    assert (trades[trades.device == "heat_pump"].accepted_wh > 0).any()


def test_who_has_no_heat_pump_has_no_numbers_of_them(gated):
    assert gated.table("heat_pumps").num_rows == 0
    assert {gated.kpis[k] for k in gated.kpis if k.startswith("heat_")} == {None}
    assert gated.table("intervals")["heat_pump_w"].null_count == gated.table("intervals").num_rows


def bench(path, driver):
    armed = "mode: armed, no_reversion_because: it is emulated for a test" if driver == "emulated" else ""
    lines = [
        f"  load 5.heat_pump: {{driver: {driver}, {armed}}}",
        f"  load 5.heat_meter: {{driver: {driver}}}",
    ]
    path.write_text("\n".join(["bench: warm", "devices:", *lines]))
    return path


@pytest.mark.parametrize("driver", ["memory", pytest.param("emulated", marks=pytest.mark.slow)])
def test_on_a_bench_it_does_what_it_does_natively(run_street, street, tmp_path, driver):
    served = run_street(bench=bench(tmp_path / "bench.yaml", driver), **STREET)
    ours, theirs = (r.table("heat_pumps").to_pandas() for r in (street, served))
    assert (ours.sg_state == theirs.sg_state).all()
    # the meter's registers hold whole W; the heat of them adds up in the store
    close = {"memory": 1e-6, "emulated": 40.0}[driver]
    assert theirs.stored_wh.to_numpy() == pytest.approx(ours.stored_wh.to_numpy(), abs=close)
    roles = {r["role"]: r for r in served.manifest["devices"]["roles"]}
    assert {r["bad_samples"] for r in roles.values()} == {0}
    assert {r["driver"] for r in roles.values()} == {"wire" if driver == "emulated" else "memory"}


@pytest.mark.parametrize(
    ("asset", "more", "expected"),
    [
        ({"p_max_w": 5000}, {}, "cannot be held to connection.firm_import_w"),
        ({}, {"interval_s": 300}, "an SG Ready state stands for ten minutes at least"),
        ({"demand_profile": "c"}, {}, "no such load profile"),
        ({"comfort_min": 0.6}, {}, "comfort_min: must be below comfort_normal (0.6); got 0.6"),
        ({"heat_initial": 0.1}, {}, "heat_initial: must not be below comfort_min (0.2); got 0.1"),
        ({"design_c": 16}, {}, "design_c: must be below heating_limit_c (15); got 16"),
        ({"power_w": 3}, {}, "power_w"),
        ({"cop": 0.5}, {}, "cop"),
    ],
)
def test_wrong_keys_are_told_before_anything_runs(
    tmp_path, street_text, write_day_profiles, asset, more, expected
):
    from twin import ScenarioError, load_scenario
    from twin.prepare import prepare

    write_day_profiles(tmp_path / "profiles.csv")
    section = {"kind": "heat_pump", "count": 2} | asset
    (tmp_path / "s.yaml").write_text(street_text(participants={"assets": [section]}, **more))
    with pytest.raises(ScenarioError) as caught:
        prepare(load_scenario(tmp_path / "s.yaml"))
    assert expected in str(caught.value)


def test_houses_differ_as_the_seed_says_and_none_by_more_than_allowed(
    tmp_path, street_text, write_day_profiles
):
    from twin import load_scenario
    from twin.prepare import prepare

    write_day_profiles(tmp_path / "profiles.csv")
    asset = {"kind": "heat_pump", "count": 13, "spread_percent": 10, "demand_profile": "b"}
    (tmp_path / "s.yaml").write_text(street_text(participants={"assets": [asset]}))
    loaded = prepare(load_scenario(tmp_path / "s.yaml"))
    people = next(iter(loaded.runs.values())).people
    assert people.heat is not None and (people.heat.profile == 1).all()
    factors = people.heat.heat_load_w / 6000
    assert len(set(factors)) == 13 and factors.min() >= 0.9 and factors.max() <= 1.1
    assert people.heat.hot_water_w == pytest.approx(250 * factors)
    assert math.isnan(people.heat.cop[0])
