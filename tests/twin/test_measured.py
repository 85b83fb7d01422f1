"""A margin inside the measurement uncertainty proves nothing; how uncertain, a second engine says too."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.chain.factory import open_chain
from adapters.export.run_folder import RunFolder
from adapters.grid.factory import make_engine
from rigs.bench_sections import DeviceSection
from twin.checks import Check
from twin.chronicle import StopRequest
from twin.extremes import V_MIN
from twin.measured import calibration_check, error_w, weigh
from twin.organs import build
from twin.prepare import prepare
from twin.progress import silent
from twin.scenario.load import load_scenario
from twin.tables import TABLES
from twin.world import run_world

BATTERY, PV, METER = "load 0.battery", "load 3.pv", "load 3.meter"


def bench(**classes: float | None):
    """A bench whose devices have these accuracy classes."""
    sections = {
        role: DeviceSection.model_validate(
            {"driver": "emulated", "meter": {"accuracy_class": c} if c else {}}
        )
        for role, c in classes.items()
    }
    return SimpleNamespace(roles=tuple(sections), section=sections.__getitem__)


@pytest.fixture(scope="module")
def evening(tmp_path_factory, street_text, write_day_profiles):
    """The street's organs after two hours of its evening."""
    folder = tmp_path_factory.mktemp("measured")
    write_day_profiles(folder / "profiles.csv")
    (folder / "s.yaml").write_text(street_text(duration_days=1 / 12))
    (run,) = prepare(load_scenario(folder / "s.yaml")).runs.values()
    out = RunFolder.create(folder / "out", {}, schemas=TABLES)
    organs = build(run, out, open_chain("none", market_id="x", start_s=0), None)
    run_world(organs.world(silent, StopRequest()), 900, 900, 8 * 900)
    return organs


def test_errors_are_of_rated_power_or_of_the_meter_at_the_point(evening) -> None:
    people, p_w = evening.run.people, np.full(13, -2000.0)
    found = error_w(bench(**{BATTERY: 1.0, PV: 2.0}), people, p_w)
    assert found.tolist() == [80.0, 0, 0, 120.0] + [0.0] * 9
    found = error_w(bench(**{PV: 2.0, METER: 0.5}), people, p_w)
    assert found[3] == 10.0, "half a percent of 2 kW at the connection point"
    assert not error_w(bench(**{BATTERY: None}), people, p_w).any(), "registers of emulated devices are exact"


def margin(evening, pu: float, who: str = "trades") -> Check:
    return Check(f"{who}.voltage_min", "pass", 0.98, 0.98 - pu, "pu", pu)


def test_a_margin_inside_the_uncertainty_is_inconclusive_and_one_outside_is_not(evening) -> None:
    classes = {f"load {k}.battery": 5.0 for k in range(5)}
    moment = evening.recorder.watch.worst[V_MIN]
    error = np.array([400.0] * 5 + [0.0] * 8)
    p, q = moment.snapshot.p_traded_w, moment.snapshot.q_traded_var
    other = make_engine(evening.run.feeder, "pandapower")
    state = other.solve(np.stack([p, p + error, p - error]), np.stack([q] * 3))
    v = state.v_pu[:, moment.reading.row]
    doubt_pu = np.abs(v[1:] - v[0]).max()
    assert doubt_pu > 1e-4

    def judged(check: Check, meters) -> Check:
        (done,) = weigh([check], meters, evening.run.people, evening.recorder, evening.plant_engine)
        return done

    inside = judged(margin(evening, 0.99 * doubt_pu), bench(**classes))
    assert inside.verdict == "inconclusive"
    assert "inside the measurement uncertainty" in inside.detail
    assert judged(margin(evening, 1.01 * doubt_pu), bench(**classes)).verdict == "pass"
    assert judged(margin(evening, 0.99 * doubt_pu), bench(**{BATTERY: None})).verdict == "pass"
    assert judged(margin(evening, 0.99 * doubt_pu), None).verdict == "pass"
    failed = Check("trades.voltage_min", "fail", 0.98, 0.98, "pu", -0.5 * doubt_pu)
    assert judged(failed, bench(**classes)).verdict == "inconclusive", "nor is a violation proven"
    other_check = Check("money", "pass", 0, 0, "micro", 0.0)
    assert judged(other_check, bench(**classes)) == other_check


def test_a_meter_beyond_its_calibration_proves_nothing() -> None:
    sections = {
        PV: DeviceSection.model_validate({"driver": "emulated", "meter": {"calibrated": date(2025, 1, 1)}}),
        METER: DeviceSection(driver="emulated"),
    }
    rig = SimpleNamespace(roles=(PV, METER), section=sections.__getitem__)
    (check,) = calibration_check(rig, date(2029, 1, 1))
    assert check.verdict == "pass"
    (check,) = calibration_check(rig, date(2029, 1, 2))
    assert check.verdict == "inconclusive"
    assert "load 3.pv was calibrated on 2025-01-01, which holds for 1461 days" in check.detail
    assert calibration_check(bench(**{PV: 1.0}), date(2029, 1, 1)) == []
    assert calibration_check(None, date(2029, 1, 1)) == []
