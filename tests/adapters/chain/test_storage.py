"""Certificates through a battery: what is stored and released, held against brute force."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.chain.storage import Flow, battery_of, plan, plant_of, point_of


def test_written_out():
    flows = [
        Flow(taken_wh=100, given_wh=0, drawn_wh=0, sun_wh=130),  # 100 of the sun go into the battery
        Flow(taken_wh=50, given_wh=0, drawn_wh=50, sun_wh=0),  # the grid's: nothing to certify
        Flow(taken_wh=0, given_wh=30, drawn_wh=0, sun_wh=0),  # 30 out cost 38 of 100 at 81 %
        Flow(taken_wh=0, given_wh=99, drawn_wh=0, sun_wh=0),  # the rest: 62 * 0.81 = 50
        Flow(taken_wh=0, given_wh=5, drawn_wh=0, sun_wh=0),
    ]
    steps = plan(flows, 810_000)
    assert [step.store_wh for step in steps] == [100, 0, 0, 0, 0]
    assert [step.release_wh for step in steps] == [0, 0, 30, 50, 0]


wh = st.integers(0, 3000)
flows = st.lists(st.builds(Flow, wh, wh, wh, wh), max_size=40)


@settings(max_examples=60, deadline=None)
@given(flows, st.integers(1, 1_000_000))
def test_never_more_than_went_in_and_never_before(made, efficiency_ppm):
    stored = released = 0
    for flow, step in zip(made, plan(made, efficiency_ppm), strict=True):
        assert 0 <= step.store_wh <= min(flow.taken_wh, flow.sun_wh)
        assert 0 <= step.release_wh <= flow.given_wh
        stored += step.store_wh
        released += step.release_wh
        assert released <= Fraction(efficiency_ppm, 1_000_000) * stored, (
            "out <= efficiency x in, at every moment"
        )


def test_what_goes_in_comes_out_whole_without_losses():
    steps = plan([Flow(70, 0, 0, 70), Flow(0, 100, 0, 0)], 1_000_000)
    assert steps[1].release_wh == 70


@pytest.mark.parametrize("point", ["load 3", "LV4.101 Load 8", "a.b"])
def test_names(point):
    assert point_of(f"{point}.battery") == point and plant_of(f"{point}.battery") == f"{point}.pv"
    assert battery_of(f"{point}.pv") == f"{point}.battery"
