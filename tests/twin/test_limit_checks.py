"""Checks of the further limits: what is judged, what is not assessed and why, and what stays open."""

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from adapters.grid.engine import GridState
from adapters.grid.feeder import ConnectionPoint, Feeder
from twin.attributed import AttributedEpisode, violation_rows
from twin.check_names import CHECK_WORDS, check_words
from twin.checks import Check, Evidence
from twin.gate.kinds import CLAUSES, SHORT_TIME
from twin.gate.limits import Limits
from twin.lasting_rows import lasting_rows
from twin.limit_checks import limit_checks
from twin.recorder import Recorder
from twin.report.violations import KINDS
from twin.scenario.limits_section import LimitsSection
from twin.scenario.schema import Scenario
from twin.sentence import sentence
from twin.verdict import not_assessed, overall, smallest_margin

STREET = Feeder(
    "f", "f", ("slack", "b1", "b2"), np.array([20000.0, 400.0, 400.0]), 0, ("t", "l"), ("trafo", "line"),
    np.array([0, 1]), np.array([1, 2]), np.array([np.nan, 100.0]), np.array([1e5, np.nan]),
    (ConnectionPoint("h1", 1), ConnectionPoint("h2", 2)), (), np.zeros((3, 2)), None,
)  # fmt: skip


def scenario(**limits):
    keys = {"interval_s": 900, "duration_days": 1, "start": "2016-01-18T12:00:00+01:00"}
    keys |= {key: limits.pop(key) for key in list(limits) if key in (*keys, "substep_s", "judge")}
    return Scenario.model_validate(
        {"name": "s", "seed": 1, "grid": {"source": "x.json"}, "limits": limits} | keys
    )


def recorded(make_people, states, **keys):
    """Evidence of (voltage at b2, import in W, loading in percent) per step, each with and without trades."""

    class Folder:
        def append(self, table, columns):
            pass

    s = scenario(**keys)
    judged = Limits.from_section(STREET, s.limits, short_time=True)
    recorder = Recorder(Folder(), s, STREET, judged, make_people(2))
    flows = SimpleNamespace(p_gen_w=np.zeros(2), q_gen_var=np.zeros(2))
    for step, (v, import_w, loading) in enumerate(states):
        volts = np.ones((2, 3))
        volts[:, 2] = v
        full = np.stack((np.zeros(2), np.array(loading, float)), axis=1)
        zero = np.zeros(2)
        state = GridState(volts, full, full, np.array(import_w, float), zero, zero, np.isfinite(volts[:, 2]))
        recorder.step(
            SimpleNamespace(
                devices=SimpleNamespace(step=step, flows=flows, base=flows), state=state, engine=None
            )
        )
    return Evidence(SimpleNamespace(scenario=s, feeder=STREET), recorder, {}, None)


def checks(made):
    return {c.name: c for c in limit_checks(made)}


CALM = ((1.0, 1.0), (0.0, 0.0), (0.0, 0.0))


def test_a_scenario_that_asks_for_nothing_has_no_such_check_and_nothing_is_followed(make_people):
    made = recorded(make_people, [CALM])
    assert checks(made) == {} and made.recorder._watches == ()


def test_power_at_the_head_is_judged_and_has_a_row(make_people):
    out = ((1.0, 1.0), (-6000.0, -1000.0), (0.0, 0.0))
    made = recorded(make_people, [CALM, out, out, CALM], reverse_power_w=5000, feeder_cap_w=7000)
    found = checks(made)
    reverse = found["trades.reverse_power"]
    assert (reverse.verdict, reverse.value, reverse.margin, reverse.count) == ("fail", 6000, -1000, 2)
    assert (reverse.first_interval, reverse.judged, found["feeder.reverse_power"].margin) == (1, True, 4000)
    assert (found["trades.feeder_cap"].verdict, found["trades.feeder_cap"].margin) == ("pass", 1000)
    (episode,) = made.recorder.violated.all()
    rows = violation_rows([AttributedEpisode(episode, "violated", None)], 900, 900)
    assert {key: value[0] for key, value in rows.items()} == {
        "interval": 1, "element": "feeder head", "kind": "reverse_power", "phase": "abc", "value": 6000.0,
        "worst_interval": 1, "limit": 5000.0, "unit": "W", "duration_s": 1800, "cause": "trades",
        "status": "violated", "clause": CLAUSES["reverse_power"],
    }  # fmt: skip


