"""Episodes of violations, extremes, and the edges of limits."""

from dataclasses import dataclass

import numpy as np
import pytest

from adapters.grid.engine import GridState
from twin.extremes import (
    LINE,
    TRAFO,
    V_MAX,
    V_MIN,
    Reading,
    Watch,
    further,
    worst_base_of,
    worst_of,
    worst_step,
)
from twin.gate.limits import Limits
from twin.scenario.limits_section import LimitsSection
from twin.violations import EpisodeLog, Sighting, Snapshot, caused_by_trades, steps_of_any

KIND = ("line", "trafo", "line")


def limits(**keys):
    made = {
        "v_min_pu": np.full(4, 0.95),
        "v_max_pu": np.full(4, 1.05),
        "loading_max_percent": np.full(3, 100.0),
    } | keys
    return Limits(**made, bus_names=tuple("abcd"), branch_names=("l1", "t1", "l2"), branch_kind=KIND)


def state(
    v=((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)),
    loading=((10.0, 20.0, 30.0), (1.0, 2.0, 3.0)),
    converged=(True, True),
):
    zero = np.zeros(2)
    return GridState(np.array(v), np.array(loading), np.zeros((2, 3)), zero, zero, zero, np.array(converged))


def test_a_limit_that_is_just_met_is_no_violation():
    at_limit = state(v=((0.95, 1.05, 1.0, 1.0),) * 2, loading=((100.0, 100.0, 100.0),) * 2)
    assert limits().within(at_limit).all()
    assert limits().violations(at_limit, 0) == []
    beyond = state(
        v=((np.nextafter(0.95, 0), np.nextafter(1.05, 2), 1.0, 1.0),) * 2,
        loading=((np.nextafter(100, 101), 1, 1),) * 2,
    )
    assert not limits().within(beyond).any()
    assert [(v.kind, v.element) for v in limits().violations(beyond, 0)] == [
        ("voltage_min", "a"),
        ("voltage_max", "b"),
        ("line_loading", "l1"),
    ]


@pytest.mark.parametrize("where", ["v", "loading"])
def test_nan_is_never_within(where):
    rows = {"v": ((1.0, np.nan, 1.0, 1.0), (1.0,) * 4), "loading": ((1.0, np.nan, 1.0), (1.0,) * 3)}
    made = state(**{where: rows[where]})
    assert limits().within(made).tolist() == [False, True]
    assert np.isposinf(limits().excess(made)[0].max())
    unwatched = limits(v_min_pu=np.array([0.95, -np.inf, 0.95, 0.95]), v_max_pu=np.array([1.05, np.inf, 1.05, 1.05]),
                       loading_max_percent=np.array([100, np.inf, 100]))  # fmt: skip
    assert unwatched.within(made).all(), "an element without a limit may be NaN"


def test_a_row_that_did_not_converge_is_not_within():
    assert limits().within(state(converged=(False, True))).tolist() == [False, True]


def test_causes():
    assert caused_by_trades(0.01, -0.02, "voltage_min"), "made"
    assert caused_by_trades(0.01, 0.009, "voltage_min"), "worsened"
    assert not caused_by_trades(0.01, 0.01, "voltage_min")
    assert not caused_by_trades(0.008, 0.01, "voltage_min"), "relieved"
    assert not caused_by_trades(0.01 + 5e-7, 0.01, "voltage_min"), "the engines' last digits are no cause"
    assert not caused_by_trades(1 + 5e-5, 1, "line_loading") and caused_by_trades(1 + 2e-4, 1, "line_loading")
    for excess in (5e-324, 1e-9, 9e-7):
        assert caused_by_trades(excess, -0.02, "voltage_min"), (
            "a limit that was kept without trades is theirs"
        )
        assert caused_by_trades(excess, 0.0, "feeder_cap")
    assert not caused_by_trades(0.0, -0.02, "voltage_min")
    assert caused_by_trades(float("nan"), 1, "line_loading"), "what is unknown is not excused"


def snap(tag):
    return Snapshot(*(np.full(1, float(tag)) for _ in range(4)))


