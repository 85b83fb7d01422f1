from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.bill_sharing import BillSharing, share_bill
from market.errors import BillingError, TariffError
from market.local_price import rates
from market.mechanism import Tariff
from market.mid_market_rate import MidMarketRate, mid_market_price
from market.money import fills_money_micro
from market.orders import BUY, SELL, SUPPLIER, empty_fills
from market.supply_demand_ratio import SupplyDemandRatio, supply_demand_price

HI, LO = 400, 80
BAND = Tariff(HI, LO)


@pytest.mark.parametrize(
    ("sold", "bought", "buy", "sell"),
    [(100, 100, 240, 240), (50, 100, 320, 240), (100, 50, 240, 160)],
)
def test_mid_market_rate_by_hand(sold, bought, buy, sell):
    """m = 240. S < D: c = (240*50 + 400*50)/100 = 320. S > D: r = (240*50 + 80*50)/100 = 160 (Long et al. 2017)."""
    assert rates(mid_market_price(sold, bought, BAND), sold, bought, BAND) == (buy, sell)


@pytest.mark.parametrize(
    ("sold", "bought", "compensation", "price", "buy", "sell"),
    [
        (0, 100, 0, 400, 400, None),
        (25, 100, 0, 200, 350, 200),  # 80*400/(320*0.25 + 80) = 200; c = 200*0.25 + 400*0.75
        (50, 100, 0, Fraction(400, 3), Fraction(800, 3), Fraction(400, 3)),  # 133.33 as published for u = 0.5
        (100, 100, 0, 80, 80, 80),
        (200, 100, 0, 80, 80, 80),
        (
            50,
            100,
            20,
            160,
            280,
            160,
        ),  # 400 * 100 / (300 * 0.5 + 100), as rec_op_lem_prices' compute_sdr has it
        (200, 100, 20, 100, 100, 90),  # r = lo + l/R = 80 + 20/2, c = lo + l
    ],
)
def test_supply_demand_ratio_by_hand(sold, bought, compensation, price, buy, sell):
    """N. Liu et al. 2017, IEEE Trans. Power Systems 32, 3569."""
    got = supply_demand_price(sold, bought, BAND, compensation)
    assert got == int(price)
    if sell is not None:
        assert rates(price, sold, bought, BAND) == (buy, sell)


def published(rule, S, D, hi, lo):
    """The blended rates (c, r) as the papers write them, independent of ours."""
    if rule == "mmr":
        m = Fraction(hi + lo, 2)
        return ((m * S + hi * (D - S)) / D, m) if S < D else (m, (m * D + lo * (S - D)) / S)
    if rule == "fabi":  # arXiv 2512.24432
        lm = Fraction(hi + lo, 2)
        return lm + (hi - lm) * max(1 - Fraction(S, D), 0), lm - (lm - lo) * max(1 - Fraction(D, S), 0)
    if rule == "sdr":
        R = Fraction(S, D)
        if R > 1:
            return Fraction(lo), Fraction(lo)
        r = lo * hi / ((hi - lo) * R + lo)
        return r * R + hi * (1 - R), r
    return Fraction(hi * max(D - S, 0), D), Fraction(lo * max(S - D, 0), S)  # bill sharing


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6),
    st.sampled_from(["mmr", "fabi", "sdr", "bill"]),
)  # fmt: skip
def test_the_community_pays_what_crosses_its_boundary(S, D, lo, band, rule):
    """c D - r S = hi (D-S)+ - lo (S-D)+, exactly, for the published rates and for ours."""
    hi = lo + band
    boundary = hi * max(D - S, 0) - lo * max(S - D, 0)
    c, r = published(rule, S, D, hi, lo)
    assert c * D - r * S == boundary
    ours = {
        "mmr": Fraction(hi + lo, 2),
        "fabi": Fraction(hi + lo, 2),
        "sdr": lo * hi / ((hi - lo) * Fraction(S, D) + lo) if S <= D else lo,
        "bill": 0,
    }[rule]
    assert rates(ours, S, D, Tariff(hi, lo)) == (c, r)
    exact_price = {"mmr": mid_market_price, "fabi": mid_market_price, "sdr": supply_demand_price}
    if rule in exact_price:
        assert exact_price[rule](S, D, Tariff(hi, lo)) == int(ours)