def test_a_rise_is_measured_from_the_same_moment_without_trades(make_people):
    raised = ((1.05, 1.02), (0.0, 0.0), (0.0, 0.0))
    made = recorded(make_people, [raised], voltage_rise_percent=2.9)
    (episode,) = made.recorder.violated.all()
    assert (episode.kind, episode.element, episode.unit) == ("voltage_rise", "b2", "percent")
    assert episode.worst_value == pytest.approx(100 * (1.05 / 1.02 - 1))
    assert recorded(make_people, [raised], voltage_rise_percent=2.95).recorder.violated.closed == []


def test_short_time_rating_and_mean_are_two_limits(make_people):
    """An hour at 100 % on average; at no moment more than 150."""
    keys = {"line_short_time_loading_percent": 150, "loading_average_s": 3600}
    steps = [((1.0, 1.0), (0.0, 0.0), (load, 0.0)) for load in (150, 120, 80, 50)]
    made = recorded(make_people, steps, **keys)
    assert list(made.recorder.violated.all()) == []
    assert checks(made)["trades.line_loading_average"].verdict == "pass"
    longer = recorded(make_people, [*steps, ((1.0, 1.0), (0.0, 0.0), (151.0, 0.0))], **keys)
    assert [e.kind for e in longer.recorder.violated.all()] == ["line_loading"]
    mean = checks(longer)["trades.line_loading_average"]
    assert (mean.verdict, mean.value, mean.element, mean.first_interval) == ("fail", 100.25, "l", 4)
    start_s = int(longer.run.scenario.start.timestamp())
    (row,) = lasting_rows(longer.recorder.lasting, STREET, start_s, 900, 900)
    assert (row["kind"], row["value"], row["duration_s"], row["cause"]) == (
        "line_loading_average",
        100.25,
        900,
        "trades",
    )
    assert longer.recorder.lasting.counts() == (1, 1)
    (episode,) = longer.recorder.violated.all()
    short = violation_rows([AttributedEpisode(episode, "violated", None)], 900, 900, ("line_loading",))
    assert short["clause"] == [SHORT_TIME["line_loading"]] and short["limit"] == [150.0]


def test_the_gate_holds_the_continuous_rating():
    """It does not know for how long a loading will last; the plant is judged by the short-time rating."""
    section = LimitsSection(line_short_time_loading_percent=150, loading_average_s=3600)
    assert Limits.from_section(STREET, section).loading_max_percent.tolist() == [100, 100]
    assert Limits.from_section(STREET, section, short_time=True).loading_max_percent.tolist() == [100, 150]


def test_a_window_that_never_fills_is_not_assessed(make_people):
    made = recorded(make_people, [CALM] * 3, line_short_time_loading_percent=150, loading_average_s=3600)
    mean = checks(made)["trades.line_loading_average"]
    assert mean.verdict == "not_assessed" and "3600 s" in mean.detail and not mean.judged


@pytest.mark.parametrize("key", ["reverse_power_w", "voltage_rise_percent"])
def test_a_step_without_solution_leaves_it_open(make_people, key):
    lost = ((np.nan, 1.0), (np.nan, 0.0), (0.0, 0.0))
    found = checks(recorded(make_people, [CALM, lost], **{key: 5}))
    check = found[f"trades.{key.rsplit('_', 1)[0]}"]
    assert (check.verdict, check.judged) == ("inconclusive", True) and "no value in 1 step" in check.detail
    assert overall([Check("power_flow", "pass"), *found.values()]) == "inconclusive"


def test_en_50160_says_why_it_is_not_assessed(make_people):
    coarse = checks(recorded(make_people, [CALM], standards=["en50160"]))["en50160"]
    assert coarse.verdict == "not_assessed" and "solved every 900 s" in coarse.detail and not coarse.judged
    short = checks(recorded(make_people, [CALM], standards=["en50160"], interval_s=300))["en50160"]
    assert "144 full 10 minute windows" in short.detail
    sub = checks(recorded(make_people, [CALM], standards=["en50160"], substep_s=300, duration_days=7))
    assert sub["trades.en50160_voltage"].verdict == "pass", "sub-steps are fine enough"


def weekly(make_people, bad, lost=(), **keys):
    low, calm = ((0.89, 1.0), (0.0, 0.0), (0.0, 0.0)), CALM
    none = ((np.nan, np.nan), (0.0, 0.0), (0.0, 0.0))
    steps = [none if k in lost else low if k < bad else calm for k in range(1008)]
    keys = {"standards": ["en50160"], "interval_s": 600, "duration_days": 7} | keys
    return recorded(make_people, steps, voltage_min_pu=0.8, **keys)


