import random

import pytest

from market.amm import DissipativePool
from market.claims import Claim
from market.errors import RangeError
from market.order_book import OrderBook
from market.orders import BUY, PV, SELL
from market.routing import BookVenue, Leg, PoolVenue, SupplierVenue, route


def venues(orders, tariff, pool_energy=20_000, book_rows=()):
    book = OrderBook(0)
    book.submit(orders(*book_rows))
    pool = DissipativePool(tariff, 40_000, 1_000, "anna", (Claim(1, 1, pool_energy),) if pool_energy else ())
    return [BookVenue(book), PoolVenue(pool), SupplierVenue(tariff)]


def order(orders, side, energy, price):
    row = orders((side, energy, price))
    row["id"], row["time"] = 99, 99
    return row[0]


def test_the_cheapest_venue_comes_first_then_the_next(orders, tariff):
    """500 Wh at 90 in the book, below the pool's price; then the pool."""
    legs = route(order(orders, BUY, 1_000, 320_000), venues(orders, tariff, book_rows=[(SELL, 500, 90_000)]))
    assert [leg.venue for leg in legs] == ["book", "pool"]
    assert legs[0] == Leg("book", 500, -45_000)
    assert sum(leg.energy_wh for leg in legs) == 1_000


def test_who_finds_nothing_better_goes_to_the_supplier(orders, tariff):
    legs = route(order(orders, BUY, 1_000, 320_000), venues(orders, tariff, pool_energy=0))
    assert legs == [Leg("supplier", 1_000, -320_000)]
    legs = route(order(orders, SELL, 1_000, 80_000), [SupplierVenue(tariff)])
    assert legs == [Leg("supplier", 1_000, 80_000)]


def test_a_limit_that_no_venue_meets_leaves_energy_untraded(orders, tariff):
    assert route(order(orders, BUY, 1_000, 70_000), venues(orders, tariff)) == []
    legs = route(order(orders, SELL, 1_000, 300_000), venues(orders, tariff, book_rows=[(BUY, 400, 310_000)]))
    assert legs == [Leg("book", 400, 124_000)]


def test_routing_is_never_worse_than_the_best_single_venue(orders, tariff, count):
    rng = random.Random(2)
    for _ in range(count(60, 10)):
        side = rng.choice([BUY, SELL])
        rows = [(-side, rng.randrange(100, 900), rng.randrange(80_000, 320_000)) for _ in range(8)]
        energy = rng.randrange(10, 4_000)
        limit = 320_000 if side == BUY else 80_000
        held = rng.randrange(1, 40_000)
        single = [v.quote(side, energy) for v in venues(orders, tariff, held, rows)]
        legs = route(order(orders, side, energy, limit), venues(orders, tariff, held, rows))
        assert sum(leg.energy_wh for leg in legs) == energy
        # ten slices cost at most ten more roundings and fees of one micro
        assert sum(leg.money_micro for leg in legs) >= max(m for m in single if m is not None) - 25


def test_a_sale_to_the_pool_is_a_claim_on_the_sellers_device(orders, tariff):
    pool = DissipativePool(tariff, 40_000, 1_000, "anna")
    row = order(orders, SELL, 100, 80_000)
    row["participant"], row["device"] = 5, PV
    route(row, [PoolVenue(pool)], slices=1)
    assert pool.queue.claims() == (Claim(5, PV, 100),)


def test_wrong_input(orders, tariff):
    for energy, slices in ((0, 1), (5, 0)):
        with pytest.raises(RangeError):
            route(order(orders, BUY, energy, 1), [SupplierVenue(tariff)], slices)
