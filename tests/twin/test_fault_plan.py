"""Faults against participants, bench and length of a run: everything that cannot be is told."""

import pytest
import yaml

from rigs.faults import Fault
from twin.fault_plan import MeterFault, plan_faults
from twin.scenario.schema import Scenario

BASE = {
    "name": "x", "start": "2016-01-18T12:00:00+01:00", "duration_days": 0.125, "seed": 1,
    "grid": {"source": "x"},
}  # fmt: skip
NAMES = ("h1", "h2")
DRIVERS = {"h1.battery": "emulated", "h2.pv": "memory"}


def plan(*texts: str, drivers=DRIVERS, readable=True, refuses=lambda role, kind: "", behind=()):
    faults = [yaml.safe_load("{" + text + "}") for text in texts]
    scenario = Scenario.model_validate({**BASE, "faults": faults}, strict=False)
    told: list[str] = []

    def complain(key, message, got="", allowed="", hint=""):
        told.append(f"{key}: {message}; {got}; {allowed}; {hint}")

    return plan_faults(scenario, NAMES, drivers, readable, complain, refuses, behind), told


def test_device_and_meter_faults_go_their_ways():
    done, told = plan(
        "target: h1.battery, kind: mute, at_s: 900, for_s: 900",
        "target: h1.battery, kind: lie, factor: 1.2, at: '13:00'",
        "target: h2.meter, kind: meter_replay, lag_s: 1800, at_s: 3600, for_s: 1800",
    )
    assert told == []
    assert done.devices == (
        Fault("h1.battery", "mute", 900, 1800), Fault("h1.battery", "lie", 3600, 10800, 1.2)
    )  # fmt: skip
    assert done.meters == (MeterFault("h2", 1, "meter_replay", 3600, 5400, 1800),)


def test_a_meter_behind_a_connection_point_has_a_row_after_all_participants():
    text = "target: h2.battery.meter, kind: meter_frozen"
    done, told = plan(text, behind=("h2.pv", "h2.battery"))
    assert told == []
    assert done.meters == (MeterFault("h2.battery", 3, "meter_frozen", 0, 10800, 1),)
    done, (told,) = plan(text)
    assert done.meters == ()
    assert "where both stand behind one point and oracles are on" in told


WRONG = [
    ("target: h1.batery, kind: mute", "faults[0].target: is no role", "Did you mean h1.battery?"),
    ("target: h2.pv, kind: mute", "served by driver memory", "h1.battery"),
    ("target: h2.meter, kind: lie, factor: 2", "is no role", "did you mean kind meter_lie?"),
    ("target: h3.meter, kind: meter_silent", "is no participant's meter", "'<participant>.meter'"),
    ("target: h1.battery, kind: meter_silent", "is no participant's meter", "'<participant>.meter'"),
    ("target: h1.battery, kind: mute, at_s: 10800", "faults[0].at_s: lies outside of the run", "10800"),
    ("target: h1.battery, kind: mute, at: '11:00'", "faults[0].at: lies outside of the run", "11:00"),
    ("target: h1.battery, kind: mute, at_s: 9000, for_s: 1801", "beyond the end", "at most 1800 s"),
    ("target: h1.battery, kind: mute, at_s: 1, for_s: 898", "between two steps of 900 s", "898 s"),
    ("target: h1.meter, kind: meter_replay, lag_s: 900", "begins before the run", "at most 0 s"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "words"), WRONG)
def test_what_cannot_be_is_told(text, message, words):
    done, (told,) = plan(text)
    assert done.devices == done.meters == ()
    assert message in told and words in told


def test_overlapping_faults_of_one_target_are_told_with_both():
    _, told = plan(
        "target: h1.battery, kind: mute, at_s: 900, for_s: 1800",
        "target: h1.battery, kind: busy, at_s: 1800, for_s: 900",
        "target: h1.battery, kind: busy, at_s: 2700, for_s: 900",
        "target: h1.meter, kind: meter_frozen, at_s: 900",
    )
    (text,) = told
    assert "faults[1]: overlaps with faults[0]" in text


def test_all_problems_are_told_at_once():
    _, told = plan(*(text for text, _, _ in WRONG))
    assert len([t for t in told if "overlaps" not in t]) == len(WRONG)


def test_without_a_bench_it_is_asked_for_and_an_unreadable_one_is_not_blamed_twice():
    text = "target: h1.battery, kind: mute"
    assert "Name a bench" in plan(text, drivers={})[1][0]
    assert plan(text, drivers={}, readable=False)[1] == []


def test_a_real_link_may_fail_but_its_device_is_told_nothing():
    """What the bench refuses is told by name, with the roles that could do it."""

    def refuses(role, kind):
        return f"is a real device, which cannot do {kind}" if (role, kind) == ("h2.pv", "reboot") else ""

    drivers = {"h1.battery": "emulated", "h2.pv": "modbus"}
    texts = (
        "target: h2.pv, kind: mute, at_s: 900, for_s: 900",
        "target: h2.pv, kind: reboot, at_s: 2700, for_s: 900",
    )
    done, told = plan(*texts, drivers=drivers, refuses=refuses)
    assert done.devices == (Fault("h2.pv", "mute", 900, 1800),)
    assert told == ["faults[1].target: is a real device, which cannot do reboot; 'h2.pv'; h1.battery; "]
