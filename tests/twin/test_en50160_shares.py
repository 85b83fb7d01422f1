"""Who is behind a broken week of EN 50160: shares of its worst ten-minute mean, against an integration of our own."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from adapters.grid.source import load_feeder
from twin.en50160 import EXTREME, VOLTAGE, WINDOWS_PER_WEEK, En50160
from twin.lasting_shares import attribute_lasting, lasting_violations
from twin.violations import Snapshot

START = 1453114800  # a full ten minutes
STEP_S = 300
PER_MEAN = 600 // STEP_S  # states in every mean
OUTSIDE = 60  # windows, of which 50 may be
WORST = 17
BUYER, NEIGHBOUR, SELLER = 12, 3, 6


@pytest.fixture(scope="module")
def engine():
    return make_engine(
        load_feeder("pandapower:create_kerber_landnetz_freileitung_1", Path()), "power_grid_model"
    )


def trades(n, window, part):
    """Change of power in a part of a window, W: one house draws much for a short time, one for long, one relieves."""
    change = np.zeros(n)
    if window < OUTSIDE:
        harder = 1.1 if window == WORST else 1.0
        change[BUYER] = -180e3 * harder if part else -110e3
        change[NEIGHBOUR] = -38e3
        change[SELLER] = 6e3 if part else 0.0
    return change


@pytest.fixture(scope="module")
def week(engine):
    """A week of which 60 means are too low by trades, and what is found about it."""
    n = len(engine.feeder.points)
    made = En50160(engine.feeder, START, STEP_S, START + WINDOWS_PER_WEEK * 600)
    base, q = np.full(n, -1500.0), np.full(n, -300.0)
    solved = {}
    for step in range(PER_MEAN * WINDOWS_PER_WEEK):
        change = trades(n, step // PER_MEAN, step % PER_MEAN)
        key = tuple(change)
        if key not in solved:
            state = engine.solve(np.stack((base + change, base)), np.stack((q, q)))
            solved[key] = (state, Snapshot(base, q, base + change, q))
        made.look(step, *solved[key])
    lasting = SimpleNamespace(averages=None, ansi=None, en50160=made)
    names = engine.feeder.bus_names
    found = lasting_violations(lasting, names, STEP_S, 600, START)
    return made, attribute_lasting(found, engine)


def rms(engine, row, tau, window):
    """Root mean square of a window's states at a part of the way from baseline to trades."""
    n = len(engine.feeder.points)
    p = -1500.0 + tau * np.stack([trades(n, window, part) for part in range(PER_MEAN)])
    v = engine.solve(p, np.full((PER_MEAN, n), -300.0)).v_pu[:, row]
    return float(np.sqrt((v**2).mean()))


def by_hand(engine, row, window):
    """Shares of the drop of the mean, (n,) in pu: each moment's drop integrated by the midpoint rule.

    A moment counts by what it has of the sum of squares: (a + b) / (A + B), as a² - b² = (a - b)(a + b).
    """
    n, steps, reach = len(engine.feeder.points), 120, 20.0
    q = np.full((2 * n, n), -300.0)
    share, whole = np.zeros(n), rms(engine, row, 0.0, window) + rms(engine, row, 1.0, window)
    for part in range(PER_MEAN):
        change, own = trades(n, window, part), np.zeros(n)
        for tau in (np.arange(steps) + 0.5) / steps:
            nudge = np.concatenate((np.eye(n), -np.eye(n))) * reach
            v = engine.solve(-1500.0 + tau * change + nudge, q).v_pu[:, row]
            own -= (v[:n] - v[n:]) / (2 * reach) * change / steps
        ends = engine.solve(-1500.0 + np.stack((0 * change, change)), q[:2]).v_pu[:, row]
        share += own * ends.sum() / whole / PER_MEAN
    return share


def test_a_week_of_too_many_low_means_is_blamed_on_its_worst(week, engine):
    """The week breaks its 95 % by trades alone; the mean that is explained is the lowest, of all its states."""
    made, shared = week
    breaches = [b for b in made.breaches if b.kind == VOLTAGE]
    assert breaches and all(b.by_trades and b.count == OUTSIDE for b in breaches)
    assert all(b.value == pytest.approx(100 * (1 - OUTSIDE / WINDOWS_PER_WEEK)) for b in breaches)
    assert made.found[VOLTAGE][1].broken == 0, "without trades every mean is within"
    assert {v.interval for v, _ in shared.found} == {WORST}
    assert all(len(v.snapshot.parts) == PER_MEAN for v, _ in shared.found)


def test_shares_of_the_worst_mean_are_those_of_an_integration_by_hand(week, engine):
    made, shared = week
    assert shared.left_out == 0 and len(shared.found) == len(made.breaches)
    kinds = {v.kind for v, _ in shared.found}
    assert VOLTAGE in kinds
    for violation, shares in (shared.found[0], shared.found[-1]):
        row = violation.subject.row
        drop = rms(engine, row, 0.0, WORST) - rms(engine, row, 1.0, WORST)
        assert shares.change == pytest.approx(drop, abs=1e-9)
        assert shares.share_of_change == pytest.approx(by_hand(engine, row, WORST), abs=2e-5 * drop)
        assert shares.share_of_change.sum() + shares.residual == pytest.approx(drop, abs=1e-12)
        assert abs(shares.residual) < 1e-4 * drop
        bound = 0.85 if violation.kind == EXTREME else 0.90
        assert shares.excess == pytest.approx(bound - rms(engine, row, 1.0, WORST), abs=1e-9)
        assert shares.share_of_excess.sum() == pytest.approx(shares.excess, rel=1e-4)


def test_the_rows_name_who_drew_and_who_relieved(week, engine):
    _, shared = week
    names = tuple(point.name for point in engine.feeder.points)
    rows = shared.rows(names)
    assert set(rows["unit"]) == {"pu"} and set(rows["interval"]) == {WORST}
    assert set(rows["participant"]) == {names[i] for i in (BUYER, NEIGHBOUR, SELLER)}
    for who, change in ((BUYER, -(110 + 180 * 1.1) / 2), (NEIGHBOUR, -38), (SELLER, 3)):
        mine = [i for i, name in enumerate(rows["participant"]) if name == names[who]]
        assert [rows["change_p_w"][i] for i in mine] == pytest.approx([1e3 * change] * len(mine))
        assert all((rows["share_of_change"][i] > 0) == (change < 0) for i in mine)
