"""A market session: the local mechanism first, then the supplier; and set points from accepted energy."""

import numpy as np
import pytest

from market.mechanism import Clearing, Tariff
from market.orders import BATTERY, BUY, EV, HOUSE, POOL, PV, SELL, SUPPLIER, empty_fills, empty_orders
from twin.agents import Intent
from twin.scenario.market_section import SupplierSection
from twin.tariff import SupplierTariff
from twin.trading import TradingDesk, accepted_set_points, supplier_fills

RETAIL, FEED_IN = 320_000, 80_000
TARIFF = SupplierTariff(SupplierSection(retail_price_eur_per_kwh="0.32", feed_in_price_eur_per_kwh="0.08"), 0)


def orders(*rows):
    """Orders of (participant, side, device, flexible, energy, price)."""
    made = empty_orders(len(rows))
    for i, row in enumerate(rows):
        made[i] = (100 + 7 * i, *row, 3, 0)
    return made


def intent(book, n=4):
    zero = np.zeros(n)
    return Intent(3, zero, zero, np.full(n, 10.0), np.zeros(n, bool), book, book)


class Halves:
    """A mechanism that fills half of every order at one price."""

    name = "halves"

    def clear(self, book, tariff, interval):
        assert (tariff, interval) == (Tariff(RETAIL, FEED_IN), 3)
        fills = empty_fills(len(book))
        for name in ("participant", "side", "device", "flexible", "interval"):
            fills[name] = book[name]
        fills["order_id"], fills["energy_wh"], fills["counterparty"] = (
            book["id"],
            book["energy_wh"] // 2,
            POOL,
        )
        fills["price_micro_per_kwh"] = 200_000
        price = 200_000 if len(book) else None
        return Clearing(fills[::-1].copy(), price, int(fills["energy_wh"].sum()) // 2, 5)


BOOK = orders(
    (0, BUY, EV, True, 1000, RETAIL),
    (1, BUY, HOUSE, False, 400, RETAIL),
    (2, SELL, PV, True, 600, FEED_IN),
    (3, SELL, BATTERY, True, 800, 150_000),
)


def as_rows(fills):
    return sorted(
        (int(f["participant"]), int(f["counterparty"]), int(f["energy_wh"]), int(f["price_micro_per_kwh"]))
        for f in fills
    )


def test_what_no_neighbour_takes_goes_to_the_supplier():
    """Only where it moves power, only where the supplier meets the limit, and only the rest."""
    session = TradingDesk(Halves(), TARIFF, 900).clear(intent(BOOK))
    assert as_rows(session.fills) == sorted(
        [(0, POOL, 500, 200_000), (1, POOL, 200, 200_000), (2, POOL, 300, 200_000), (3, POOL, 400, 200_000),
         (0, SUPPLIER, 500, RETAIL), (2, SUPPLIER, 300, FEED_IN)]
    )  # fmt: skip
    assert (session.price_micro_per_kwh, session.tariff, session.residue_micro) == (
        200_000,
        Tariff(RETAIL, FEED_IN),
        5,
    )
    filled = {}
    for fill in session.fills:
        filled[int(fill["order_id"])] = filled.get(int(fill["order_id"]), 0) + int(fill["energy_wh"])
    assert all(filled[int(o["id"])] <= o["energy_wh"] for o in BOOK), "nobody gets more than it ordered"


def test_without_a_mechanism_there_is_only_the_supplier():
    session = TradingDesk(None, TARIFF, 900).clear(intent(BOOK))
    assert as_rows(session.fills) == [(0, SUPPLIER, 1000, RETAIL), (2, SUPPLIER, 600, FEED_IN)]
    assert session.price_micro_per_kwh is None


@pytest.mark.parametrize("mechanism", [None, Halves()])
def test_nobody_orders(mechanism):
    session = TradingDesk(mechanism, TARIFF, 900).clear(intent(empty_orders()))
    assert (len(session.fills), session.price_micro_per_kwh) == (0, None)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_one_sided_markets(side):
    """Sellers only, buyers only: no local trade; what the supplier takes at its price still moves."""
    from market.registry import make_mechanism

    book = orders(*[(i, side, BATTERY, True, 500, 200_000 if side == SELL else RETAIL) for i in range(3)])
    session = TradingDesk(make_mechanism("call_auction", {}), TARIFF, 900).clear(intent(book))
    assert session.price_micro_per_kwh is None
    assert as_rows(session.fills) == ([] if side == SELL else [(i, SUPPLIER, 500, RETAIL) for i in range(3)])


def test_a_limit_that_the_supplier_just_meets():
    book = orders(
        (0, BUY, EV, True, 10, RETAIL - 1),
        (1, SELL, PV, True, 10, FEED_IN + 1),
        (2, BUY, EV, True, 10, RETAIL + 1),
    )
    made = supplier_fills(book, book["energy_wh"], Tariff(RETAIL, FEED_IN))
    fills = made[0] if isinstance(made, tuple) else made
    assert as_rows(fills) == [(2, SUPPLIER, 10, RETAIL)]


def test_set_points_from_accepted_energy():
    session = TradingDesk(Halves(), TARIFF, 900).clear(intent(BOOK))
    accepted = session.fills["energy_wh"] // 2
    points = accepted_set_points(session, accepted, 900).set_points
    assert points.ev_extra_w.tolist() == [4 * (250 + 250), 0, 0, 0], "local and upstream add up"
    assert points.pv_extra_w.tolist() == [0, 0, 4 * (150 + 150), 0]
    assert points.battery_extra_w.tolist() == [0, 0, 0, 4 * 200]
    assert points.ev_base_w.tolist() == [10] * 4
    half_hour = accepted_set_points(session, accepted, 1800).set_points
    assert half_hour.ev_extra_w[0] == 1000
    book = orders((0, BUY, BATTERY, True, 500, RETAIL))
    buying = TradingDesk(None, TARIFF, 900).clear(intent(book))
    assert accepted_set_points(buying, buying.fills["energy_wh"], 900).set_points.battery_extra_w[0] == -2000


def test_the_price_of_its_time():
    section = SupplierSection(retail_price_eur_per_kwh="0.32", feed_in_price_eur_per_kwh="0.08", night_price_eur_per_kwh="0.2",
                              night_from_h=0.75, night_to_h=1)  # fmt: skip
    session = TradingDesk(None, SupplierTariff(section, 0), 900).clear(intent(BOOK))
    assert session.tariff == Tariff(200_000, FEED_IN), "interval 3 begins at 0:45"
