"""Agreements and preferences, and the market after them."""

from hashlib import sha256

import numpy as np
import pytest

from market.before_market import BeforeMarket, Bilateral
from market.bilateral import OpenOrders
from market.call_auction import CallAuction
from market.errors import ContractError
from market.mechanism import Payment
from market.money import fills_money_micro
from market.orders import BUY, PV, SELL
from market.ppa import Agreement, FixedPrice, IndexedPrice, read_agreement
from market.preferences import Preference, serve_preferences
from market.recut import settle_accepted
from market.registry import make_mechanism

ROWS = {"roof": 0, "flat": 1, "shop": 2}


def agreement(price=None, take=0, last=95, most=500):
    return Agreement("roof", "flat", 0, last, most, price or FixedPrice(150_000), take)


def test_the_text_is_the_contract():
    ppa = agreement()
    assert "1. roof sells and flat buys electrical energy." in ppa.text()
    assert "Price: 0.150000 per kWh, fixed." in ppa.text()
    assert ppa.contract_id == sha256(ppa.text().encode()).hexdigest()
    assert read_agreement(ppa.text()) == ppa
    indexed = agreement(IndexedPrice(900_000, -10_000, 50_000, 300_000), take=20)
    assert read_agreement(indexed.text()) == indexed
    assert indexed.contract_id != ppa.contract_id


@pytest.mark.parametrize(
    ("old", "new"),
    [("500 Wh", "0500 Wh"), ("0.150000", "0.15"), ("0.150000", "0.1500001"), ("roof sells", "roof  sells"),
     ("500 Wh", "many Wh"), ("fixed", "firm"), ("AGREEMENT", "agreement"), ("95, both", "-1, both")],
)  # fmt: skip
def test_a_text_of_another_form_is_refused(old, new):
    text = agreement().text()
    assert old in text
    with pytest.raises(ContractError):
        read_agreement(text.replace(old, new))


def test_all_faults_of_an_agreement_come_at_once():
    with pytest.raises(ContractError) as caught:
        Agreement("a b", "a b", 5, 4, 0, FixedPrice(10**10), 7)
    assert len(caught.value.problems) == 7
    with pytest.raises(ContractError, match="floor <= cap"):
        agreement(IndexedPrice(1, 0, 5, 4))
    with pytest.raises(ContractError, match="dune is not a participant"):
        Bilateral([Agreement("dune", "flat", 0, 1, 5, FixedPrice(1))], rows=ROWS)


def clear(book, tariff, *agreements, preferences=(), distance=None, inner=None):
    bilateral = Bilateral(agreements, preferences, ROWS, distance)
    return BeforeMarket(inner or CallAuction(), bilateral).clear(book, tariff, 0)


def test_an_agreement_is_served_before_the_market(orders, tariff):
    """The roof offers 800, the flat wants 600, at most 500 by contract; 300 and 100 are left for the market."""
    book = orders((SELL, 800, 100_000, 0), (BUY, 600, 300_000, 1), (BUY, 1_000, 310_000, 2))
    clearing = clear(book, tariff, agreement())
    rows = clearing.fills[["order_id", "counterparty", "energy_wh", "price_micro_per_kwh"]].tolist()
    assert rows[:2] == [(0, 1, 500, 150_000), (1, 0, 500, 150_000)]
    assert [(r[0], r[1], r[2]) for r in rows[2:]] == [(0, -1, 300), (2, -1, 300)]
    assert clearing.volume_wh == 800
    assert clearing.details["bilateral_wh"] == 500
    assert clearing.residue_micro == -fills_money_micro(clearing.fills).sum()


def test_several_orders_of_a_party_serve_one_agreement(orders, tariff):
    book = orders((SELL, 200, 1, 0, 5), (SELL, 400, 1, 0, 2), (BUY, 450, 1, 1))
    fills = clear(book, tariff, agreement()).fills
    assert fills[["order_id", "counterparty", "energy_wh"]].tolist() == [
        (1, 1, 400), (2, 0, 400), (0, 1, 50), (2, 0, 50),
    ]  # fmt: skip


