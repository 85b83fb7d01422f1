"""The effect of an order is believed only if an independent meter sees it too."""

import math
from dataclasses import replace

import pytest

from rigs.device import Ambient, Command, Quality, RoleSpec, Sample
from rigs.faults import Fault
from rigs.independent_meter import MeterCheck
from rigs.open_bench import open_bench

PV = RoleSpec("h.pv", "pv_inverter", 8000.0)
METER = RoleSpec("h.meter", "meter", 10000.0)
STEP_S = 900


def sample(p_w: float, quality: Quality = Quality.GOOD) -> Sample:
    return Sample(p_w, 0.0, 0.0, 0.0, math.nan, quality, 0.0, wire=True)


def check(patience_s: float = 0.0) -> MeterCheck:
    return MeterCheck({"h.meter": 0.01}, ("h.meter", "h.pv", "h.battery", "g.pv"), patience_s)


def test_only_devices_of_the_same_owner_stand_behind_a_meter() -> None:
    assert check().behind("h.meter") == ("h.pv", "h.battery")


@pytest.mark.parametrize(("metered_w", "agrees"), [(2000, True), (2079, True), (2090, False), (1870, False)])
def test_agreement_is_bounded_by_class_rounding_and_the_devices_own_error(metered_w, agrees) -> None:
    """1000 and 1500 W of devices, 500 W of load: 20 W + 1 % of the meter + 2 % of 3000 W (about 100 W)."""
    samples = {
        "h.meter": sample(metered_w),
        "h.pv": sample(1000),
        "h.battery": sample(1500),
        "g.pv": sample(9),
    }
    found = check().contradictions(900, samples, {"h.meter": -520.0})
    assert (found == {}) is (abs(metered_w - 1980) <= 20 + 0.01 * metered_w + 0.02 * 3020) is agrees
    assert set(found) in (set(), {"h.meter", "h.pv", "h.battery"})


def test_a_reading_that_is_bad_anyway_contradicts_nothing() -> None:
    samples = {"h.meter": sample(0), "h.pv": sample(math.nan, Quality.BAD), "h.battery": sample(1500)}
    assert check().contradictions(900, samples, {}) == {}


def test_on_wall_clock_time_a_contradiction_must_last() -> None:
    judge = check(patience_s=10)
    samples = {"h.meter": sample(0), "h.pv": sample(1000), "h.battery": sample(0)}
    assert judge.contradictions(100, samples, {}) == {}
    assert judge.contradictions(109, samples, {}) == {}
    assert set(judge.contradictions(110, samples, {})) == {"h.meter", "h.pv", "h.battery"}
    agreeing = samples | {"h.meter": sample(1000)}
    assert judge.contradictions(111, agreeing, {}) == {}
    assert judge.contradictions(112, samples, {}) == {}, "counted anew"


def test_over_sockets_a_lie_is_seen_and_no_order_leaves_while_it_lasts(write_bench) -> None:
    """The meter sees the truth through the devices' own accounts, and the load the twin tells of."""
    text = (
        "bench: m\ndevices:\n  h.pv: {driver: emulated, mode: armed}\n"
        "  h.meter: {driver: emulated, meter: {accuracy_class: 0.5}}\n"
    )
    with open_bench(write_bench(text), (PV, METER)) as bench:
        bench.schedule([Fault("h.pv", "lie", 2 * STEP_S, 4 * STEP_S, 1.3)])
        seen = []
        for k in range(7):
            around = {"h.pv": Ambient(3000.0), "h.meter": Ambient(-1000.0)}
            before = len(bench.journal)
            samples = bench.step(k * STEP_S, STEP_S, {"h.pv": Command(2000.0 + 10 * k)}, around)
            (decision,) = [c["outcome"] for kind, c in bench.journal[before:] if kind == "decision"]
            seen.append((samples["h.pv"].quality, samples["h.meter"].quality, decision))
        (finding,) = bench.findings()
    good, bad = (Quality.GOOD, Quality.GOOD), (Quality.BAD, Quality.BAD)
    assert [s[:2] for s in seen] == [good, good, bad, bad, good, good, good]
    assert [s[2] for s in seen] == ["sent", "sent", "sent", "held", "held", "sent", "sent"]
    assert samples["h.meter"].p_gen_w == pytest.approx(2060 - 1000, abs=1)
    assert finding.handled
    assert "the meter says 1020 W, the devices behind it 1626 W" in finding.notice
    assert "left to the device's own timer (2×)" in finding.done
    assert replace(samples["h.pv"]).scheduled is False