@pytest.mark.parametrize("mechanism", [MidMarketRate(False), SupplyDemandRatio(0, False), BillSharing()])
def test_the_identity_holds_in_integers_with_the_residue_named(mechanism, random_book, count):
    """Participants' money, with the rest at the supplier, is the boundary's money and the pool's residue."""
    rng = np.random.default_rng(6)
    band = Tariff(320_000, 80_000)
    for _ in range(count(100, 10)):
        book = random_book(rng, int(rng.integers(2, 50)))
        clearing = mechanism.clear(book, band, 0)
        local = dict(
            zip(clearing.fills["order_id"].tolist(), clearing.fills["energy_wh"].tolist(), strict=True)
        )
        rest = empty_fills(book.size)
        for name in ("side", "participant"):
            rest[name] = book[name]
        rest["counterparty"] = SUPPLIER
        rest["energy_wh"] = [int(o["energy_wh"]) - local.get(int(o["id"]), 0) for o in book]
        rest["price_micro_per_kwh"] = np.where(book["side"] == BUY, 320_000, 80_000)
        energy = {s: int(book["energy_wh"][book["side"] == s].sum()) for s in (SELL, BUY)}
        paid = -int(fills_money_micro(clearing.fills).sum()) - int(fills_money_micro(rest).sum())
        over = energy[BUY] - energy[SELL]
        boundary = (320_000 * max(over, 0) - 80_000 * max(-over, 0)) // 1000
        rounding = paid - boundary
        assert 0 <= rounding <= clearing.fills.size + rest.size
        assert clearing.residue_micro == -int(fills_money_micro(clearing.fills).sum()) >= 0


def test_the_long_side_is_served_in_proportion(orders, tariff):
    book = orders((SELL, 100, 0), (BUY, 150, 320_000), (BUY, 50, 320_000))
    fills = MidMarketRate().clear(book, tariff, 0).fills
    assert fills["energy_wh"].tolist() == [100, 75, 25]
    assert set(fills["price_micro_per_kwh"].tolist()) == {200_000}


def test_who_would_lose_stays_out_if_limits_count(orders, tariff):
    book = orders((SELL, 100, 210_000), (SELL, 40, 0), (BUY, 100, 320_000), (BUY, 100, 199_999))
    assert MidMarketRate(True).clear(book, tariff, 0).fills["order_id"].tolist() == [1, 2]
    assert MidMarketRate(False).clear(book, tariff, 0).fills["order_id"].tolist() == [0, 1, 2, 3]


def test_the_most_disappointed_leaves_first_where_the_price_depends_on_who_stays(orders):
    """With both sellers R = 1 and the price is lo = 80, below both limits; without the dearer one it is 133."""
    band = Tariff(400, 80)
    book = orders((SELL, 50, 130), (SELL, 50, 300), (BUY, 100, 400))
    clearing = SupplyDemandRatio().clear(book, band, 0)
    assert clearing.price_micro_per_kwh == 133
    assert clearing.fills["order_id"].tolist() == [0, 2]


def test_the_ratio_rule_refuses_a_tariff_with_a_pole(orders):
    book = orders((SELL, 50, -10), (BUY, 100, 400))
    with pytest.raises(TariffError, match="needs 0 <= feed-in"):
        SupplyDemandRatio().clear(book, Tariff(400, -1), 0)
    with pytest.raises(TariffError, match="compensation"):
        SupplyDemandRatio(500).clear(book, Tariff(400, 80), 0)


def test_bill_sharing_by_hand():
    """60 kWh imported at 0.40, 10 kWh exported at 0.08: 24 shared 1:2:3, 0.80 shared 1:1 over producers."""
    bills = share_bill([10, 20, 30], [5, 5, 0], 60_000, 10_000, Tariff(400_000, 80_000))
    assert bills == [4_000_000 - 400_000, 8_000_000 - 400_000, 12_000_000]
    assert sum(share_bill([1, 1, 1], [0, 0, 1], 10, 0, Tariff(1000, 0))) == 10  # 3.33 each: nothing is lost
    with pytest.raises(BillingError, match="one entry per member"):
        share_bill([1], [], 1, 0, BAND)
    with pytest.raises(BillingError, match="not be negative"):
        share_bill([-1], [0], 1, 0, BAND)
    with pytest.raises(BillingError, match="not all zero"):
        share_bill([0], [0], 1, 0, BAND)