def test_every_bilateral_fill_has_its_mirror_whatever_orders_the_parties_have(orders, tariff):
    """The gate shrinks pairs on both sides together: it needs the other side of each fill."""
    book = orders((SELL, 300, 1, 0), (SELL, 250, 2, 0), (BUY, 90, 300_000, 1), (BUY, 610, 300_000, 1))
    fills = clear(book, tariff, agreement(most=500)).fills
    pairs = fills[fills["counterparty"] >= 0].reshape(-1, 2)
    assert [p["energy_wh"].tolist() for p in pairs] == [[90, 90], [210, 210], [200, 200]]
    for sold, bought in pairs:
        assert (sold["side"], bought["side"]) == (SELL, BUY)
        assert (sold["participant"], sold["counterparty"]) == (bought["counterparty"], bought["participant"])
        assert sold["price_micro_per_kwh"] == bought["price_micro_per_kwh"] == 150_000


def test_take_or_pay_is_owed_only_where_the_seller_offered(orders, tariff):
    """300 Wh at 0.15 per kWh = 45000 micro for what was not taken."""
    ppa = agreement(take=400)
    short = clear(orders((SELL, 800, 1, 0), (BUY, 100, 1, 1)), tariff, ppa)
    assert short.payments == (Payment(1, 0, 45_000, f"take or pay {ppa.contract_id[:12]}"),)
    assert clear(orders((SELL, 399, 1, 0), (BUY, 100, 1, 1)), tariff, ppa).payments == ()
    assert clear(orders((SELL, 800, 1, 0), (BUY, 400, 1, 1)), tariff, ppa).payments == ()


def test_an_indexed_price_follows_the_last_published_one(orders, tariff):
    """0.9 * index - 0.01 within [0.05, 0.3]; without a trade the index is the middle of the tariff, 0.20."""
    market = BeforeMarket(
        CallAuction(), Bilateral([agreement(IndexedPrice(900_000, -10_000, 50_000, 300_000))], rows=ROWS)
    )
    both = ((SELL, 100, 1, 0), (BUY, 100, 1, 1))
    assert market.clear(orders(*both), tariff, 0).fills["price_micro_per_kwh"].tolist() == [170_000] * 2
    market.clear(orders((SELL, 9, 240_000, 2), (BUY, 9, 240_000, 2), interval=1), tariff, 1)
    assert (
        market.clear(orders(*both, interval=2), tariff, 2).fills["price_micro_per_kwh"].tolist()
        == [206_000] * 2
    )
    market.clear(orders((SELL, 9, 900_000, 2), (BUY, 9, 900_000, 2), interval=3), tariff, 3)
    assert (
        market.clear(orders(*both, interval=4), tariff, 4).fills["price_micro_per_kwh"].tolist()
        == [300_000] * 2
    )
    with pytest.raises(ContractError, match="no index"):
        IndexedPrice(1, 1, 1, 1).price(None)


def test_a_price_of_nothing_is_a_price_but_sharing_for_nothing_is_none(orders):
    from market.mechanism import Tariff

    tariff = Tariff(320_000, -80_000)
    indexed = agreement(IndexedPrice(1_000_000, 10_000, -50_000, 300_000))
    both = ((SELL, 100, 1, 0), (BUY, 100, 1, 1))
    for inner, expected in (("call_auction", 10_000), ("bill_sharing", 130_000)):
        market = BeforeMarket(make_mechanism(inner, {}), Bilateral([indexed], rows=ROWS))
        free = orders((SELL, 9, 0, 2), (BUY, 9, 0, 2))
        assert market.clear(free, tariff, 0).price_micro_per_kwh == 0
        later = market.clear(orders(*both, interval=1), tariff, 1)
        assert later.fills["price_micro_per_kwh"].tolist() == [expected] * 2


def test_what_pool_providers_gain_is_no_residue_beside_an_agreement_either(orders, tariff):
    stock = orders((SELL, 2_000, 100_000, 2))
    stock["id"], stock["device"], stock["flexible"] = 9_000, 2, True
    pool = make_mechanism("pool_and_book", {})
    pool.bind(900)
    pool.open_slot(0, tariff, stock)
    book = orders((SELL, 800, 100_000, 0), (BUY, 900, 320_000, 1))
    clearing = clear(book, tariff, agreement(), inner=pool)
    assert clearing.details["bilateral_wh"] == 500
    assert len(clearing.fills) > 2
    assert clearing.residue_micro == 0, "the providers' gain is theirs"