def sighting(kind="voltage_min", row=1, excess=0.01, trades=True):
    return Sighting(kind, row, f"bus {row}", 0.95 - excess, 0.95, excess, trades)


def told(log):
    return [(e.kind, e.row, e.first_step, e.last_step, e.worst_step, e.by_trades, e.steps) for e in log.all()]


def test_consecutive_steps_are_one_episode():
    log = EpisodeLog()
    for step, excess in enumerate([None, 0.01, 0.03, 0.02, None, 0.01, None]):
        log.see(step, [] if excess is None else [sighting(excess=excess)], snap(step))
    assert told(log) == [("voltage_min", 1, 1, 3, 2, True, 3), ("voltage_min", 1, 5, 5, 5, True, 1)]
    first = next(log.all())
    assert (first.worst_value, first.worst_excess, first.snapshot.p_base_w[0]) == (0.95 - 0.03, 0.03, 2)
    assert (first.element, first.limit, first.unit) == ("bus 1", 0.95, "pu")


def test_elements_and_kinds_are_apart():
    log = EpisodeLog()
    log.see(0, [sighting(row=1), sighting(row=2), sighting("line_loading", row=1)], snap(0))
    log.see(1, [sighting(row=2)], snap(1))
    assert told(log) == [
        ("line_loading", 1, 0, 0, 0, True, 1), ("voltage_min", 1, 0, 0, 0, True, 1), ("voltage_min", 2, 0, 1, 0, True, 2),
    ]  # fmt: skip
    assert next(log.all()).unit == "percent"


def test_the_worst_moment_is_one_that_trades_caused():
    """The feeder alone is worst at step 0; what trades did is judged where trades did it."""
    log = EpisodeLog()
    for step, (excess, trades) in enumerate([(0.05, False), (0.02, True), (0.03, True), (0.04, False)]):
        log.see(step, [sighting(excess=excess, trades=trades)], snap(step))
    (episode,) = log.all()
    assert (
        episode.worst_step,
        episode.worst_excess,
        episode.by_trades,
        episode.by_trades_steps,
        episode.steps,
    ) == (2, 0.03, True, 2, 4)
    assert episode.snapshot.p_base_w[0] == 2


def watch(**keys):
    return Watch(limits(**keys), KIND)


def test_the_extremes_of_a_step():
    made = state(
        v=((1.0, 0.96, 1.04, 1.0), (1.0, 1.0, 1.0, 0.97)), loading=((50.0, 90.0, 60.0), (5.0, 9.0, 6.0))
    )
    low, high, line, trafo = watch().look(made)
    assert low == Reading(0.96, 1, 0.97, 3)
    assert high == Reading(1.04, 2, 1.0, 0)
    assert line == Reading(60.0, 2, 6.0, 2)
    assert trafo == Reading(90.0, 1, 9.0, 1)


def test_what_has_no_limit_is_not_watched():
    keys = {
        "v_min_pu": np.array([0.95, -np.inf, 0.95, 0.95]),
        "loading_max_percent": np.array([np.inf, np.inf, 100]),
    }
    made = state(v=((1.0, 0.5, 1.0, 0.99),) * 2, loading=((500.0, 900.0, 60.0),) * 2)
    low, _, line, trafo = watch(**keys).look(made)
    assert (low.value, low.row, line.value, line.row) == (0.99, 3, 60, 2)
    assert (np.isnan(trafo.value), trafo.row) == (True, -1)


def test_nan_is_not_hidden_by_numbers():
    low, high, line, _ = watch().look(
        state(v=((1.0, 0.9, np.nan, 1.0), (1.0,) * 4), loading=((1.0, 1.0, np.nan), (1.0,) * 3))
    )
    assert np.isnan([low.value, high.value, line.value]).all()
    assert (low.row, high.row, line.row) == (2, 2, 2)


@dataclass
class Case:
    measure: int
    values: tuple
    worst: int


