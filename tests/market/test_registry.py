from decimal import Decimal

import numpy as np
import pytest

from market.errors import ParameterError, UnitError
from market.orders import BUY, SELL
from market.parameters import whole_micro
from market.registry import ENTRIES, MECHANISM_NAMES, make_mechanism


@pytest.mark.parametrize("name", MECHANISM_NAMES)
def test_every_mechanism_clears_and_keeps_the_common_rules(name, random_book, tariff, count):
    """Sales equal purchases, no order twice, nobody more than asked, the pool never pays in, rows in any order."""
    rng = np.random.default_rng(17)
    mechanism = make_mechanism(name)
    assert mechanism.name == name
    for interval in range(count(12, 5)):
        book = random_book(rng, int(rng.integers(0, 50)), interval=interval)
        before = book.copy()
        clearing = mechanism.clear(book, tariff, interval)
        assert (book == before).all()
        fills = clearing.fills
        assert (fills["side"] * fills["energy_wh"]).sum() == 0
        assert np.unique(fills["order_id"]).size == fills.size
        wanted = dict(zip(book["id"].tolist(), book["energy_wh"].tolist(), strict=True))
        assert all(0 < f["energy_wh"] <= wanted[int(f["order_id"])] for f in fills)
        assert clearing.volume_wh == fills["energy_wh"][fills["side"] == SELL].sum()
        assert (clearing.price_micro_per_kwh is None) == (clearing.volume_wh == 0)
        if (
            name == "pool_and_book"
        ):  # its pool has owners, who may lose; and it opens at the index that it published
            mechanism = make_mechanism(name)
            clearing, fills = (fresh := mechanism.clear(book, tariff, interval)), fresh.fills
        else:
            assert clearing.residue_micro >= 0
        again = make_mechanism(name).clear(book[rng.permutation(book.size)], tariff, interval)
        for column in ("order_id", "energy_wh", "price_micro_per_kwh"):
            mine, other = (f[np.argsort(f["order_id"])][column].tolist() for f in (fills, again.fills))
            assert mine == other, column


@pytest.mark.parametrize("name", MECHANISM_NAMES)
def test_one_sided_and_empty_books_trade_nothing(name, orders, tariff):
    for rows in ([], [(SELL, 5, 1)], [(BUY, 5, 10**6), (BUY, 9, 1)]):
        clearing = make_mechanism(name).clear(orders(*rows), tariff, 0)
        assert (clearing.fills.size, clearing.price_micro_per_kwh, clearing.volume_wh) == (0, None, 0)


def test_no_trade_fills_nothing(orders, tariff):
    assert make_mechanism("none").clear(orders((SELL, 5, 1), (BUY, 5, 9)), tariff, 0).volume_wh == 0


def test_an_unknown_name_lists_the_allowed_and_the_nearest():
    with pytest.raises(ParameterError, match=r"did you mean call_auction\?.*allowed: none, call_auction"):
        make_mechanism("cal_auction")


def test_all_parameter_problems_come_at_once():
    with pytest.raises(ParameterError) as caught:
        make_mechanism(
            "call_auction", {"kk": 1, "k": "1.5", "rationing": "x", "tick_micro_per_kwh": 2.5, "k2": 0}
        )
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    assert "unknown parameter 'kk' (did you mean k?)" in text
    assert "call_auction.k: got '1.5'; allowed is 0 to 1" in text
    assert "allowed is one of time, pro_rata" in text
    with pytest.raises(ParameterError, match="allowed: none"):
        make_mechanism("mcafee", {"x": 1})
    with pytest.raises(ParameterError, match="true or false"):
        make_mechanism("mid_market_rate", {"respect_limits": 1})
    with pytest.raises(ParameterError, match=r"allowed is 0.000001 to 0.5"):
        make_mechanism("amm", {"fee": 0})


def test_parameters_reach_the_mechanism(orders, tariff):
    book = orders((SELL, 5, 100), (BUY, 5, 200))
    prices = [
        make_mechanism("call_auction", {"k": k}).clear(book, tariff, 0).price_micro_per_kwh
        for k in (0, 0.3, "1")
    ]
    assert prices == [100, 130, 200]
    half = make_mechanism("sharing_coefficients", {"price_in_band": 1}).clear(book, tariff, 0)
    assert half.price_micro_per_kwh == 320_000


def test_each_entry_has_words_and_defaults_that_its_constructor_takes():
    for name, entry in ENTRIES.items():
        assert entry.text.endswith(".")
        for parameter in entry.parameters.values():
            assert parameter.text.endswith(".")
            assert parameter.allowed()
        make_mechanism(name, {})


@pytest.mark.parametrize(
    ("value", "micro"), [(0.29, 290_000), ("0.29", 290_000), (3, 3_000_000), (Decimal("-0.000001"), -1)]
)
def test_decimals_are_read_exactly(value, micro):
    assert whole_micro(value) == micro


@pytest.mark.parametrize("value", ["0.0000001", float("nan"), "abc", True, None, Decimal("Infinity"), 1e-7])
def test_a_decimal_that_is_no_whole_micro_is_refused(value):
    with pytest.raises(UnitError, match=r"price: got"):
        whole_micro(value, "price")
