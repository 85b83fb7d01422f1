"""Limits on rise, unbalance and the feeder head: the gate keeps them, and says which one bound."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from market.orders import BUY, SELL, SUPPLIER
from twin.gate.attribution import attribute
from twin.gate.cutting import CUT
from twin.gate.envelope import envelope
from twin.gate.gate import TradeGate
from twin.gate.kinds import CLAUSES, place_of, unit_of
from twin.gate.limits import Limits
from twin.scenario.limits_section import LimitsSection


@pytest.fixture
def street(sweep):
    return sweep(parents=(0, 1, 2), r_ohm=0.05, rated_a=500.0)


def gate_of(engine, limits, margin=0.0):
    return TradeGate(engine, limits, margin, 0.0)


def flows(engine, problem, accepted):
    """The head and the voltages after the gate, solved afresh: (import in W, v with, v without)."""
    f = problem.fills
    p = problem.p_base_w.copy()
    np.add.at(p, f["participant"], accepted * f["side"] * 3600.0 / problem.interval_s)
    return engine.solve(np.stack((p, problem.p_base_w)), np.zeros((2, len(p))))


@pytest.mark.parametrize(
    ("key", "limit", "side", "quantity"),
    [
        ("reverse_power_w", 6000.0, SELL, lambda s: -s.p_slack_w[0]),
        ("feeder_cap_w", 6000.0, SELL, lambda s: abs(s.p_slack_w[0])),
        ("feeder_cap_w", 6000.0, BUY, lambda s: abs(s.p_slack_w[0])),
        ("feeder_cap_va", 6000.0, BUY, lambda s: np.hypot(s.p_slack_w[0], s.q_slack_var[0])),
        ("voltage_rise_percent", 0.5, SELL, lambda s: 100 * (s.v_pu[0] / s.v_pu[1] - 1).max()),
    ],
)
def test_the_gate_fills_a_limit_and_does_not_break_it(
    street, band, book, problem, key, limit, side, quantity
):
    limits = band(street.feeder, 0.8, 1.2, **{key: limit})
    asked = problem(
        street, book((0, side, 1500, SUPPLIER, True, 0, 0), (2, side, 1500, SUPPLIER, True, 0, 0)), -200.0
    )
    decision = gate_of(street, limits).decide(asked)
    assert decision.status == "cut" and decision.decided_by == "lp"
    kept = float(quantity(flows(street, asked, decision.accepted_wh)))
    # one Wh more in a quarter of an hour is 4 W: it would break the limit
    assert kept <= limit and kept > 0.995 * limit
    name = next(b for b in decision.binding if b)
    kind = name.split(" at ")[0]
    assert kind in CLAUSES and (place_of(kind) == "head") == name.endswith("feeder head")
    assert [v.kind for v in decision.averted][:1] == [kind] and decision.averted[0].unit == unit_of(kind)
    assert any(r == CUT for r in decision.reason)


def test_without_these_limits_the_same_trades_pass(street, band, book, problem):
    asked = problem(
        street, book((0, SELL, 1500, SUPPLIER, True, 0, 0), (2, SELL, 1500, SUPPLIER, True, 0, 0)), -200.0
    )
    assert gate_of(street, band(street.feeder, 0.8, 1.2)).decide(asked).status == "accepted"


def test_a_cap_that_the_feeder_breaks_itself_is_not_worsened(street, band, book, problem):
    limits = band(street.feeder, 0.8, 1.2, feeder_cap_w=3000.0)
    fills = book((0, BUY, 500, SUPPLIER, True, 0, 0), (1, SELL, 300, SUPPLIER, True, 0, 0))
    asked = problem(street, fills, -1500.0)
    decision = gate_of(street, limits).decide(asked)
    before, after = (
        s.p_slack_w for s in (flows(street, asked, np.zeros(2)), flows(street, asked, decision.accepted_wh))
    )
    assert before[0] > 3000 and after[0] <= before[0] + 0.2
    assert [v.kind for v in decision.base_violations] == ["feeder_cap"]


def test_shadow_price_of_a_cap_is_what_another_watt_is_worth(street, band, book, problem):
    """Against finite differences: relax the cap by 400 W (100 Wh) and see what the accepted trades gain."""

    def welfare(cap):
        limits = band(street.feeder, 0.8, 1.2, feeder_cap_w=cap)
        fills = book(
            (0, SELL, 1500, SUPPLIER, True, 90_000, 40_000), (2, SELL, 1500, SUPPLIER, True, 90_000, 60_000)
        )
        asked = problem(street, fills)
        decision = gate_of(street, limits).decide(asked)
        surplus = (fills["price_micro_per_kwh"] - fills["limit_micro_per_kwh"]) * decision.accepted_wh / 1000
        return float(surplus.sum()), decision

    less, decision = welfare(8000.0)
    more, _ = welfare(8400.0)
    price = np.nanmax(decision.shadow_price)  # millionths per W
    assert price == pytest.approx((more - less) / 400, rel=0.02)


def test_margins_are_taken_off(street, band):
    tight = (
        band(street.feeder, reverse_power_w=1000.0, voltage_rise_percent=3.0).tightened(0.001, 1.0).further
    )
    based = tight.based_on(np.ones(4))
    assert based.bounds.tolist() == pytest.approx([990.0, *[2.9] * 4])


def test_the_limit_itself_is_within_and_nan_is_not(street, band):
    limits = band(street.feeder, 0.8, 1.2, reverse_power_w=5000.0)
    made = street.solve(np.zeros((1, 3)), np.zeros((1, 3)))
    for import_w, inside in ((-5000.0, True), (-5000.01, False), (np.nan, False)):
        assert limits.within(replace(made, p_slack_w=np.array([import_w]))).tolist() == [inside]
    lost = limits.violations(replace(made, p_slack_w=np.array([np.nan])), 0)
    assert [(v.kind, v.element, v.unit) for v in lost] == [("reverse_power", "feeder head", "W")]


def test_a_dead_bus_has_no_rise(street, band):
    limits = band(street.feeder, 0.8, 1.2, voltage_rise_percent=3.0).without_buses([2])
    assert limits.further.risen.tolist() == [0, 1, 3] and len(limits.further.bounds) == 3


class Linear:
    """Three phases of one bus whose unbalance is 0.001 % for every W between phase a and the mean of the others."""

    def __init__(self):
        rows = ("s.a", "s.b", "s.c", "h.a", "h.b", "h.c")
        points = tuple(SimpleNamespace(bus=3 + i, phases=x, name=x) for i, x in enumerate("abc"))
        self.feeder = SimpleNamespace(
            bus_names=rows, n_bus=6, site=np.array([0, 0, 0, 1, 1, 1]), balanced=False, points=points,
            branch_names=("l",), branch_kind=("line",), branch_rated_a=np.array([1e9]),
            branch_rated_va=np.array([np.nan]),
        )  # fmt: skip

    def solve(self, p, q):
        from adapters.grid.engine import GridState

        k = len(p)
        u = np.zeros((k, 6))
        u[:, 3:] = np.abs(p[:, 0] - (p[:, 1] + p[:, 2]) / 2)[:, None] * 0.001
        one, zero = np.zeros((k, 1)), np.zeros(k)
        return GridState(np.ones((k, 6)), one, one, -p.sum(axis=1), zero, zero, np.ones(k, bool), u)


def test_the_gate_keeps_unbalance(book, problem):
    engine = Linear()
    limits = Limits.from_section(engine.feeder, LimitsSection(voltage_unbalance_percent=2.0))
    asked = problem(engine, book((0, SELL, 1000, SUPPLIER, True, 0, 0)))
    decision = gate_of(engine, limits).decide(asked)
    assert decision.accepted_wh.tolist() == [500], "2000 W in a quarter of an hour make 2 %"
    assert decision.binding[0] == "voltage_unbalance at h.a"


def test_shares_of_the_feeder_head_add_up_also_where_flow_reverses(street):
    """Four houses' exports against a line without losses would be the shares; here losses are attributed too."""
    base, traded = np.array([-3000.0, -100.0, -100.0]), np.array([2000.0, 4000.0, -100.0])
    zero = np.zeros(3)
    for kind in ("reverse_power", "feeder_cap", "feeder_cap_apparent"):
        shares = attribute(street, base, zero, traded, zero, SimpleNamespace(kind=kind, row=-1, limit=4000.0))
        before, after = street.solve(np.stack((base, traded)), np.zeros((2, 3))).p_slack_w
        want = -after + before if kind == "reverse_power" else abs(after) - abs(before)
        assert shares.change == pytest.approx(want, rel=1e-3 if kind.endswith("apparent") else 1e-9)
        assert abs(shares.residual) < 1e-3 * abs(want) and shares.share_of_change[2] == 0
        assert shares.share_of_excess.sum() == pytest.approx(shares.excess, rel=1e-3)


