"""Devices behind a bench: what is commanded, what is believed, what is metered."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rigs.device import NO_CAR, Ambient, Car, Command, Quality, Sample
from twin.devices import Devices, role_specs
from twin.participants import EvSession

NAN = float("nan")


class Script:
    """A bench that answers what the test says, and keeps what it was asked."""

    def __init__(self, *answers, roles=("h0.battery", "h1.pv")):
        self.roles, self._answers, self.asked = roles, list(answers), []

    def step(self, time_s, step_s, commands, ambient):
        self.asked.append((time_s, step_s, commands, ambient))
        return self._answers.pop(0)


def sample(p_w, export_wh=0.0, import_wh=0.0, soc=NAN, quality=Quality.GOOD, wire=True):
    return Sample(p_w, 0.0, export_wh, import_wh, soc, quality, 0.0, wire)


@pytest.fixture
def people(make_people):
    return make_people(3, battery_p_w=[5000, 0, 0], battery_wh=[10000, 0, 0], pv_rated_w=[0, 8000, 0])


def weather(load=0.0, pv=(0.0, 0.0, 0.0)):
    return SimpleNamespace(at=lambda step: (np.full(3, load), np.zeros(3), np.array(pv)))


def decided(points):
    return SimpleNamespace(accepted=SimpleNamespace(set_points=points))


def devices(people, bench, profiles=None, seen=None):
    note = None if seen is None else lambda step, role, s: seen.append((step, role, s.quality))
    return Devices(people, profiles or weather(), 900, np.array([4, 5, 6]), bench, note)


def test_roles_carry_nameplates_and_nothing_else(people):
    battery, _, _, pv, *meters = role_specs(people)
    assert {spec.role.rpartition(".")[2] for spec in meters} == {"meter", "analyser"}
    assert (battery.role, battery.kind, battery.p_max_w, battery.capacity_wh, battery.soc_initial) == (
        "h0.battery",
        "battery",
        5000,
        10000,
        0.5,
    )
    assert (pv.role, pv.kind, pv.p_max_w, pv.capacity_wh) == ("h1.pv", "pv_inverter", 8000, 0)


def test_what_the_device_did_counts_not_what_it_was_told(people, make_points):
    """Told to discharge 4 kW, it gives 3.5 kW; its counters and its state of charge are believed."""
    bench = Script({"h0.battery": sample(3500, 5_000_875, soc=0.4), "h1.pv": sample(5900, 70)},
                   {"h0.battery": sample(3000, 5_001_645, soc=0.3), "h1.pv": sample(6000, 1580)})  # fmt: skip
    fleet = devices(people, bench, weather(pv=(0, 6000, 0)))
    done = fleet.step(0, decided(make_points(3, battery_extra_w=[4000, 0, 0], pv_extra_w=[0, 9000, 0])))
    time_s, step_s, commands, ambient = bench.asked[0]
    assert (time_s, step_s, commands["h0.battery"], commands["h1.pv"]) == (
        0,
        900,
        Command(4000),
        Command(8000),
    )
    assert ambient["h1.pv"] == Ambient(6000, 1.0)
    assert done.flows.p_gen_w.tolist() == [3500, 5900, 0]
    assert done.flows.pv_curtailed_w.tolist() == [0, 100, 0]
    assert done.metered_wh.tolist() == [875, 1475, 0], "the first reading only says where the counters stand"
    assert done.wire.tolist() == [True, True, False] and not done.bad.any()
    assert fleet.state.soc[0] == 0.4
    assert done.base.p_gen_w.tolist() == [0, 5000, 0], "without trades the roof keeps its firm limit"
    done = fleet.step(1, decided(make_points(3, battery_extra_w=[4000, 0, 0], pv_extra_w=[0, 9000, 0])))
    assert done.metered_wh.tolist() == [770, 1510, 0], "then the counters decide, not the mean power"


def test_a_curtailed_inverter_is_told_its_limit(people, make_points):
    bench = Script({"h0.battery": sample(0, soc=0.5), "h1.pv": sample(5000)})
    devices(people, bench, weather(pv=(0, 8000, 0))).step(0, decided(make_points(3)))
    assert bench.asked[0][2]["h1.pv"] == Command(5000)


def test_a_missed_reading_is_assumed_once_and_made_good_by_the_counter(people, make_points):
    """Energy over all steps is what the counter says, whichever reading was lost."""
    points = decided(make_points(3, battery_extra_w=[2000, 0, 0]))
    pv = {"h1.pv": sample(0)}
    answers = [sample(2000, 1500, soc=0.45), sample(0, quality=Quality.BAD), sample(2000, 2450, soc=0.36)]
    seen = []
    fleet = devices(people, Script(*({"h0.battery": a, **pv} for a in answers)), seen=seen)
    steps = [fleet.step(k, points) for k in range(3)]
    assert [s.metered_wh[0] for s in steps] == [500, 500, 450]
    assert sum(s.metered_wh[0] for s in steps) == 500 + (2450 - 1500)
    assert [bool(s.bad[0]) for s in steps] == [False, True, False]
    assert steps[1].flows.battery_w[0] == 2000, "without a reading the model stands in"
    assert steps[1].state.soc[0] == pytest.approx(0.45 - 500 / 10000)
    assert steps[2].state.soc[0] == 0.36
    assert [s[2] for s in seen if s[1] == "h0.battery"] == [Quality.GOOD, Quality.BAD, Quality.GOOD]


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.BAD])
def test_what_is_not_good_is_not_used(people, make_points, quality):
    bench = Script({"h0.battery": sample(-9999, soc=0.99, quality=quality), "h1.pv": sample(0)})
    done = devices(people, bench).step(0, decided(make_points(3)))
    assert done.flows.p_gen_w[0] == 0 and done.state.soc[0] == 0.5 and done.bad[0]


def test_a_coupled_bench_sees_the_plants_voltage(people, make_points):
    bench = Script({"h0.battery": sample(0, soc=0.5), "h1.pv": sample(0)})
    devices(people, bench).step(0, decided(make_points(3)), np.linspace(0.9, 1.0, 11))
    assert bench.asked[0][3]["h0.battery"].v_pu == pytest.approx(0.94)
    assert bench.asked[0][3]["h1.pv"].v_pu == pytest.approx(0.95)


def test_without_a_bench_the_fleet_is_native(people, make_points):
    done = devices(people, None, weather(load=100)).step(0, decided(make_points(3)))
    assert done.metered_wh.tolist() == [0, -25, -25]
    assert not done.wire.any() and not done.bad.any()
    assert done.base.p_gen_w.tolist() == done.flows.p_gen_w.tolist()


def test_a_meter_at_the_connection_point_is_told_the_rest_and_decides_what_is_metered(people, make_points):
    """The house draws 500 W beside its battery; the meter's counters say 10 Wh less than the device's."""
    roles = ("h0.battery", "h0.meter")
    bench = Script({"h0.battery": sample(2000, soc=0.4), "h0.meter": sample(1500, 7_000)},
                   {"h0.battery": sample(2000, 500, soc=0.3), "h0.meter": sample(1460, 7_365)},
                   {"h0.battery": sample(2000, 1000, soc=0.2), "h0.meter": sample(NAN, quality=Quality.BAD)},
                   {"h0.battery": sample(2000, 1500, soc=0.1), "h0.meter": sample(1500, 8_115)}, roles=roles)  # fmt: skip
    fleet = devices(people, bench, weather(load=500))
    points = decided(make_points(3, battery_extra_w=[1500, 0, 0]))
    done = [fleet.step(k, points) for k in range(4)]
    assert bench.asked[0][3]["h0.meter"].p_available_w == -500
    assert "h0.meter" not in bench.asked[0][2], "a meter is commanded nothing"
    assert [s.metered_wh[0] for s in done] == [375, 365, 375, 375], (
        "the lost reading is made good by the counter"
    )
    assert sum(s.metered_wh[0] for s in done[1:]) == 8_115 - 7_000
    assert [bool(s.bad[0]) for s in done] == [False, False, True, False]


def test_a_step_that_began_too_late_leaves_the_last_set_points(people, make_points):
    answer = {"h0.battery": sample(0, soc=0.5), "h1.pv": sample(0)}
    bench = Script(*[answer] * 3)
    fleet = devices(people, bench)
    fleet.step(0, decided(make_points(3, battery_extra_w=[1000, 0, 0])))
    fleet.step(1, decided(make_points(3, battery_extra_w=[2000, 0, 0])), hold=True)
    fleet.step(2, decided(make_points(3, battery_extra_w=[3000, 0, 0])))
    assert [asked[2]["h0.battery"].p_set_w for asked in bench.asked] == [1000, 1000, 3000]


def test_bad_readings_that_a_scheduled_fault_explains_are_counted_apart(people, make_points):
    bad = sample(NAN, quality=Quality.BAD)
    bench = Script({"h0.battery": replace(bad, scheduled=True), "h1.pv": bad},
                   {"h0.battery": replace(bad, scheduled=True), "h1.pv": sample(0)})  # fmt: skip
    fleet = devices(people, bench)
    bad_steps = sum(int(fleet.step(k, decided(make_points(3))).bad.sum()) for k in range(2))
    assert (bad_steps, fleet.bad_by_fault) == (3, 2)


def test_a_car_charges_over_its_wallbox_and_what_that_metered_is_settled(make_people, make_points):
    """It is told the limit and who is there; what it drew counts, for the car's need as well as for the meter."""
    session = EvSession(0, 900, 3600, 3000.0)
    people = make_people(3, ev_p_w=[11000, 0, 0], ev_efficiency=[0.9] * 3, ev_sessions=(session,))
    (wallbox, *_) = role_specs(people)
    assert (wallbox.role, wallbox.kind, wallbox.p_max_w, wallbox.efficiency) == (
        "h0.ev",
        "ev_charger",
        11000,
        0.9,
    )
    answers = [
        sample(0),
        sample(-10_800, import_wh=2700.4),
        sample(-2_400, import_wh=3300.4),
        sample(0, import_wh=3300.4),
    ]
    bench = Script(*({"h0.ev": a} for a in answers), roles=("h0.ev",))
    fleet = devices(people, bench, weather(load=400))
    points = decided(make_points(3, ev_base_w=[4200, 0, 0], ev_extra_w=[6800, 0, 0]))
    done = [fleet.step(k, points) for k in range(4)]
    told = [(a[2]["h0.ev"], a[3]["h0.ev"].car) for a in bench.asked]
    assert told[0] == (Command(0), NO_CAR)
    assert told[1] == (Command(-11000), Car(3600, 3000.0))
    # 3000 - 0.9 * 2700 = 570 Wh are left: 2.5 kW would do, but no wallbox charges below 6 A; the car stops by itself
    assert told[2] == (Command(-4140), Car(3600, 3000.0))
    assert [s.flows.ev_w[0] for s in done] == [0, 10_800, 2_400, 0]
    assert [s.flows.p_gen_w[0] for s in done] == [-400, -11_200, -2_800, -400]
    assert [s.metered_wh[0] for s in done] == pytest.approx([-100, -2800.4, -700, -100])
    assert done[2].state.ev_need_wh[0] == pytest.approx(30)
    assert (fleet.garage.left, fleet.garage.left_short) == (1, 0), "within the tolerance of a minute"
    assert all(s.wire[0] and not s.bad[0] for s in done)
    assert done[1].base.ev_w[0] == 4200


def test_a_meter_is_told_of_the_rest_without_the_wallbox(make_people, make_points):
    people = make_people(
        3, ev_p_w=[11000, 0, 0], ev_efficiency=[0.9] * 3, ev_sessions=(EvSession(0, 0, 3600, 9e3),)
    )
    bench = Script({"h0.ev": sample(-5000), "h0.meter": sample(-5400)}, roles=("h0.ev", "h0.meter"))
    devices(people, bench, weather(load=400)).step(0, decided(make_points(3, ev_base_w=[5000, 0, 0])))
    assert bench.asked[0][3]["h0.meter"].p_available_w == -400
    assert bench.asked[0][2]["h0.ev"] == Command(-5000), "a car that needs more keeps to its limit"