def test_an_expired_agreement_is_not_served(orders, tariff):
    market = BeforeMarket(CallAuction(), Bilateral([agreement(last=3)], rows=ROWS))
    book = orders((SELL, 100, 200_000, 0), (BUY, 100, 1, 1), interval=4)
    assert market.clear(book, tariff, 4).fills.size == 0


def preference_book(orders):
    """Sellers: row 0 at 100 (no PV), row 3 at 120 (PV), row 4 at 90 (PV); buyers: rows 1 (at 200) and 2 (at 220)."""
    book = orders(
        (SELL, 50, 100, 0), (SELL, 50, 120, 3), (SELL, 50, 90, 4), (BUY, 60, 200, 1), (BUY, 60, 220, 2)
    )
    book["device"][[1, 2]] = PV
    return book


@pytest.mark.parametrize(
    ("wishes", "trades"),
    [
        ([Preference(1, neighbour=0)], [(0, 1, 50, 150)]),
        ([Preference(1, green=True)], [(4, 1, 50, 145), (3, 1, 10, 160)]),
        ([Preference(1, max_distance=1.0)], [(0, 1, 50, 150)]),
        ([Preference(1, green=True, neighbour=3)], [(3, 1, 50, 160)]),
        ([Preference(1, green=True, max_distance=1.0)], []),
        (
            [Preference(1, green=True), Preference(2, green=True)],
            [(4, 2, 50, 155), (3, 2, 10, 170), (3, 1, 40, 160)],
        ),
        ([Preference(1, neighbour=0), Preference(1, neighbour=3)], [(0, 1, 50, 150), (3, 1, 10, 160)]),
    ],
)
def test_preferences_by_hand(orders, wishes, trades):
    """Highest bid first, cheapest admissible ask first, at the middle of both limits."""
    distance = np.full((5, 5), 9.0)
    distance[0, 1] = 1.0
    book = OpenOrders(preference_book(orders))
    serve_preferences(book, wishes, distance)
    fills = book.fills()
    sold = fills[fills["side"] == SELL][["participant", "counterparty", "energy_wh", "price_micro_per_kwh"]]
    assert sorted(sold.tolist()) == sorted(trades)
    bought = fills[fills["side"] == BUY][["counterparty", "participant", "energy_wh", "price_micro_per_kwh"]]
    assert sorted(bought.tolist()) == sorted(trades)


def test_a_preference_does_not_break_limits(orders):
    book = OpenOrders(orders((SELL, 50, 201, 0), (BUY, 50, 200, 1)))
    serve_preferences(book, [Preference(1, neighbour=0)])
    assert book.fills().size == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({}, "give a neighbour"), ({"neighbour": 1}, "cannot be the buyer"), ({"max_distance": -1.0}, "must be >= 0"),
     ({"max_distance": float("nan")}, "must be >= 0")],
)  # fmt: skip
def test_wrong_preferences(arguments, words):
    with pytest.raises(ContractError, match=words):
        Preference(1, **arguments)


def test_distances_must_be_there_if_they_are_asked_for(orders):
    with pytest.raises(ContractError, match="matrix of electrical distances"):
        serve_preferences(OpenOrders(preference_book(orders)), [Preference(1, max_distance=1.0)])


def test_after_a_cut_bilateral_prices_stand_and_the_pool_runs_again(orders, tariff):
    market = BeforeMarket(make_mechanism("amm", {"capacity_wh": 20_000}), Bilateral([agreement()], rows=ROWS))
    book = orders((SELL, 4_500, 80_000, 0), (BUY, 500, 1, 1), (BUY, 4_000, 320_000, 2))
    fills = market.clear(book, tariff, 0).fills
    settled = settle_accepted(market, fills, fills["energy_wh"] // 2)
    assert settled.fills["price_micro_per_kwh"][:2].tolist() == [150_000, 150_000]
    assert (settled.fills["price_micro_per_kwh"][2:] > fills["price_micro_per_kwh"][2:]).all()
