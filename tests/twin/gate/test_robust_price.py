"""The price of robustness is the difference of two separate decisions on the same orders."""

import pytest

from market.orders import BUY, POOL, SELL, SUPPLIER
from twin.gate.gate import TradeGate
from twin.robust_price import RobustPrice, RobustTally, robust_price

WH = 250
PRICE, BID = 200_000, 250_000


@pytest.fixture
def leaning(sweep, band, book, problem):
    """A purchase at a street's end that leans on the sale beside it, and one that only changes supplier."""
    engine = sweep(rated_a=500.0)
    fills = book(
        (4, BUY, 50 * WH, SUPPLIER, True, PRICE, BID),
        (3, SELL, 40 * WH, SUPPLIER, True, PRICE, PRICE),
        (0, SELL, WH, POOL, False, PRICE, PRICE),
        (1, BUY, WH, POOL, False, PRICE, BID),
    )
    plain, robust = (TradeGate(engine, band(engine.feeder), 0.0, 0.0, robust=k) for k in (0, 1))
    return plain, robust, problem(engine, fills, -500.0)


def test_it_is_value_and_energy_that_the_plain_gate_lets_pass_more(leaning):
    plain, robust, asked = leaning
    more, less = (gate.decide(asked) for gate in (plain, robust))
    lost = [int(a) - int(b) for a, b in zip(more.accepted_wh, less.accepted_wh, strict=True)]
    assert lost[0] > 0 and lost[2:] == [0, 0], "only the purchase at the end is held up"
    price = robust_price(plain, asked, less)
    # a purchase at 5 cents below its bid, a sale at its limit: the floor of 0.1 cent
    assert price == RobustPrice(lost_wh=lost[0] + lost[1], lost_nano=lost[0] * (BID - PRICE) + lost[1] * 1000)
    assert price.lost_nano > 0


def test_a_robust_gate_that_lets_everything_pass_costs_nothing_and_asks_nobody(leaning, book, problem):
    plain, robust, _ = leaning
    fills = book((4, BUY, WH, SUPPLIER, True, PRICE, BID))
    small = problem(robust.engine, fills, -500.0)
    decision = robust.decide(small)
    assert decision.status == "accepted"
    before = len(robust.engine.calls)
    assert robust_price(plain, small, decision) == RobustPrice()
    assert len(robust.engine.calls) == before


def test_sums_are_whole_millionths_and_count_intervals_that_changed():
    tally = RobustTally()
    tally.add([RobustPrice(3, 1500), None, RobustPrice(), RobustPrice(4, 1600)])
    assert tally.kpis() == {"robust_price_micro": 3, "robust_cut_wh": 7, "robust_cut_intervals_count": 2}
