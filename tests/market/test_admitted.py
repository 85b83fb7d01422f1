"""Only admitted assets trade: at their delivery interval, houses always; what wraps a pool still executes it again."""

import numpy as np
import pytest

from market.admitted import NEVER, AdmittedOnly
from market.amm_market import AmmMarket
from market.before_market import BeforeMarket, Bilateral
from market.call_auction import CallAuction
from market.orders import BATTERY, BUY, EV, HOUSE, PV, SELL, empty_orders
from market.pool_market import PoolAndBook


@pytest.fixture
def first():
    """Participant 0: PV from interval 3 on, battery never; participant 1: everything at once; its car never."""
    table = np.zeros((3, 4), dtype=np.int64)
    table[0, PV], table[0, BATTERY], table[1, EV] = 3, NEVER, NEVER
    return table


def book(*rows, interval=0):
    made = empty_orders(len(rows))
    for i, (who, side, device, energy) in enumerate(rows):
        price = 100_000 if side == SELL else 300_000
        made[i] = (i, who, side, device, False, energy, price, interval, i)
    return made


def test_who_is_not_admitted_is_left_out_until_it_is(first, tariff):
    market = AdmittedOnly(CallAuction(), first)
    rows = (
        (0, SELL, PV, 500),
        (0, SELL, BATTERY, 500),
        (1, SELL, PV, 100),
        (2, BUY, HOUSE, 700),
        (1, BUY, EV, 400),
    )
    sold = [market.clear(book(*rows, interval=k), tariff, k).volume_wh for k in (0, 2, 3)]
    assert sold == [100, 100, 600]
    first[:, HOUSE] = NEVER
    assert market.clear(book(*rows), tariff, 0).volume_wh == 100, "a house's consumption is no asset"


def test_orders_ahead_count_at_their_delivery(first):
    market = AdmittedOnly(PoolAndBook(horizon=4), first)
    both = np.concatenate((book((0, SELL, PV, 5), interval=2), book((0, SELL, PV, 5), interval=3)))
    assert market.admitted(both)["interval"].tolist() == [3]


@pytest.mark.parametrize("inner", [AmmMarket, PoolAndBook])
def test_a_pool_inside_is_executed_again(inner, first, tariff):
    """Through admission and agreements the prices of smaller amounts are those of the pool by itself."""
    rows = ((1, SELL, PV, 400), (2, BUY, HOUSE, 400))
    alone, wrapped = inner(), AdmittedOnly(BeforeMarket(inner(), Bilateral()), first)
    made = [market.clear(book(*rows), tariff, 0).fills for market in (alone, wrapped)]
    assert (made[0] == made[1]).all()
    accepted = np.full(2, 150)
    again = [market.reexecute(fills, accepted) for market, fills in zip((alone, wrapped), made, strict=True)]
    assert (again[0] == again[1]).all()
    assert (again[0]["price_micro_per_kwh"] != made[0]["price_micro_per_kwh"]).any()


def test_prices_stand_where_the_mechanism_has_one(first, tariff):
    market = AdmittedOnly(CallAuction(), first)
    fills = market.clear(book((1, SELL, PV, 400), (2, BUY, HOUSE, 400)), tariff, 0).fills
    assert (market.reexecute(fills, np.full(2, 150)) == fills).all()
