"""Meters behind a connection point: what sun, battery and balance refuse, who is named, and what stays unseen."""

from pathlib import Path

import numpy as np
import pytest

from adapters.chain.cli import main as chain_cli
from twin.fault_plan import MeterFault
from twin.oracles.behind import (
    BALANCE_SAYS_NO,
    BALANCE_UNCLEAR,
    FINE,
    MODEL_SAYS_NO,
    UNUSABLE,
    Behind,
)
from twin.oracles.findings import Findings, Seen
from twin.oracles.meter import OK, REPLAYED
from twin.oracles.output_model import Band
from twin.run import run
from twin.scenario.load import load_scenario

SCENARIOS = Path(__file__).parents[3] / "scenarios"
SLACK = 10


@pytest.fixture
def judge(make_people):
    """judge(point, pv, battery, sun, ...): verdicts of the plant and the battery of one house; 10 kWh, 4 kW."""

    def open_(steps=1, can_be_less=False, export_w=0):
        people = make_people(
            2, pv_rated_w=[6000.0, 0.0], battery_wh=[10_000.0, 0.0], battery_p_w=[4000.0, 0.0],
            battery_efficiency=0.95, firm_export_w=export_w, curtails=False,
        )  # fmt: skip
        most = np.array([1000.0, 1000.0])  # Wh in an interval: 4 kW
        rows = np.array([0])
        behind = Behind(people, rows, most, 0.25, SLACK, spread=0.15, steps=steps, can_be_less=can_be_less)

        def ask(point, pv, battery, sun, usable=(True, True), agreed=True, doubt=0):
            band = Band(*(np.array([n, 0]) for n in (0, 0, sun, 0, 0, 0)))
            verdict, _, _ = behind.judge(
                np.array([point, 0, pv, battery]), np.array([True, True, *usable]), np.array([point, 0]),
                np.array([agreed, True]), np.array([doubt, 0]), band,
            )  # fmt: skip
            return tuple(verdict.tolist())

        return ask

    return open_


@pytest.mark.parametrize(
    ("point", "pv", "battery", "sun", "verdict"),
    [
        (700, 1000, 0, 1000, (FINE, FINE)),  # the house takes 300
        (-800, 0, 0, 0, (FINE, FINE)),
        (0, 0, 800, 0, (FINE, FINE)),  # it lives on its battery
        (0, 1100, -1000, 1000, (FINE, FINE)),
        (0, 1200, -1000, 1000, (MODEL_SAYS_NO, FINE)),  # more than the sun allows
        (700, 1000, 1100, 1000, (FINE, MODEL_SAYS_NO)),  # more than its power
        (700, 1000, -1100, 1000, (FINE, MODEL_SAYS_NO)),
        (900, 0, 300, 0, (FINE, BALANCE_SAYS_NO)),  # at night only the battery can have fed in the rest
        (-200, 1000, 900, 1000, (FINE, BALANCE_SAYS_NO)),  # the house cannot take 2,100
        (100, 1000, -970, 1000, (BALANCE_UNCLEAR, BALANCE_UNCLEAR)),  # 58 Wh less: the sun or the battery
    ],
)
def test_who_is_refused(judge, point, pv, battery, sun, verdict):
    assert judge()(point, pv, battery, sun) == verdict


def test_a_plant_that_says_too_little_is_refused_unless_something_curtails_it(judge):
    assert judge(export_w=8000)(0, 500, 0, 1000) == (MODEL_SAYS_NO, FINE)
    assert judge(export_w=1600)(0, 500, 0, 1000) == (FINE, FINE)  # 400 Wh may be fed in firmly
    assert judge(export_w=8000, can_be_less=True)(0, 500, 0, 1000) == (FINE, FINE)


def test_what_cannot_be_used_refuses_nobody_else(judge):
    assert judge()(900, 0, 300, 0, usable=(True, False)) == (FINE, UNUSABLE)
    assert judge()(900, 0, 300, 0, usable=(False, True)) == (UNUSABLE, FINE)
    assert judge()(900, 0, 300, 0, agreed=False) == (FINE, FINE)  # a point that is held says nothing
    assert judge()(900, 0, 300, 0, doubt=700) == (FINE, FINE)


def test_more_cannot_come_out_than_a_full_battery_holds(judge):
    ask = judge()
    verdicts = [ask(700, 0, 900, 0) for _ in range(14)]
    first = verdicts.index((FINE, MODEL_SAYS_NO))
    assert first * 900 / 0.95 <= 10_000 + first * (0.04 * 900 / 0.95 + 1) + SLACK
    assert 9 <= first <= 12 and all(verdict == (FINE, FINE) for verdict in verdicts[:first])


def test_more_cannot_go_in_than_an_empty_battery_takes(judge):
    ask = judge()
    verdicts = [ask(-1000, 0, -900, 0) for _ in range(16)]
    assert 10 <= verdicts.index((FINE, MODEL_SAYS_NO)) <= 13