@pytest.mark.parametrize(
    "case", [Case(V_MIN, (0.98, 0.96, 0.97), 1), Case(V_MAX, (1.0, 1.01, 1.03), 2), Case(LINE, (5, 4, 3), 0),
             Case(TRAFO, (5, np.nan, 9), 1), Case(V_MIN, (0.98, np.nan, 0.5), 1)],
)  # fmt: skip
def test_the_worst_of_several(case):
    readings = [Reading(v, i, v, i) for i, v in enumerate(case.values)]
    assert worst_of(case.measure, readings).row == case.worst
    base = [Reading(1.0, 0, v, i) for i, v in enumerate(case.values)]
    assert worst_base_of(case.measure, base) == pytest.approx(case.values[case.worst], nan_ok=True)


def test_further_out():
    assert further(V_MIN, 0.9, 0.95) and not further(V_MIN, 0.95, 0.95) and not further(V_MIN, 0.96, 0.95)
    assert further(LINE, 101, 100) and not further(LINE, 100, 100)
    assert (
        further(LINE, np.nan, 900) and not further(LINE, 900, np.nan) and not further(V_MIN, np.nan, np.nan)
    )


def test_a_run_remembers_its_worst_with_and_without_trades():
    w = watch()
    for step, (v, base) in enumerate(
        [(0.98, 0.97), (0.96, 0.99), (float("nan"), float("nan")), (0.97, 0.95)]
    ):
        w.remember(step, (Reading(v, 1, base, 2), *[Reading(1.0, 0, 1.0, 0)] * 3), snap(step))
    assert (w.worst[V_MIN].step, w.worst[V_MIN].reading.value) == (1, 0.96)
    assert (w.worst_base[V_MIN].step, w.worst_base[V_MIN].reading.base) == (3, 0.95)
    assert w.worst[V_MIN].snapshot.p_base_w[0] == 1
    assert w.worst[TRAFO].step == 0


def test_an_episode_has_the_phase_of_its_row():
    from types import SimpleNamespace

    from twin.attributed import phase_of

    f = SimpleNamespace(bus_phase=("a", "b"), branch_phase=("c", "abc"))
    phases = [
        phase_of(f, SimpleNamespace(kind=kind, row=row))
        for kind, row in (
            ("voltage_min", 1),
            ("voltage_max", 0),
            ("line_loading", 0),
            ("transformer_loading", 1),
        )
    ]
    assert phases == ["b", "a", "c", "abc"]


def step_of(low=1.0, high=1.0, line=0.0, trafo=0.0):
    return tuple(Reading(v, 0, v, 0) for v in (low, high, line, trafo))


@pytest.mark.parametrize(
    ("steps", "worst"),
    [
        ([step_of(line=90)], 0),
        ([step_of(line=50), step_of(line=90), step_of(line=60)], 1),
        ([step_of(low=0.96), step_of(high=1.02)], 0),  # 4 of 10 points, against 2 of 10
        ([step_of(low=0.96), step_of(trafo=41)], 1),
        ([step_of(line=50), step_of(line=50)], 0),
        ([step_of(line=50), step_of(line=float("nan"))], 1),
        ([step_of(line=250), step_of(low=float("nan"), high=1.0)], 1),
    ],
)
def test_the_worst_step_of_an_interval(steps, worst):
    assert worst_step(steps, LimitsSection()) == worst


def test_the_worst_step_is_relative_to_what_holds_at_a_moment():
    steps = [step_of(line=100, trafo=50), step_of(line=0, trafo=60)]
    limits = LimitsSection(line_short_time_loading_percent=200, loading_average_s=900)
    assert (worst_step(steps, LimitsSection()), worst_step(steps, limits)) == (0, 1)


def test_steps_with_any_violation_are_counted_once():
    """However many elements are beyond a limit at the same time; against sets of steps."""
    nothing = Snapshot(*(np.zeros(1),) * 4)
    for seed in range(20):
        seen = np.random.default_rng(seed).random((30, 4)) < 0.15
        log = EpisodeLog()
        for step, now in enumerate(seen):
            log.see(
                step,
                [
                    Sighting("voltage_max", int(row), str(row), 1.2, 1.1, 0.1, True)
                    for row in np.flatnonzero(now)
                ],
                nothing,
            )
        episodes = list(log.all())
        assert steps_of_any(episodes) == seen.any(axis=1).sum()
        assert sum(episode.steps for episode in episodes) == seen.sum()
    assert steps_of_any([]) == 0
