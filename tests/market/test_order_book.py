import numpy as np
import pytest

from market.continuous_auction import ContinuousAuction
from market.errors import OrderError
from market.order_book import OrderBook, Trade
from market.orders import BUY, SELL


def test_price_then_time_by_hand(orders):
    """Asks 5@20 (id 0), 5@10 (1), 5@10 (2) rest; a bid for 12 at 20 takes 5@10, 5@10, 2@20, at their prices.

    Price-time priority at the resting price: Gould et al., Quantitative Finance 13 (2013) 1709.
    """
    book = OrderBook(0)
    trades = book.submit(orders((SELL, 5, 20), (SELL, 5, 10), (SELL, 5, 10), (BUY, 12, 20)))
    assert trades == [Trade(3, 1, 5, 10), Trade(3, 2, 5, 10), Trade(3, 0, 2, 20)]
    assert book.depth(SELL) == [(20, 3)]
    assert book.depth(BUY) == []


def test_a_limit_order_rests_with_its_remainder(orders):
    book = OrderBook(0)
    assert book.submit(orders((BUY, 5, 30), (BUY, 5, 25), (SELL, 7, 28))) == [Trade(2, 0, 5, 30)]
    assert book.depth(SELL) == [(28, 2)]
    assert book.depth(BUY) == [(25, 5)]
    assert book.open_orders["energy_wh"].tolist() == [5, 2]


def test_a_market_order_takes_any_price_and_never_rests(orders):
    book = OrderBook(0)
    book.submit(orders((SELL, 5, 900_000_000)))
    late = orders((BUY, 8, 1))
    late["id"] = 7
    assert book.submit(late, market=True) == [Trade(7, 0, 5, 900_000_000)]
    assert book.open_orders.size == 0


def test_a_cancelled_order_is_gone(orders):
    book = OrderBook(0)
    book.submit(orders((SELL, 5, 10), (SELL, 5, 11)))
    assert book.cancel(0) == 5
    with pytest.raises(OrderError, match="order 0: does not rest"):
        book.cancel(0)
    bid = orders((BUY, 5, 20))
    bid["id"], bid["time"] = 9, 9
    assert book.submit(bid) == [Trade(9, 1, 5, 11)]


def test_what_comes_out_of_order_is_refused_and_the_book_unchanged(orders):
    book = OrderBook(0)
    book.submit(orders((SELL, 5, 10, 0, 4)))
    wrong = orders((BUY, 5, 10, 0, 3), (BUY, 5, 10, 0, 6), (BUY, 5, 10, 0, 5))
    wrong["id"] = [0, 8, 9]
    with pytest.raises(OrderError) as caught:
        book.submit(wrong)
    assert len(caught.value.problems) == 3  # earlier than the last, out of order, id rests already
    assert book.depth(SELL) == [(10, 5)]
    with pytest.raises(OrderError, match="energy_wh is 0"):
        book.submit(orders((BUY, 0, 10)))


def slow_match(rows):
    """Price-time priority written plainly: scan all resting orders for the best at every step."""
    resting, trades = [], []
    for ident, side, wanted, price in rows:
        energy = wanted
        while energy:
            fits = [r for r in resting if r[1] == -side and (price - r[3]) * side <= 0]
            if not fits:
                break
            best = min(fits, key=lambda r: (r[3] * r[1], resting.index(r)))
            take = min(energy, best[2])
            trades.append(Trade(ident, best[0], take, best[3]))
            energy -= take
            best[2] -= take
            if not best[2]:
                resting.remove(best)
        if energy:
            resting.append([ident, side, energy, price])
    return trades, resting


def test_matching_is_that_of_a_plain_scan(random_book, count):
    rng = np.random.default_rng(21)
    for _ in range(count(150, 15)):
        book = random_book(rng, int(rng.integers(1, 60)), low=10, high=20, most_wh=9)
        book["id"] = book["time"] = np.arange(book.size)
        expected, resting = slow_match(
            [(int(o["id"]), int(o["side"]), int(o["energy_wh"]), int(o["price_micro_per_kwh"])) for o in book]
        )
        mine = OrderBook(0)
        middle = book.size // 2
        assert mine.submit(book[:middle]) + mine.submit(book[middle:]) == expected
        assert [[int(o["id"]), int(o["energy_wh"])] for o in mine.open_orders] == [
            [r[0], r[2]] for r in resting
        ]


def test_slots_stay_open_to_the_horizon(orders, tariff):
    market = ContinuousAuction(horizon=2)
    ahead = orders((SELL, 10, 100), (SELL, 10, 100))
    ahead["interval"] = [1, 2]
    assert market.clear(ahead, tariff, 0).fills.size == 0
    bids = orders((BUY, 4, 150), (BUY, 6, 150))
    bids["id"], bids["interval"] = [10, 11], [1, 2]
    first = market.clear(bids, tariff, 1)
    assert first.fills["order_id"].tolist() == [0, 10]
    assert first.volume_wh == 4
    assert market.cancel(2, 1) == 4  # 6 of 10 Wh of order 1 are sold already
    second = market.clear(orders(), tariff, 2)
    assert second.fills["energy_wh"].tolist() == [6, 6]
    assert second.price_micro_per_kwh == 100
    with pytest.raises(OrderError, match="no book is open"):
        market.cancel(2, 1)
    with pytest.raises(OrderError, match="interval is 6; allowed is 3 to 5"):
        market.clear(orders((SELL, 1, 1), interval=6), tariff, 3)


def test_an_id_is_used_once_per_interval(orders, tariff):
    market = ContinuousAuction(horizon=1)
    ahead = orders((SELL, 10, 100))
    ahead["interval"] = 1
    market.clear(ahead, tariff, 0)
    with pytest.raises(OrderError, match="used before"):
        market.clear(ahead, tariff, 1)
    bid = orders((BUY, 10, 100), interval=1)
    bid["id"] = 5
    assert market.clear(bid, tariff, 1).volume_wh == 10


def test_several_prices_become_one_average_in_favour_of_the_pool(orders, tariff):
    """3 Wh at 100 and 4 Wh at 101: the buyer's average 100.57 is rounded up to 101."""
    clearing = ContinuousAuction().clear(orders((SELL, 3, 100), (SELL, 4, 101), (BUY, 7, 200)), tariff, 0)
    assert clearing.fills["price_micro_per_kwh"].tolist() == [100, 101, 101]
    assert clearing.residue_micro >= 0
    assert clearing.details == {"trades": 2}
