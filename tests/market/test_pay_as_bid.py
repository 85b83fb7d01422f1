import numpy as np
import pytest

from market.call_auction import CallAuction
from market.orders import BUY, SELL
from market.pay_as_bid import PayAsBid


@pytest.fixture
def book(orders):
    """Bids 2 kWh at 30, 1 kWh at 24; asks 1 kWh at 10, 2 kWh at 15, 1 kWh at 40: 3 kWh trade.

    The discriminatory double auction of Lin, Pipattanasomporn, Rahman, Applied Energy 255 (2019), worked out by hand.
    """
    return orders((BUY, 2000, 30), (BUY, 1000, 24), (SELL, 1000, 10), (SELL, 2000, 15), (SELL, 1000, 40))


@pytest.mark.parametrize(
    ("rule", "prices", "residue"),
    [
        ("bid", [30, 24, 28, 28], 0),  # (2*30 + 24)/3 = 28
        ("ask", [14, 14, 10, 15], 2),  # (10 + 2*15)/3 = 13.33 -> 14
        ("own", [30, 24, 10, 15], 44),  # 84 - 40
    ],
)
def test_whose_price_counts(book, tariff, rule, prices, residue):
    clearing = PayAsBid(rule).clear(book, tariff, 0)
    assert clearing.fills["order_id"].tolist() == [0, 1, 2, 3]
    assert clearing.fills["price_micro_per_kwh"].tolist() == prices
    assert clearing.volume_wh == 3000
    assert clearing.residue_micro == residue


@pytest.mark.parametrize("rule", ["bid", "ask", "own"])
def test_the_trades_are_those_of_the_uniform_auction(random_book, tariff, rule, count):
    rng = np.random.default_rng(8)
    for _ in range(count(50, 10)):
        book = random_book(rng, int(rng.integers(0, 60)))
        mine, uniform = (m.clear(book, tariff, 0) for m in (PayAsBid(rule), CallAuction()))
        for column in ("order_id", "energy_wh"):
            assert mine.fills[column].tolist() == uniform.fills[column].tolist()
        gain = (mine.fills["price_micro_per_kwh"] - mine.fills["limit_micro_per_kwh"]) * mine.fills["side"]
        assert (gain >= 0).all()
        assert mine.residue_micro >= 0