def test_shares_of_a_rise_are_those_of_the_voltage_in_percent(street):
    base, traded, zero = np.zeros(3), np.array([2000.0, 0.0, 9000.0]), np.zeros(3)
    rise = attribute(street, base, zero, traded, zero, SimpleNamespace(kind="voltage_rise", row=3, limit=1.0))
    volt = attribute(street, base, zero, traded, zero, SimpleNamespace(kind="voltage_max", row=3, limit=1.01))
    np.testing.assert_allclose(rise.share_of_change, 100 * volt.share_of_change, rtol=1e-6)
    np.testing.assert_allclose(rise.share_of_excess, 100 * volt.share_of_excess, rtol=1e-6)


def test_an_envelope_keeps_the_feeder_head(street, band):
    limits = band(street.feeder, 0.8, 1.2, reverse_power_w=4000.0)
    made = envelope(street, limits, np.zeros(3), np.zeros(3), np.full(3, 3000.0), np.full(3, 3000.0))
    assert made.binding_export == "reverse_power at feeder head" and made.binding_import is None
    worst = street.solve(made.export_w[None].astype(float), np.zeros((1, 3)))
    assert 3900 < -worst.p_slack_w[0] <= 4000


def test_the_worst_entry_is_not_the_one_in_the_smallest_unit(street, band):
    limits = band(street.feeder, 0.8, 1.2, reverse_power_w=5000.0)
    excess = np.full(len(limits.bounds), -1.0)
    excess[-1], excess[8] = 100.0, 5.0  # 2 % of the cap, five percentage points of a line
    assert limits.label(limits.worst(excess)) == "line_loading at line 0"
    excess[-1] = 500.0
    assert limits.label(limits.worst(excess)) == "reverse_power at feeder head"
