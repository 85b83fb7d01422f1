"""What participants hand in: against numbers worked out by hand, and laws for any street."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.coverage import covered_wh
from market.orders import BATTERY, BUY, EV, HOUSE, PV, SELL, SUPPLIER
from market.registry import make_mechanism
from twin.agents import Agents
from twin.fleet import Garage, advance, dispatch
from twin.participants import EvSession
from twin.rules import in_window
from twin.scenario.market_section import SupplierSection
from twin.tariff import SupplierTariff
from twin.trading import TradingDesk, accepted_set_points

H, HOUR = 900, 3600
RETAIL, FEED_IN, NIGHT = 320_000, 80_000, 200_000


def tariff(day_start_s=0, night=False):
    keys = {"night_price_eur_per_kwh": "0.20", "night_from_h": 22, "night_to_h": 6} if night else {}
    section = SupplierSection(retail_price_eur_per_kwh="0.32", feed_in_price_eur_per_kwh="0.08", **keys)
    return SupplierTariff(section, day_start_s)


def intend(people, state, at_h=12.0, load=0.0, pv=0.0, night=False, interval=0):
    """The intent of interval ``interval``, which begins at ``at_h``; forecasts per participant."""
    day_start = round(at_h * HOUR) - interval * H
    agents = Agents(people, tariff(day_start, night), H, day_start)
    n = people.n
    return agents.intend(
        interval, state, np.broadcast_to(load, (n,)) * 1.0, np.broadcast_to(load, (n,)) / 4,
        np.broadcast_to(pv, (n,)) * 1.0,
    )  # fmt: skip


def rows(intent):
    """Orders as (participant, side, device, flexible, energy)."""
    o = intent.orders
    return [
        tuple(int(v) for v in r)
        for r in zip(*(o[k] for k in ("participant", "side", "device", "flexible", "energy_wh")), strict=True)
    ]


def test_windows_wrap_around_midnight():
    seconds = [0, 5 * HOUR, 6 * HOUR, 12 * HOUR, 22 * HOUR, 86399]
    night = (22 * HOUR, 6 * HOUR)
    assert [in_window(s, *night) for s in seconds] == [True, True, False, False, True, True]
    never = (6 * HOUR, 6 * HOUR)
    assert not any(in_window(s, *never) for s in seconds)


def test_a_plain_house_buys_its_load(make_people, make_state):
    people = make_people(1, house_bid_share=0.25)
    intent = intend(people, make_state(people), load=1001.0)
    assert rows(intent) == [(0, BUY, HOUSE, False, 250)], "rounded down to whole Wh"
    assert intent.orders["price_micro_per_kwh"][0] == RETAIL - 60_000
    assert (intent.p_base_w[0], intent.q_base_var[0]) == (-1001, -1001 / 4)


def test_a_roof_sells_what_it_may_always_export_and_offers_the_rest(make_people, make_state):
    people = make_people(1, pv_rated_w=9000)
    intent = intend(people, make_state(people), load=1000, pv=9000)
    assert rows(intent) == [(0, SELL, PV, False, 1250), (0, SELL, PV, True, 750)]
    assert intent.p_base_w[0] == 5000
    people = make_people(1, pv_rated_w=9000, curtails=True)
    intent = intend(people, make_state(people), load=1000, pv=9000)
    assert rows(intent) == [(0, SELL, PV, True, 2000)]
    assert intent.p_base_w[0] == 0


BATTERY_6 = {
    "battery_p_w": 5000,
    "battery_wh": 10000,
    "battery_efficiency": 0.8,
    "battery_sells": True,
    "soc_min": 0.1,
}


def test_a_battery_spreads_its_evening_over_what_is_left_of_it(make_people, make_state):
    people = make_people(1, **BATTERY_6, battery_ask_micro=150_000)
    # 5 hours left, (0.6 - 0.1) * 10 kWh * 0.8 = 4 kWh: 800 W
    intent = intend(people, make_state(people, soc=0.6), at_h=17)
    assert rows(intent) == [(0, SELL, BATTERY, True, 200)]
    assert intent.orders["price_micro_per_kwh"][0] == 150_000
    # the house's own 300 W come first
    intent = intend(people, make_state(people, soc=0.6), at_h=17, load=300)
    assert rows(intent) == [(0, SELL, BATTERY, True, 125)]
    assert intent.p_base_w[0] == 0
    # the last quarter of an hour: everything, as far as the inverter goes
    assert rows(intend(people, make_state(people, soc=0.6), at_h=21.75)) == [(0, SELL, BATTERY, True, 1250)]
    assert rows(intend(people, make_state(people, soc=0.6), at_h=22)) == []
    assert rows(intend(people, make_state(people, soc=0.1), at_h=17)) == []
    quiet = make_people(1, **{**BATTERY_6, "battery_sells": False})
    assert rows(intend(quiet, make_state(quiet, soc=0.6), at_h=17)) == []


def test_a_battery_never_asks_less_than_feed_in(make_people, make_state):
    people = make_people(1, **BATTERY_6, battery_ask_micro=10_000)
    assert intend(people, make_state(people, soc=0.6), at_h=17).orders["price_micro_per_kwh"][0] == FEED_IN


def test_a_battery_recharges_within_its_window(make_people, make_state):
    people = make_people(1, **BATTERY_6)
    # 4 hours left, (1 - 0.6) * 10 kWh / 0.8 = 5 kWh: 1250 W; the house draws from the grid meanwhile
    intent = intend(people, make_state(people, soc=0.6), at_h=1, load=400)
    assert rows(intent) == [(0, BUY, HOUSE, False, 100), (0, BUY, BATTERY, True, 312)]
    assert intent.orders["price_micro_per_kwh"].tolist() == [RETAIL, RETAIL]
    assert intent.p_base_w[0] == -400
    assert intent.battery_idle[0]
    # sun counts towards it
    intent = intend(people, make_state(people, soc=0.6), at_h=1, load=400, pv=1000)
    assert rows(intent) == [(0, BUY, BATTERY, True, 162)]
    assert rows(intend(people, make_state(people, soc=1.0), at_h=1)) == []


def test_where_the_windows_overlap_a_battery_sells(make_people, make_state):
    """It must not sell with one hand while its own house buys with the other."""
    people = make_people(1, **BATTERY_6, recharge_from_s=16 * HOUR, recharge_to_s=18 * HOUR)
    intent = intend(people, make_state(people, soc=0.6), at_h=17, load=300)
    assert rows(intent) == [(0, SELL, BATTERY, True, 125)]
    assert not intent.battery_idle[0]


CAR = {"ev_p_w": 11000, "ev_efficiency": 0.9}


def plugged(make_state, people, need=20000.0, departure_h=12.0, **more):
    return make_state(
        people, ev_plugged=True, ev_need_wh=need, ev_departure_s=round(departure_h * HOUR), **more
    )


def test_a_car_draws_its_firm_part_and_bids_for_the_rest(make_people, make_state):
    people = make_people(1, **CAR)
    intent = intend(people, plugged(make_state, people), load=400)
    assert rows(intent) == [(0, BUY, HOUSE, False, 100), (0, BUY, EV, False, 1050), (0, BUY, EV, True, 1700)]
    assert intent.orders["price_micro_per_kwh"].tolist() == [RETAIL] * 3
    assert (intent.p_base_w[0], intent.ev_base_w[0]) == (-4600, 4200)
    # the last Wh: no more than it needs
    intent = intend(people, plugged(make_state, people, need=450.0))
    assert rows(intent) == [(0, BUY, EV, False, 500)]


def test_a_car_takes_its_own_roof_first(make_people, make_state):
    people = make_people(1, **CAR, pv_rated_w=9000)
    intent = intend(people, plugged(make_state, people), load=400, pv=6400)
    assert rows(intent) == [(0, BUY, EV, True, 1250)]
    assert intent.ev_base_w[0] == 6000
    assert intent.p_base_w[0] == 0


def test_the_own_battery_serves_the_own_car_before_the_neighbours(make_people, make_state):
    people = make_people(1, **CAR, **BATTERY_6)
    # stored 4 kWh over 4 hours: the 5 kW inverter first covers the firm 4.2 kW; nothing is left to sell
    intent = intend(people, plugged(make_state, people, soc=0.6), at_h=18)
    assert rows(intent) == [(0, BUY, EV, True, 1700)]
    assert intent.p_base_w[0] == 0
    # in the last quarter of an hour it could sell 800 W beyond that: the car takes them, and nobody else
    intent = intend(people, plugged(make_state, people, soc=0.6), at_h=21.75)
    assert rows(intent) == [(0, BUY, EV, True, 1500)]
    assert intent.ev_base_w[0] == 5000
    assert intent.p_base_w[0] == 0


def test_a_patient_car_waits_for_the_night_price(make_people, make_state):
    people = make_people(1, **CAR, ev_cheap=True)
    waiting = intend(people, plugged(make_state, people, departure_h=12), at_h=19, night=True)
    assert rows(waiting) == [(0, BUY, EV, True, 2750)]
    assert waiting.orders["price_micro_per_kwh"][0] == NIGHT, "it bids the price it will see"
    assert (waiting.ev_base_w[0], waiting.p_base_w[0]) == (0, 0)
    night = intend(people, plugged(make_state, people, departure_h=12), at_h=22, night=True)
    assert night.ev_base_w[0] == 4200
    assert night.orders["price_micro_per_kwh"].tolist() == [NIGHT, NIGHT]
    # who leaves before the night has nothing to wait for
    leaving = intend(people, plugged(make_state, people, departure_h=3), at_h=19, night=True)
    assert leaving.ev_base_w[0] == 4200
    # 3 hours left after this interval at 4.2 kW * 0.9 = 11,340 Wh: who needs more cannot wait another one
    still = intend(
        people, plugged(make_state, people, 4200 * 0.9 * 3.0, departure_h=3.25), at_h=19, night=True
    )
    late = intend(
        people, plugged(make_state, people, 4200 * 0.9 * 3.0 + 1, departure_h=3.25), at_h=19, night=True
    )
    assert (still.ev_base_w[0], late.ev_base_w[0]) == (0, 4200)


@pytest.mark.parametrize("need_wh", [3000.0, 20000.0, 33000.0])
@pytest.mark.parametrize("strategy", ["cheap", "asap"])
def test_with_its_firm_power_alone_a_car_still_leaves_full(make_people, make_state, strategy, need_wh):
    """Nothing of what it bids for is ever accepted; 4.2 kW * 0.9 * 9 h = 34 kWh are."""
    people = make_people(
        1, **CAR, ev_cheap=strategy == "cheap", ev_sessions=(EvSession(0, 0, 9 * HOUR, need_wh),)
    )
    day_start = 19 * HOUR
    agents = Agents(people, tariff(day_start, night=True), H, day_start)
    garage = Garage(people)
    state = garage.update(garage.initial(people))
    zero, energy = np.zeros(1), []
    for k in range(37):
        intent = agents.intend(k, state, zero, zero, zero)
        flows, _ = dispatch(people, state, intent.set_points(zero, zero, zero), zero, zero, zero, H)
        energy.append(flows.ev_w[0] * 0.25)
        state = garage.update(advance(people, state, flows, H))
    assert (garage.left, garage.left_short) == (1, 0)
    assert sum(energy) * 0.9 == pytest.approx(need_wh)
    if strategy == "cheap" and need_wh == 20000.0:
        assert sum(energy[:12]) == 0, "nothing before 22:00"


def test_who_does_not_trade_hands_in_a_baseline_and_no_orders(make_people, make_state):
    people = make_people(2, **CAR, trades=[False, True])
    intent = intend(people, plugged(make_state, people), load=400)
    assert set(intent.orders["participant"]) == {1}
    assert intent.p_base_w.tolist() == [-4600, -4600]


def test_ids_are_unique_and_turns_rotate(make_people, make_state):
    people = make_people(3)
    first, second = (intend(people, make_state(people), load=400, interval=k).orders for k in (0, 1))
    assert not set(first["id"]) & set(second["id"])
    assert (np.diff(first["id"]) > 0).all()
    assert (first["time"].tolist(), second["time"].tolist()) == ([0, 1, 2], [1, 2, 0])
    assert set(second["interval"]) == {1}


watts = st.integers(0, 13000).map(float)


@st.composite
def houses(draw, n=4):
    """Random houses: any mix of assets, windows, states and forecasts."""

    def some(values):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)))

    floor = some(st.floats(0, 0.4))
    ceiling = some(st.floats(0.6, 1))
    hours = st.integers(0, 95).map(lambda q: q * H)
    columns = {
        "battery_p_w": some(st.sampled_from([0.0, 3000.0, 9000.0])),
        "battery_wh": 12000.0, "battery_efficiency": some(st.floats(0.7, 1)), "soc_min": floor, "soc_max": ceiling,
        "battery_sells": some(st.booleans()), "sell_from_s": some(hours), "sell_to_s": some(hours),
        "recharge_from_s": some(hours), "recharge_to_s": some(hours),
        "battery_ask_micro": some(st.integers(50_000, 300_000)),
        "ev_p_w": some(st.sampled_from([0.0, 3700.0, 11000.0])), "ev_efficiency": some(st.floats(0.8, 1)),
        "ev_cheap": some(st.booleans()), "pv_rated_w": 13000.0, "curtails": draw(st.booleans()),
        "house_bid_share": some(st.floats(0, 1)),
    }  # fmt: skip
    columns["battery_wh"] = np.where(columns["battery_p_w"] > 0, 12000.0, 0.0)
    state = {
        "soc": floor + some(st.floats(0, 1)) * (ceiling - floor),
        "ev_plugged": some(st.booleans()) & (columns["ev_p_w"] > 0),
        "ev_need_wh": some(st.integers(0, 50000).map(float)),
        "ev_departure_s": some(st.integers(1, 60).map(lambda q: q * H)),
    }
    state["ev_need_wh"] = np.where(state["ev_plugged"], state["ev_need_wh"], 0.0)
    return columns, state, some(watts), some(watts), draw(hours)


@settings(max_examples=300, deadline=None)
@given(street=houses())
def test_nobody_is_on_both_sides_and_what_is_offered_is_delivered(make_people, make_state, street):
    """With a perfect forecast and everything accepted, the meter confirms every fill to 1 Wh."""
    columns, state, load, pv, second = street
    people = make_people(4, **columns)
    state = make_state(people, **state)
    agents = Agents(people, tariff(second, night=True), H, second)
    intent = agents.intend(0, state, load, load / 4, pv)
    orders = intent.orders
    assert (orders["energy_wh"] > 0).all()
    for i in range(4):
        assert len({int(s) for s in orders["side"][orders["participant"] == i]}) <= 1, "one hand only"
    assert (orders["price_micro_per_kwh"] >= FEED_IN).all()

    session = TradingDesk(make_mechanism("call_auction", {}), tariff(second, night=True), H).clear(intent)
    fills = session.fills
    accepted = accepted_set_points(session, fills["energy_wh"], H)
    args = (load, load / 4, pv, H)
    flows, base = dispatch(people, state, accepted.set_points, *args)
    assert base.p_gen_w == pytest.approx(intent.p_base_w, abs=1e-6), (
        "the baseline is what flows without trades"
    )
    assert base.q_gen_var == pytest.approx(intent.q_base_var)
    power = fills["energy_wh"] * fills["flexible"] * fills["side"] * 4.0
    expected = intent.p_base_w + np.bincount(fills["participant"], power, minlength=4)
    assert flows.p_gen_w == pytest.approx(expected, abs=1e-6), "what the gate sees is what flows"
    energy = np.floor(flows.p_gen_w * 0.25 + 1e-6).astype(np.int64)
    local = fills["counterparty"] != SUPPLIER
    short = fills["energy_wh"] - covered_wh(fills, fills["energy_wh"], energy)
    assert (short[local | fills["flexible"]] <= 1).all(), (fills, short)
