"""The verdict's rules: what is worst, what counts, what is said."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.engine import GridState
from adapters.grid.feeder import ConnectionPoint, Feeder
from twin.check_names import CHECK_WORDS
from twin.gate.limits import Limits
from twin.kpis import gate_study
from twin.recorder import Recorder
from twin.scenario.coordination_section import CoordinationSection
from twin.scenario.schema import Scenario
from twin.sentence import sentence
from twin.verdict import Check, Evidence, make_checks, overall, smallest_margin


def check(name="trades.voltage_min", verdict="pass", **more):
    return Check(name, verdict, **more)


@pytest.mark.parametrize(
    "checks, expected",
    [
        ([], "inconclusive"),
        ([check("power_flow"), check()], "pass"),
        ([check("power_flow"), check(verdict="fail")], "fail"),
        ([check("power_flow"), check(verdict="fail", judged=False)], "pass"),
        ([check("power_flow"), check(verdict="fail"), check("gate", "inconclusive")], "fail"),
        ([check("power_flow"), check(), check("gate", "inconclusive")], "inconclusive"),
        ([check("power_flow", "inconclusive"), check(verdict="fail")], "inconclusive"),
        ([check("power_flow"), check(verdict="not_assessed", judged=False)], "pass"),
    ],
)
def test_the_worst_of_what_is_judged(checks, expected):
    assert overall(checks) == expected


N = 3


def feeder():
    nan = np.full(N, np.nan)
    return Feeder(
        "f", "f", ("slack", "b1", "b2", "b3"), np.full(N + 1, 400.0), 0, ("t", "l1", "l2"), ("trafo", "line", "line"),
        np.arange(N), np.arange(1, N + 1), np.array([nan[0], 100.0, 100.0]), np.array([1e5, nan[0], nan[0]]),
        tuple(ConnectionPoint(f"h{i}", i + 1) for i in range(N)), (), np.zeros((N + 1, 2)), None,
    )  # fmt: skip


def scenario(**more) -> Scenario:
    return Scenario.model_validate(
        {"name": "s", "start": "2016-01-18T12:00:00+01:00", "duration_days": 0.0625, "seed": 1, "grid": {"source": "x.json"},
         "limits": {"voltage_min_pu": 0.95, "voltage_max_pu": 1.05}} | more
    )  # fmt: skip


class Folder:
    """Takes rows and forgets them."""

    def append(self, table, columns):
        pass


def evidence(make_people, steps, chain_agrees=None, kpis=None, bench=None, comparison=None, **keys):
    """Evidence of steps, each (voltages with, voltages without) of the three houses, loadings 50 %."""
    s, f = scenario(**keys), feeder()
    recorder = Recorder(Folder(), s, f, Limits.from_section(f, s.limits), make_people(N))
    zero = np.zeros(N)
    flows = SimpleNamespace(p_gen_w=zero, q_gen_var=zero)
    for k, step in enumerate(steps):
        v, loading, converged = [], np.full((2, N), 50.0), np.array([True, True])
        for row in step[:2]:
            v.append([1.0, *row])
        for key, value in (step[2] if len(step) > 2 else {}).items():
            if key == "converged":
                converged = np.array(value)
            else:
                loading = np.array(value, float)
        nothing = np.zeros(2)
        state = GridState(np.array(v), loading, np.zeros((2, N)), nothing, nothing, nothing, converged)
        devices = SimpleNamespace(step=k, flows=flows, base=flows)
        recorder.step(SimpleNamespace(devices=devices, state=state, engine=None))
    numbers = {
        "wire_samples_count": 0,
        "bad_samples_count": 0,
        "bad_samples_by_fault_count": 0,
        "money_sum_micro": 0,
    } | (kpis or {})
    agree = comparison or SimpleNamespace(
        voltage=SimpleNamespace(value=1e-9, element="b1"),
        tolerance_pu=1e-8,
        opendss=None,
        agrees=True,
        sentences=lambda: ("they agree",),
    )
    run = SimpleNamespace(scenario=s, comparison=agree, bench=bench, feeder=f)
    return Evidence(run, recorder, numbers, chain_agrees)


FINE = ((1.0, 1.0, 0.99), (1.0, 1.0, 1.0))


def checks_of(*arguments, **keys):
    return {c.name: c for c in make_checks(evidence(*arguments, **keys))}


def test_every_pass_states_its_margin(make_people):
    checks = checks_of(make_people, [FINE] * 6)
    low = checks["trades.voltage_min"]
    assert (low.verdict, low.value, low.element, low.first_interval, low.count) == (
        "pass",
        0.99,
        "b3",
        None,
        0,
    )
    assert low.margin == pytest.approx(0.04)
    assert checks["feeder.voltage_min"].margin == pytest.approx(0.05)
    assert checks["trades.line_loading"].margin == 50 and checks["trades.line_loading"].unit == "percent"
    assert checks["trades.transformer_loading"].element == "t"
    assert overall(list(checks.values())) == "pass"


def test_a_limit_just_met_passes_with_no_margin(make_people):
    checks = checks_of(make_people, [((0.95, 1.05, 1.0), (1.0, 1.0, 1.0), {"loading": [[100.0] * 3] * 2})])
    for name in (
        "trades.voltage_min",
        "trades.voltage_max",
        "trades.line_loading",
        "feeder.transformer_loading",
    ):
        assert (checks[name].verdict, checks[name].margin) == ("pass", 0), name


@pytest.mark.parametrize("beyond", [0.0, 1e-16, 1e-9, 9e-7])
def test_a_limit_just_exceeded_by_trades_is_a_fail_of_theirs(make_people, beyond):
    """The last representable number within passes; whatever is beyond it fails, as far below any tolerance it is."""
    low, high = np.nextafter(0.95 - beyond, 0), np.nextafter(1.05 + beyond, 2)
    hot = np.full((2, 3), 50.0)
    hot[0] = np.nextafter(100.0 + beyond, 200)  # with trades
    checks = checks_of(make_people, [((low, high, 1.0), (0.95, 1.05, 1.0), {"loading": hot})], judge="both")
    for name in ("voltage_min", "voltage_max", "line_loading", "transformer_loading"):
        mine, base = checks[f"trades.{name}"], checks[f"feeder.{name}"]
        assert (mine.verdict, mine.first_interval) == ("fail", 0) and mine.count, name
        assert mine.margin < 0 and (base.verdict, base.margin >= 0) == ("pass", True), name


def test_named_is_what_trades_did_even_where_the_feeder_is_worse(make_people):
    """b1 lies at 0.90 without trades and is relieved; trades pull b3 to 0.94 from the fourth step on."""
    before, after = ((0.91, 1, 1), (0.90, 1, 1)), ((0.91, 1, 0.94), (0.90, 1, 1))
    keys = {"interval_s": 1800, "substep_s": 900, "duration_days": 0.125}
    checks = checks_of(make_people, [before] * 3 + [after] * 2, **keys)
    mine = checks["trades.voltage_min"]
    assert (mine.verdict, mine.value, mine.element, mine.first_interval, mine.count) == (
        "fail",
        0.94,
        "b3",
        1,
        1,
    )
    assert mine.margin == pytest.approx(-0.01)
    base = checks["feeder.voltage_min"]
    assert (base.verdict, base.value, base.element, base.first_interval, base.count) == (
        "fail",
        0.90,
        "b1",
        0,
        5,
    )
    assert (mine.judged, base.judged) == (True, False)


@pytest.mark.parametrize(
    "judge, judged", [("trades", (True, False)), ("feeder", (False, True)), ("both", (True, True))]
)
def test_what_is_judged(make_people, judge, judged):
    checks = checks_of(make_people, [FINE], judge=judge)
    assert (checks["trades.voltage_min"].judged, checks["feeder.voltage_min"].judged) == judged


def test_an_unsolved_step_beats_everything(make_people):
    bad = ((np.nan,) * 3, (1.0, 1.0, 1.0), {"converged": [False, True]})
    checks = checks_of(make_people, [((0.9, 1, 1), (1, 1, 1)), bad, FINE])
    lost = checks["power_flow"]
    assert (lost.verdict, lost.first_interval, lost.count, lost.element) == (
        "inconclusive",
        1,
        1,
        "power flow with trades",
    )
    assert checks["trades.voltage_min"].verdict == "fail"
    assert overall(list(checks.values())) == "inconclusive"
    base = checks_of(make_people, [((1, 1, 1), (np.nan,) * 3, {"converged": [True, False]})])["power_flow"]
    assert base.element == "power flow without trades"
    one = checks_of(make_people, [FINE, ((1.0, np.nan, 1.0), (1.0, 1.0, 1.0))])["power_flow"]
    assert (one.element, one.first_interval) == ("b2", 1) and "b2" in one.detail


def test_nothing_watched_is_not_assessed(make_people):
    bad = ((np.nan,) * 3, (np.nan,) * 3, {"converged": [False, False]})
    checks = checks_of(make_people, [bad])
    assert checks["trades.voltage_min"].verdict == "not_assessed" or np.isnan(
        checks["trades.voltage_min"].value
    )
    assert overall(list(checks.values())) == "inconclusive"


@pytest.mark.parametrize(
    "kpis, bench, expected",
    [({}, None, "not_assessed"), ({"wire_samples_count": 9}, "b", "pass"),
     ({"wire_samples_count": 9, "bad_samples_count": 1}, "b", "inconclusive")],
)  # fmt: skip
def test_bad_samples_are_never_a_pass(make_people, kpis, bench, expected):
    assert checks_of(make_people, [FINE], kpis=kpis, bench=bench)["device_data"].verdict == expected


@pytest.mark.parametrize(
    "total, agrees, expected",
    [(0, None, "pass"), (0, True, "pass"), (0, False, "fail"), (1, True, "fail"), (1, None, "fail")],
)
def test_money(make_people, total, agrees, expected):
    assert (
        checks_of(make_people, [FINE], chain_agrees=agrees, kpis={"money_sum_micro": total})["money"].verdict
        == expected
    )


def test_engines_that_disagree_leave_it_open(make_people):
    apart = SimpleNamespace(
        voltage=SimpleNamespace(value=1e-3, element="b2"),
        tolerance_pu=1e-8,
        opendss=None,
        agrees=False,
        sentences=lambda: ("they do not",),
    )
    checks = checks_of(make_people, [FINE], comparison=apart)
    assert (checks["engine_agreement"].verdict, overall(list(checks.values()))) == (
        "inconclusive",
        "inconclusive",
    )
    alone = SimpleNamespace(voltage=None, agrees=True, sentences=lambda: ("only pandapower",))
    assert checks_of(make_people, [FINE], comparison=alone)["engine_agreement"].verdict == "not_assessed"


def test_expectations_at_their_edges(make_people):
    wishes = [{"kpi": "x", "min": 1, "max": 2}]
    for value, verdict, margin in (
        (1, "pass", 0),
        (2, "pass", 0),
        (0.5, "fail", -0.5),
        (2.25, "fail", -0.25),
        (None, "inconclusive", None),
    ):
        got = checks_of(make_people, [FINE], expectations=wishes, kpis={"x": value})["expect.x"]
        assert (got.verdict, got.margin) == (verdict, margin), value


def test_the_smallest_margin_is_relative_to_the_room(make_people):
    """0.04 of 0.05 pu is more room than 50 of 100 percent."""
    made = evidence(make_people, [FINE])
    closest = smallest_margin(make_checks(made), made.run.scenario.limits)
    assert closest.name in ("trades.line_loading", "trades.transformer_loading")


def test_the_sentence_names_limit_and_place(make_people):
    made = evidence(make_people, [((1, 1, 0.94), (1, 1, 1))], title="A street")
    checks = make_checks(made)
    said = sentence(made.run.scenario, overall(checks), checks)
    assert (
        said
        == f"Fail: the trades of “A street” break {CHECK_WORDS['voltage_min']} (0.940 pu, limit 0.95 pu, at b3)."
    )
    fine = evidence(make_people, [FINE])
    assert "keep every assessed limit; the closest is" in sentence(
        fine.run.scenario, "pass", make_checks(fine)
    )


def test_an_opendss_model_that_is_off_leaves_it_open(make_people):
    near, far = (SimpleNamespace(value=v, element="b2") for v in (1e-9, 6e-5))
    apart = SimpleNamespace(
        voltage=near, tolerance_pu=1e-8, opendss=far, agrees=False, sentences=lambda: ("they do not",)
    )
    agreement = checks_of(make_people, [FINE], comparison=apart)["engine_agreement"]
    assert (agreement.verdict, agreement.value, agreement.limit) == ("inconclusive", 6e-5, 5e-5)


def test_further_limits_are_checks_where_the_scenario_sets_them(make_people):
    risen = ((1.04, 1.0, 1.0), (1.0, 1.0, 1.0))
    limits = {"voltage_rise_percent": 3, "reverse_power_w": 10, "voltage_unbalance_percent": 2}
    checks = checks_of(make_people, [FINE, risen], limits=limits)
    rise = checks["trades.voltage_rise"]
    assert (rise.verdict, rise.count, rise.first_interval, rise.judged) == ("fail", 1, 1, True)
    assert (
        rise.value == pytest.approx(4)
        and "VDE-AR-N 4105" in rise.detail
        and "feeder.voltage_rise" not in checks
    )
    assert checks["trades.reverse_power"].verdict == "pass" and not checks["feeder.reverse_power"].judged
    assert checks["trades.voltage_unbalance"].verdict == "not_assessed"
    assert "balanced" in checks["trades.voltage_unbalance"].detail
    assert not any("rise" in name for name in checks_of(make_people, [FINE]))


def test_the_margin_that_a_gate_lacked(make_people):
    low, worse = ((0.949, 1.0, 1.0), (1.0, 1.0, 1.0)), ((0.94, 0.948, 1.0), (1.0, 1.0, 1.0))
    feeders_own = ((0.93, 1.0, 1.0), (0.93, 1.0, 1.0))
    found = evidence(make_people, [FINE, low, worse, FINE, feeders_own]).recorder
    section = CoordinationSection(margin_v_pu=0.002)
    study = gate_study(section, found)
    assert study["gate_broken_intervals_count"] == 2
    assert study["gate_margin_needed_pu"] == pytest.approx(0.002 + 0.01)
    assert study["gate_margin_needed_percent"] == 0
    assert set(gate_study(CoordinationSection(mode="none"), found).values()) == {None}
    clean = gate_study(section, evidence(make_people, [FINE, feeders_own]).recorder)
    assert clean["gate_broken_intervals_count"] == clean["gate_margin_needed_pu"] == 0
