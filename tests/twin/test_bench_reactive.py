"""A device on a bench answers for itself: its reactive power is read, and no rule of the plant is added to it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from rigs.device import Quality, Sample
from twin.devices import Devices
from twin.inverters import make_inverters
from twin.plant_setup import answering_notes
from twin.scenario.grid_section import InverterSection


@pytest.fixture
def houses(make_people):
    return make_people(
        3, pv_rated_w=[5000.0, 0.0, 5000.0], battery_p_w=[3000.0, 0.0, 0.0], battery_wh=[6000.0, 0, 0]
    )


def test_every_asset_has_an_inverter_but_those_on_the_bench(houses):
    section = InverterSection(mode="volt_var", assets=["pv", "battery", "ev"])
    all_of_them = make_inverters(section, houses)
    assert list(zip(all_of_them.kind, all_of_them.fleet.point.tolist(), strict=True)) == [
        ("pv", 0), ("pv", 2), ("battery", 0),
    ]  # fmt: skip
    assert all_of_them.fleet.s_rated_va == pytest.approx([5500, 5500, 3300])
    rest = make_inverters(section, houses, {"h0.pv", "h0.meter"})
    assert list(zip(rest.kind, rest.fleet.point.tolist(), strict=True)) == [("pv", 2), ("battery", 0)]
    grid = SimpleNamespace(plant=SimpleNamespace(inverters=section, tap_control=None))
    notes = answering_notes(SimpleNamespace(grid=grid), houses, {"h0.pv", "h0.meter"})
    assert any(note.startswith("plant: h0.pv answer for themselves on the bench") for note in notes)


def test_pv_is_off_without_sun_and_a_battery_keeps_its_active_power(houses):
    fleet = make_inverters(InverterSection(mode="volt_var"), houses).fleet
    p_w, q_var = fleet.output(np.full((2, 3), 1.08), np.array([[0.0, 5500, 3000], [0, 100, -3000]]))
    assert q_var[:, 0].tolist() == [0, 0], "no sun, no reactive power"
    assert q_var[0, 1] == pytest.approx(-0.44 * 5500) and p_w[0, 1] == pytest.approx(
        5500 * math.sqrt(1 - 0.44**2)
    )
    assert p_w[:, 2].tolist() == [3000, -3000]
    room = math.sqrt(3300**2 - 3000**2)
    assert q_var[:, 2] == pytest.approx([-min(0.44 * 3300, room)] * 2)


class Reporting:
    """A bench whose one device feeds in and says with how much reactive power."""

    roles = ("h0.pv",)

    def __init__(self, q_var: float, quality: Quality) -> None:
        self._sample = Sample(4000.0, q_var, 1000.0, 0.0, math.nan, quality, 0.0, wire=True)

    def step(self, *_):
        return {"h0.pv": self._sample}


@pytest.mark.parametrize(
    ("q_var", "quality", "added"),
    [(-700.0, Quality.GOOD, -700.0), (math.nan, Quality.GOOD, 0.0), (-700.0, Quality.BAD, 0.0)],
)
def test_its_reactive_power_counts_with_and_without_trades(houses, make_points, q_var, quality, added):
    sun = SimpleNamespace(at=lambda step: (np.full(3, 200.0), np.full(3, 50.0), np.array([4000.0, 0, 0])))
    decided = SimpleNamespace(accepted=SimpleNamespace(set_points=make_points(3)))
    step, native = (
        Devices(houses, sun, 900, np.arange(3), bench).step(0, decided)
        for bench in (Reporting(q_var, quality), None)
    )
    for one, other in ((step.flows, native.flows), (step.base, native.base)):
        assert (one.q_gen_var - other.q_gen_var).tolist() == [added, 0.0, 0.0]
