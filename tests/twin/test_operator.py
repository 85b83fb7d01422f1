"""Coordination other than the gate: envelopes a step ahead, and the central schedule as yardstick."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def runs(run_street):
    section = {"reference": True}
    return {
        mode: run_street(coordination={"mode": mode, **section}, limits={"voltage_min_pu": 0.975})
        for mode in ("none", "gate", "envelope")
    }


def test_the_street_needs_coordination_and_both_ways_give_it(runs):
    assert runs["none"].verdict == "fail"
    assert runs["gate"].verdict == "pass"
    assert runs["envelope"].verdict == "pass"


def test_under_an_envelope_nothing_is_cut_but_less_is_ordered_at_once(runs):
    assert runs["envelope"].kpis["cut_wh"] == 0
    peak = {
        mode: max(runs[mode].table("intervals")["offered_buy_wh"].to_pylist())
        for mode in ("none", "envelope")
    }
    assert peak["envelope"] < peak["none"]
    assert runs["envelope"].kpis["ev_wh"] == pytest.approx(runs["none"].kpis["ev_wh"], rel=0.05), (
        "later, not never"
    )


def test_an_envelope_counts_from_the_interval_after_it_was_published(runs):
    offered = {
        mode: runs[mode].table("intervals")["offered_buy_wh"].to_pylist() for mode in ("none", "envelope")
    }
    assert offered["envelope"][0] == offered["none"][0]
    assert offered["envelope"] != offered["none"]


def test_efficiency_is_accepted_welfare_over_the_central_schedules(runs):
    for mode in ("gate", "envelope"):
        table = runs[mode].table("intervals").to_pandas()
        known = table["central_welfare_micro"].notna()
        expected = 100 * table["welfare_micro"][known].sum() / table["central_welfare_micro"][known].sum()
        assert runs[mode].kpis["coordination_efficiency_percent"] == pytest.approx(expected, abs=1e-9)
        # the central schedule is a local optimum of the same problem: nobody is better by more than its tolerance
        assert (table["welfare_micro"][known] <= table["central_welfare_micro"][known] * 1.01 + 1000).all()
    assert runs["envelope"].kpis["coordination_efficiency_percent"] <= 100.0 + 1e-6


def test_without_the_reference_there_is_no_number(run_street):
    run = run_street(coordination={"mode": "gate"}, duration_days=0.05)
    assert run.kpis["coordination_efficiency_percent"] is None
    assert np.all(run.table("intervals").to_pandas()["central_welfare_micro"].isna())
