"""Unbalance, voltage rise and reverse power: just met, just exceeded, whose fault, and when nothing can be said."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.engine import GridState
from twin.further import FurtherLimits, Tally
from twin.scenario.limits_section import LimitsSection

NAMES = ("s.a", "s.b", "s.c", "h.a", "h.b", "h.c", "lateral.b")
FEEDER = SimpleNamespace(bus_names=NAMES, site=np.array([0, 0, 0, 1, 1, 1, 2]), balanced=False, n_bus=7)


def state(unbalance=(0.0, 0.0), v=(1.0, 1.0), slack_w=(0.0, 0.0), converged=True):
    """Unbalance at h, voltage at the lateral and import: each (with trades, without)."""
    u, volts = np.zeros((2, 7)), np.ones((2, 7))
    u[:, 3:6], u[:, 6] = np.array(unbalance)[:, None], np.nan
    volts[:, 6] = v
    zero = np.zeros((2, 1))
    nothing = np.zeros(2)
    return GridState(volts, zero, zero, np.array(slack_w, float), nothing, nothing, np.full(2, converged), u)


def looked(*states, **limits):
    further = FurtherLimits(LimitsSection(**limits), FEEDER)
    for step, one in enumerate(states):
        further.look(step, one)
    ((_, pair),) = further.tallies.items()
    return pair


@pytest.mark.parametrize(
    ("key", "limit", "met", "exceeded", "element"),
    [
        ("voltage_unbalance_percent", 2.0, {"unbalance": (2.0, 0.0)}, {"unbalance": (2.001, 0.0)}, "h.a"),
        ("voltage_rise_percent", 3.0, {"v": (1.0299999, 1.0)}, {"v": (1.0301, 1.0)}, "lateral.b"),
        ("feeder_cap_w", 5000.0, {"slack_w": (5000.0, 9.0)}, {"slack_w": (5002.0, 9.0)}, "feeder head"),
        ("feeder_cap_w", 5000.0, {"slack_w": (-5000.0, 9.0)}, {"slack_w": (-5002.0, 9.0)}, "feeder head"),
        ("feeder_cap_va", 5000.0, {"slack_w": (5000.0, 9.0)}, {"slack_w": (5002.0, 9.0)}, "feeder head"),
        ("reverse_power_w", 5000.0, {"slack_w": (-5000.0, 9.0)}, {"slack_w": (-5002.0, 9.0)}, "feeder head"),
    ],
)
def test_a_limit_just_met_and_just_exceeded(key, limit, met, exceeded, element):
    trades, feeder = looked(state(), state(**met), **{key: limit})
    assert trades.broken_steps == feeder.broken_steps == 0
    assert trades.worst == pytest.approx(limit, rel=1e-5) and trades.worst <= limit
    trades, feeder = looked(state(), state(**exceeded), state(**exceeded), **{key: limit})
    assert (trades.broken_steps, trades.first_step, trades.element) == (2, 1, element)
    assert trades.worst > limit and feeder.broken_steps == 0


@pytest.mark.parametrize(
    ("key", "limit", "one"),
    [
        ("voltage_unbalance_percent", 2.0, {"unbalance": (np.nextafter(2.0, 3), 0.0)}),
        ("feeder_cap_w", 5000.0, {"slack_w": (np.nextafter(-5000.0, -6e3), 9.0)}),
        ("reverse_power_w", 5000.0, {"slack_w": (-5000.0 - 1e-9, -4999.9999)}),
    ],
)
def test_the_next_number_beyond_a_limit_is_beyond_it(key, limit, one):
    """However near the feeder is to it without trades: the limit was kept then."""
    trades, feeder = looked(state(**one), **{key: limit})
    assert (trades.broken_steps, feeder.broken_steps) == (1, 0) and trades.worst > limit


def test_what_trades_do_not_worsen_is_the_feeders():
    trades, feeder = looked(state(unbalance=(2.5, 2.5)), voltage_unbalance_percent=2)
    assert (trades.broken_steps, feeder.broken_steps, feeder.worst) == (0, 1, 2.5)
    relieved, _ = looked(state(unbalance=(2.4, 2.5)), voltage_unbalance_percent=2)
    assert relieved.broken_steps == 0
    worsened, _ = looked(state(unbalance=(2.6, 2.5)), voltage_unbalance_percent=2)
    assert worsened.broken_steps == 1


def test_the_worst_is_the_broken_one_even_where_the_feeder_alone_is_further_out():
    pair = looked(
        state(unbalance=(2.6, 0.0)), state(unbalance=(4.0, 4.0)), state(unbalance=(2.1, 0.0)),
        voltage_unbalance_percent=2,
    )  # fmt: skip
    assert (pair[0].worst, pair[0].broken_steps, pair[1].worst) == (2.6, 2, 4.0)


def test_what_has_no_value_is_unknown_and_neither_kept_nor_broken():
    lost, _ = looked(state(unbalance=(np.nan, 0.0)), voltage_unbalance_percent=2)
    assert (lost.unknown_steps, lost.broken_steps) == (1, 0)
    none, _ = looked(state(unbalance=(9, 0.0), converged=False), voltage_unbalance_percent=2)
    assert np.isnan(none.worst) and (none.broken_steps, none.unknown_steps) == (0, 1)
    both, _ = looked(state(unbalance=(np.nan, 0.0)), state(unbalance=(2.5, 0.0)), voltage_unbalance_percent=2)
    assert (both.worst, both.worst_step, both.broken_steps, both.unknown_steps) == (2.5, 1, 1, 1)


def test_without_keys_nothing_is_followed():
    assert FurtherLimits(LimitsSection(), FEEDER).tallies == {}
    assert Tally("x", 1.0, "W").element is None