def test_a_week_with_too_many_bad_means_fails_and_is_a_row(make_people):
    kept, broken = weekly(make_people, 50), weekly(make_people, 51)
    fine = checks(kept)["trades.en50160_voltage"]
    assert (fine.verdict, fine.limit) == ("pass", 95) and fine.margin == pytest.approx(100 * 958 / 1008 - 95)
    check = checks(broken)["trades.en50160_voltage"]
    assert (check.verdict, check.element, check.first_interval, check.judged) == ("fail", "b2", 0, True)
    assert check.value == pytest.approx(100 * 957 / 1008) and "4.2.2.2" in check.detail
    assert checks(broken)["feeder.en50160_voltage"].verdict == "pass"
    start_s = int(broken.run.scenario.start.timestamp())
    (row,) = lasting_rows(broken.recorder.lasting, STREET, start_s, 600, 600)
    assert (row["kind"], row["duration_s"], row["interval"], row["cause"]) == (
        "en50160_voltage",
        51 * 600,
        0,
        "trades",
    )
    made = [*checks(broken).values()]
    said = sentence(broken.run.scenario, "fail", made)
    assert "EN 50160, means within ±10 % (94.9" in said and "limit 95 %, at b2)" in said


def test_a_week_with_a_lost_mean_is_open_unless_it_fails_anyway(make_people):
    assert checks(weekly(make_people, 50, lost=(900,)))["trades.en50160_voltage"].verdict == "inconclusive"
    assert checks(weekly(make_people, 51, lost=(900,)))["trades.en50160_voltage"].verdict == "fail"


def test_what_is_not_modelled_is_said_where_the_means_are_judged(make_people):
    made = weekly(make_people, 0)
    names = [row["name"] for row in not_assessed(made.run.scenario, list(limit_checks(made)))]
    assert "EN 50160 flicker, harmonics and dips" in names and "EN 50160 voltage quality" not in names


def test_ansi_tells_three_outcomes(make_people):
    keys = {"standards": ["ansi_c84_1_a", "ansi_c84_1_b"], "voltage_min_pu": 0.8}
    low = ((0.94, 1.0), (0.0, 0.0), (0.0, 0.0))
    found = checks(recorded(make_people, [CALM, low], **keys))
    assert (found["trades.ansi_range_a"].verdict, found["trades.ansi_range_b"].verdict) == ("fail", "pass")
    assert (
        "within range B only: 75 % of the means of 15 min in A, 25 % in B only"
        in found["trades.ansi_range_b"].detail
    )
    assert "at 1 of 2 terminals, 1 times, for up to 15 min" in found["trades.ansi_range_b"].detail
    assert found["feeder.ansi_range_a"].detail.endswith("within range A: 100 % of the means of 15 min in A")
    assert found["trades.ansi_range_a"].margin == pytest.approx(-0.01)


def test_the_smallest_margin_may_be_one_of_these(make_people):
    close = ((1.0, 1.0), (-4990.0, 0.0), (0.0, 0.0))
    made = recorded(make_people, [close], reverse_power_w=5000)
    known = list(limit_checks(made))
    least = smallest_margin(known, made.run.scenario.limits)
    assert (least.name, least.margin, least.unit) == ("trades.reverse_power", 10, "W")
    said = sentence(made.run.scenario, "pass", known)
    assert said.endswith("the closest is power into the upstream grid, by 10 W.")


def test_every_kind_has_words_and_a_clause():
    lasting = {"en50160_voltage", "en50160_extreme", "en50160_unbalance", "ansi_range_a", "ansi_range_b"}
    for kind in (*CLAUSES, *lasting):
        assert kind in KINDS and kind in CHECK_WORDS, kind
    assert check_words("trades.reverse_power") == "power into the upstream grid, with trades"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"line_short_time_loading_percent": 120}, "needs loading_average_s"),
        (
            {"line_short_time_loading_percent": 90, "loading_average_s": 900},
            "must be above line_loading_percent (100)",
        ),
        ({"loading_average_s": 900}, "needs a short-time rating"),
        ({"standards": ["en50160", "en50160"]}, "more than once"),
        ({"standards": ["en50161"]}, "en50160"),
        ({"feeder_cap_w": 0}, "greater than 0"),
    ],
)
def test_limits_that_contradict_themselves(keys, words):
    with pytest.raises(ValidationError, match=words.replace("(", r"\(").replace(")", r"\)")):
        LimitsSection(**keys)


def test_the_window_is_full_steps():
    with pytest.raises(ValidationError, match="must be a multiple of the step"):
        scenario(line_short_time_loading_percent=120, loading_average_s=1000)
