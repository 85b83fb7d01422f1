"""Meters behind a connection point: what may be certified of a plant beside a battery, and who is registered."""

import numpy as np
import pytest

from twin.oracles.metering import Metering


@pytest.fixture
def metering(make_people):
    """a: PV alone, b: PV and a battery, c: neither."""
    people = make_people(
        3,
        pv_rated_w=[5000.0, 6000.0, 0.0],
        battery_wh=[0.0, 10_000.0, 0.0],
        battery_p_w=[0.0, 4000.0, 0.0],
        battery_efficiency=0.9,
    )
    return Metering(people, 0.25)


def counted(metering, point, pv, battery, agreed=True, usable=True):
    energy = np.array([0, point, 0, pv, battery])
    made = metering.counted(
        energy[:3], np.array([True, agreed, True]), energy, np.array([True] * 4 + [usable])
    )
    return made.exported_wh[3:].tolist(), made.imported_wh[3:].tolist(), made.counts[3:].tolist()


def test_names_and_energy_of_every_meter(metering):
    assert metering.names == ("h0", "h1", "h2", "h1.pv", "h1.battery")
    power = np.array([1.0, 2.0, 3.0])
    energy = metering.energy_wh(power * 10, power * 400, power * -100, 0.25)
    assert energy.tolist() == [10, 20, 30, 200, -50]


@pytest.mark.parametrize(
    ("point", "pv", "battery", "sun", "given", "taken"),
    [
        (300, 500, 0, 300, 0, 0),  # fed in past the house
        (100, 900, -700, 800, 0, 700),  # some fed in, some stored
        (-200, 0, -150, 0, 0, 150),  # charged from the grid: nothing of the sun's
        (-40, 300, -200, 160, 0, 200),  # partly: what was imported counts as what the battery took
        (400, 100, 350, 50, 350, 0),  # the battery's is the first to be exported
        (200, 100, 350, 0, 200, 0),  # the battery also covered the house: only what was fed in
        (-500, 900, 0, 0, 0, 0),  # the house took it all
        (600, 20, 0, 20, 0, 0),  # never more than the plant made
    ],
)
def test_what_may_be_certified(metering, point, pv, battery, sun, given, taken):
    exported, imported, counts = counted(metering, point, pv, battery)
    assert (exported, imported, counts) == ([sun, given], [0, taken], [True, True])
    assert sun + given <= max(point, 0) + taken, "fed in or stored, each Wh once"


@pytest.mark.parametrize(
    ("pv", "battery", "agreed", "usable"),
    [(500, 0, False, True), (500, 0, True, False), (1880, 0, True, True), (500, -1002, True, True)],
)
def test_what_is_not_sure_is_not_certified(metering, pv, battery, agreed, usable):
    """Held, a meter that cannot be used, and more than the nameplates of plant and battery allow."""
    assert counted(metering, 300, pv, battery, agreed, usable)[2] == [False, False]


def test_who_is_registered_as_what(metering):
    devices = metering.devices("street/main", 7)
    assert [(d.name, d.kind) for d in devices] == [
        ("h0", "pv"), ("h1", "house"), ("h2", "house"), ("h1.pv", "pv"), ("h1.battery", "battery")
    ]  # fmt: skip
    assert (devices[4].capacity, devices[4].efficiency_ppm) == (10_000, 810_000), "a round trip"
    assert devices[2].capacity >= 1 and len({d.key for d in devices}) == 5
    assert {d.key for d in devices}.isdisjoint(d.key for d in metering.devices("street/main", 8))