@pytest.mark.parametrize("efficiency", [0.93, 0.95, 0.97])
@pytest.mark.parametrize("lost", [0, 1])
def test_an_honest_battery_of_nearly_that_efficiency_is_never_refused(judge, efficiency, lost):
    """A year of full cycles, with whole Wh and now and then a reading that is lost."""
    ask, stored, rng = judge(), 5000.0, np.random.default_rng(3)
    for i in range(4000):
        want = float(rng.uniform(-1000, 1000)) if i % 200 > 60 else (-1000.0 if i % 400 < 200 else 1000.0)
        given = min(want, stored * efficiency) if want > 0 else max(want, -(10_000 - stored) / efficiency)
        stored -= given / efficiency if given > 0 else given * efficiency
        battery = round(given)
        verdict = ask(battery - 300, 0, battery, 0, usable=(True, not (lost and i % 37 == 0)))
        assert verdict[1] in (FINE, UNUSABLE), i


@pytest.mark.parametrize("factor", [0.5, 0.8])
def test_a_battery_that_says_less_than_it_does_is_not_seen_as_long_as_the_house_could_be_it(judge, factor):
    """What cannot be caught: a share of a small flow, behind a house that takes as much."""
    ask = judge()
    assert ask(-800, 0, round(-500 * factor), 0) == (
        FINE,
        FINE,
    )  # the house takes 300, and seems to take more
    assert ask(400, 0, round(500 * factor), 0)[1] == (BALANCE_SAYS_NO if 500 * (1 - factor) > 112 else FINE)


def test_findings_name_the_meter_and_count_it_apart_from_the_bills():
    fault = MeterFault("h.battery", 3, "meter_lie", 0, 3600, 3.0)
    found = Findings([Seen(fault)])
    energy, states = np.array([0, 0, 500, 0]), np.array([OK, OK, OK, REPLAYED])
    limits = np.array([400, -5]), np.array([600, 5])
    judged = (np.array([BALANCE_UNCLEAR, BALANCE_UNCLEAR]), *limits)
    found.look_behind(0, (0, 900), 2, (energy, states), judged)
    assert found.seen[0].after_s is None and found.false_alarms == 0
    found.look_behind(1, (900, 1800), 2, (energy, states), (np.array([MODEL_SAYS_NO, UNUSABLE]), *limits))
    assert (found.seen[0].after_s, found.seen[0].named_as) == (1800, "replaying")
    assert found.false_alarms == 1, "the plant has no fault"
    numbers, columns = found.kpis(), found.columns(("a", "b", "h.pv", "h.battery"))
    assert (numbers["oracle_held_count"], numbers["oracle_not_certified_count"]) == (0, 4)
    assert columns["participant"] == ["h.pv", "h.battery"] * 2
    assert columns["finding"] == ["unclear", "unclear", "lying", "replaying"]
    assert columns["meter_wh"] == [500, None, 500, None] and set(columns["status"]) == {"not certified"}


FAULTS = (
    "faults=[{target: 'LV4.101 Load 1.battery.meter', kind: meter_lie, factor: 3},"
    "{target: 'LV4.101 Load 35.battery.meter', kind: meter_silent, at_s: 7200, for_s: 3600},"
    "{target: 'LV4.101 Load 40.battery.meter', kind: meter_replay, lag_s: 3600, at_s: 43200},"
    "{target: 'LV4.101 Load 45.pv.meter', kind: meter_lie, factor: 1.4},"
    "{target: 'LV4.101 Load 49.pv.meter', kind: meter_frozen}]"
)


@pytest.mark.slow
def test_meters_behind_a_point_that_go_wrong_are_named_and_no_bill_changes(tmp_path, capsys):
    sets = ["settlement.oracles={}", "duration_days=1"]
    runs = [
        run(load_scenario(SCENARIOS / "semiurban_summer_week.yaml", [*sets, *more]), tmp_path / str(i))
        for i, more in enumerate(([], [FAULTS]))
    ]
    honest, faulty = (result.kpis for result in runs)
    assert (honest["oracle_not_certified_count"], honest["oracle_false_alarms_count"]) == (0, 0)
    assert (faulty["oracle_faults_named_count"], faulty["oracle_false_alarms_count"]) == (5, 0)
    assert all(fault["named_right"] for fault in runs[1].verdict_record["oracles"]["faults"])
    assert (faulty["oracle_held_count"], faulty["oracle_outvoted_count"]) == (0, 0)
    bills = [result.table("participants", ["bill_micro"]) for result in runs]
    assert bills[0].equals(bills[1])
    refused = {(row["participant"], row["interval"]) for row in runs[1].table("oracles").to_pylist()}
    start_s = min(row["start_s"] for row in runs[0].table("readings").to_pylist())
    kept = {
        (row["asset"], (row["start_s"] - start_s) // 900) for row in runs[1].table("readings").to_pylist()
    }
    assert refused and not refused & kept
    assert chain_cli(["reconcile", str(tmp_path / "1")]) == 0
    assert "WRONG" not in capsys.readouterr().out
