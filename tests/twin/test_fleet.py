"""The native fleet against numbers worked out by hand, and the laws it must keep for any input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.fleet import Garage, advance, dispatch
from twin.participants import EvSession
from twin.rules import battery_bounds_w, ev_most_w, self_consumption_w

H = 900
ZERO = np.zeros(1)


def one(make_people, **columns):
    return make_people(1, **columns)


def flow(people, state, points, load=0.0, pv=0.0, step_s=H):
    n = people.n
    return dispatch(people, state, points, np.full(n, load), np.full(n, load / 4), np.full(n, pv), step_s)[0]


BATTERY = {
    "battery_p_w": 5000,
    "battery_wh": 10000,
    "battery_efficiency": 0.8,
    "soc_min": 0.1,
    "soc_max": 0.9,
}


def bounds(soc):
    return battery_bounds_w(soc, 0.1, 0.9, 10000, 5000, 0.8, 0.25)


def test_what_a_battery_can_do_in_a_quarter_of_an_hour():
    assert bounds(0.5) == (-5000, 5000), "rated power binds"
    assert bounds(0.85)[0] == pytest.approx(-(0.05 * 10000 / 0.8) / 0.25), "500 Wh of room take 625 Wh"
    assert bounds(0.15)[1] == pytest.approx(0.05 * 10000 * 0.8 / 0.25), "500 Wh stored give 400 Wh"
    assert bounds(0.05)[1] == 0, "below its floor it gives nothing"
    assert bounds(0.95)[0] == 0, "above its ceiling it takes nothing"


def test_state_of_charge_follows_the_terminals(make_people, make_state, make_points):
    people = one(make_people, **BATTERY)
    state = make_state(people, soc=0.5)
    sold = flow(people, state, make_points(1, battery_extra_w=4000))
    assert (sold.battery_w[0], sold.p_gen_w[0]) == (4000, 4000)
    assert advance(people, state, sold, H).soc[0] == pytest.approx(0.5 - 1000 / 0.8 / 10000)
    stored = flow(people, state, make_points(1, battery_extra_w=-4000))
    assert stored.p_gen_w[0] == -4000
    after = advance(people, state, stored, H)
    assert after.soc[0] == pytest.approx(0.5 + 1000 * 0.8 / 10000)
    assert after.time_s == H


def test_a_house_covers_itself_first(make_people, make_state, make_points):
    people = one(make_people, **BATTERY)
    state = make_state(people, soc=0.5)
    deficit = flow(people, state, make_points(1), load=3000)
    assert (deficit.battery_w[0], deficit.p_gen_w[0]) == (3000, 0)
    surplus = flow(people, state, make_points(1), load=1000, pv=4000)
    assert (surplus.battery_w[0], surplus.p_gen_w[0]) == (-3000, 0)
    idle = flow(people, state, make_points(1, battery_idle=True), load=3000)
    assert (idle.battery_w[0], idle.p_gen_w[0]) == (0, -3000), "in its recharge window it keeps its energy"
    idle = flow(people, state, make_points(1, battery_idle=True), load=1000, pv=4000)
    assert idle.battery_w[0] == -3000, "but the sun still fills it"


def test_reactive_power_is_the_loads(make_people, make_state, make_points):
    people = one(make_people)
    done = flow(people, make_state(people), make_points(1), load=2000)
    assert (done.q_gen_var[0], done.load_w[0]) == (-500, 2000)


@pytest.mark.parametrize(
    "curtails, pv_extra, sold, expected",
    [
        (False, 0, 0, 5000),  # the firm limit
        (False, 1500, 0, 6500),  # and what found a taker
        (True, 0, 0, 0),
        (True, 1500, 0, 1500),
        (False, 0, 1000, 6000),  # what a battery sold may leave as well
    ],
)
def test_surplus_beyond_the_firm_limit_is_curtailed(
    make_people, make_state, make_points, curtails, pv_extra, sold, expected
):
    people = one(make_people, pv_rated_w=9000, curtails=curtails, battery_p_w=3000, battery_wh=10000)
    state = make_state(people, soc=1.0 if not sold else 0.9)
    # a battery that is idle and full leaves the surplus alone; one that sells is full enough not to charge here
    people_full = people if not sold else one(
        make_people, pv_rated_w=9000, battery_p_w=3000, battery_wh=10000, soc_max=0.9
    )  # fmt: skip
    points = make_points(1, pv_extra_w=pv_extra, battery_extra_w=sold)
    done = flow(people_full, state, points, load=1000, pv=9000)
    assert done.p_gen_w[0] == pytest.approx(expected)
    assert done.pv_curtailed_w[0] == pytest.approx(8000 + sold - expected)
    assert done.pv_w[0] == pytest.approx(9000 - done.pv_curtailed_w[0])


def test_a_car_takes_its_firm_part_and_what_was_accepted(make_people, make_state, make_points):
    people = one(make_people, ev_p_w=11000, ev_efficiency=0.9)
    state = make_state(people, ev_plugged=True, ev_need_wh=20000.0)
    done = flow(people, state, make_points(1, ev_base_w=4200, ev_extra_w=3000), load=500)
    assert (done.ev_w[0], done.p_gen_w[0]) == (7200, -7700)
    assert advance(people, state, done, H).ev_need_wh[0] == pytest.approx(20000 - 7200 * 0.25 * 0.9)
    full = flow(people, state, make_points(1, ev_base_w=4200, ev_extra_w=90000))
    assert full.ev_w[0] == 11000, "never above the charger"
    nearly = make_state(people, ev_plugged=True, ev_need_wh=450.0)
    done = flow(people, nearly, make_points(1, ev_base_w=4200, ev_extra_w=3000))
    assert done.ev_w[0] == pytest.approx(450 / 0.9 / 0.25), "never above the need"
    gone = flow(people, make_state(people, ev_need_wh=450.0), make_points(1, ev_base_w=4200))
    assert gone.ev_w[0] == 0


def test_the_counterfactual_is_the_same_state_without_what_was_accepted(make_people, make_state, make_points):
    people = make_people(3, ev_p_w=[11000, 0, 0], pv_rated_w=[0, 9000, 0], battery_p_w=[0, 0, 5000],
                         battery_wh=[0, 0, 10000])  # fmt: skip
    state = make_state(people, ev_plugged=[True, False, False], ev_need_wh=[20000.0, 0, 0], soc=0.8)
    points = make_points(
        3,
        ev_base_w=[4200, 0, 0],
        ev_extra_w=[5000, 0, 0],
        battery_extra_w=[0, 0, 4000],
        pv_extra_w=[0, 2000, 0],
    )
    args = (np.full(3, 1000.0), np.zeros(3), np.array([0, 9000.0, 0]), H)
    with_, without = dispatch(people, state, points, *args)
    assert with_.p_gen_w.tolist() == [-10200, 7000, 4000]
    assert without.p_gen_w.tolist() == [-5200, 5000, 0]
    assert points.ev_extra_w[0] == 5000, "the set points themselves are left as they are"


quantity = st.floats(0, 12000)
fraction = st.floats(0, 1)


@settings(max_examples=300, deadline=None)
@given(
    load=quantity, pv=quantity, soc=fraction, need=st.floats(0, 60000), base=quantity, extra=quantity,
    battery=st.floats(-12000, 12000), pv_extra=quantity, eta=st.floats(0.5, 1), size=st.floats(1, 30000),
    floor=st.floats(0, 0.4), ceiling=st.floats(0.6, 1), plugged=st.booleans(), idle=st.booleans(),
    curtails=st.booleans(), step_s=st.sampled_from([60, 300, 900]),
)  # fmt: skip
def test_energy_is_kept_whatever_is_asked(
    make_people, make_state, make_points, load, pv, soc, need, base, extra, battery, pv_extra, eta, size, floor,
    ceiling, plugged, idle, curtails, step_s,
):  # fmt: skip
    """Balance at the connection point, in the battery and in the car; limits hold to rounding."""
    people = one(make_people, battery_p_w=5000, battery_wh=size, battery_efficiency=eta, soc_min=floor,
                 soc_max=ceiling, ev_p_w=11000, ev_efficiency=eta, pv_rated_w=12000, curtails=curtails)  # fmt: skip
    soc = floor + soc * (ceiling - floor)
    state = make_state(people, soc=soc, ev_plugged=plugged, ev_need_wh=need)
    points = make_points(
        1, ev_base_w=base, ev_extra_w=extra, battery_extra_w=battery, pv_extra_w=pv_extra, battery_idle=idle
    )
    f = flow(people, state, points, load, pv, step_s)
    after = advance(people, state, f, step_s)
    hours = step_s / 3600
    assert f.p_gen_w[0] == pytest.approx(f.pv_w[0] - load - f.ev_w[0] + f.battery_w[0], abs=1e-6)
    assert f.pv_w[0] + f.pv_curtailed_w[0] == pytest.approx(pv, abs=1e-6)
    assert 0 <= f.pv_curtailed_w[0] <= pv
    out, into = max(f.battery_w[0], 0) * hours, max(-f.battery_w[0], 0) * hours
    assert (after.soc[0] - soc) * size == pytest.approx(into * eta - out / eta, abs=1e-6)
    assert floor - 1e-9 <= after.soc[0] <= ceiling + 1e-9
    assert abs(f.battery_w[0]) <= 5000
    assert need - after.ev_need_wh[0] == pytest.approx(f.ev_w[0] * hours * eta, abs=1e-6)
    assert 0 <= f.ev_w[0] <= (11000 if plugged else 0)
    assert after.ev_need_wh[0] >= -1e-6
    firm = 0.0 if curtails else 5000.0
    if f.pv_curtailed_w[0] < pv:  # as long as there is sun to curtail, export keeps its limit
        assert f.p_gen_w[0] <= firm + pv_extra + max(battery, 0) + 1e-6


def test_self_consumption_never_serves_others():
    own = [self_consumption_w(net, -2000.0, 2500.0, False) for net in (-3000.0, 3000.0, 0.0)]
    assert own == [2500, -2000, 0]
    assert self_consumption_w(-3000.0, -2000.0, 2500.0, True) == 0, "an idle battery keeps what it has"


def test_the_most_a_car_draws_is_bounded_by_its_need():
    cases = ((True, 100.0), (True, 1e6), (False, 1e6))
    assert [ev_most_w(plugged, need, 11000.0, 0.5, 0.25) for plugged, need in cases] == [
        100 / 0.5 / 0.25,
        11000,
        0,
    ]


def stay(row, arrival, departure, need):
    return EvSession(row, arrival, departure, need)


def test_cars_come_and_go_and_the_short_ones_are_counted(make_people):
    people = make_people(2, ev_p_w=11000, ev_sessions=(stay(0, 900, 2700, 5000.0), stay(1, 0, 1800, 3000.0)))
    garage = Garage(people)
    state = garage.update(garage.initial(people))
    assert state.ev_plugged.tolist() == [False, True], "who comes at second 0 is there at once"
    state = garage.update(advance(people, state, _nothing(2), 900))
    assert state.ev_plugged.tolist() == [True, True]
    assert state.ev_need_wh.tolist() == [5000, 3000]
    assert state.ev_departure_s.tolist() == [2700, 1800]
    assert garage.update(state) is state, "nobody moves twice at one moment"
    state = garage.update(advance(people, state, _nothing(2, [0, 11900]), 900))
    assert (garage.left, garage.left_short, garage.short_wh) == (1, 0, 0), "25 Wh are no missing charge"
    state = garage.update(advance(people, state, _nothing(2, [4000, 0]), 900))
    assert (garage.left, garage.left_short, garage.short_wh) == (2, 1, 4000)
    assert not state.ev_plugged.any() and not state.ev_need_wh.any()


def test_a_car_may_come_back_at_the_second_it_left(make_people):
    people = make_people(1, ev_p_w=11000, ev_sessions=(stay(0, 0, 900, 100.0), stay(0, 900, 1800, 700.0)))
    garage = Garage(people)
    state = garage.update(advance(people, garage.update(garage.initial(people)), _nothing(1), 900))
    assert garage.left_short == 1
    assert (state.ev_plugged[0], state.ev_need_wh[0], state.ev_departure_s[0]) == (True, 700, 1800)


def _nothing(n, ev_w=0.0):
    from twin.fleet import Flows

    zero = np.zeros(n)
    return Flows(zero, zero, zero, zero, zero, zero, np.broadcast_to(np.asarray(ev_w, float), (n,)))
