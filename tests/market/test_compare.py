import numpy as np
import pytest

from market.compare import Shadow, compare, gains_micro
from market.errors import OrderError, ParameterError
from market.orders import BUY, SELL
from market.registry import MECHANISM_NAMES


def test_reference_points_by_hand(orders, tariff):
    """1 kWh offered at 0.10, wanted at 0.30: the optimum is 0.20 of welfare; at 0.20 each side gains 0.12."""
    book = orders((SELL, 1_000, 100_000, 4), (BUY, 1_000, 300_000, 7))
    none, auction, bill = compare(book, tariff, ["none", "call_auction", "bill_sharing"])
    assert (none.volume_wh, none.welfare_micro, none.efficiency_gap_ppm) == (0, 0, 1_000_000)
    assert (none.gained, none.lost) == ((), ())
    assert (auction.price_micro_per_kwh, auction.welfare_micro, auction.optimum_micro) == (
        200_000,
        200_000,
        200_000,
    )
    assert auction.efficiency_gap_ppm == 0
    assert auction.gains_micro == {4: 120_000, 7: 120_000}
    assert bill.gains_micro == {4: -80_000, 7: 320_000}  # local energy is free: the seller lost
    assert (bill.gained, bill.lost) == ((7,), (4,))


@pytest.mark.parametrize("times", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_nobody_beats_the_optimum_where_limits_count(random_book, tariff, count, times):
    rng = np.random.default_rng(23)
    shadow = Shadow({name: (name, {}) for name in MECHANISM_NAMES})
    for interval in range(count(times, 5)):
        rows = shadow.clear(random_book(rng, 40, interval=interval), tariff, interval)
        for row in rows:
            assert row.welfare_micro <= row.optimum_micro
        by_name = {row.mechanism: row for row in rows}
        for name in ("call_auction", "pay_as_bid"):
            assert by_name[name].efficiency_gap_ppm == 0
        for name in set(MECHANISM_NAMES) - {"bill_sharing", "sharing_coefficients"}:
            assert 0 <= by_name[name].efficiency_gap_ppm <= 1_000_000
            assert by_name[name].lost == ()


def test_totals_add_up(orders, tariff):
    shadow = Shadow({"mid": ("call_auction", {}), "low": ("call_auction", {"k": 0})})
    for interval in (0, 1):
        shadow.clear(
            orders((SELL, 1_000, 100_000), (BUY, 1_000, 300_000), interval=interval), tariff, interval
        )
    mid, low = shadow.totals()
    assert (mid.mechanism, mid.volume_wh, mid.price_micro_per_kwh) == ("mid", 2_000, 200_000)
    assert (low.price_micro_per_kwh, low.welfare_micro) == (100_000, 400_000)
    assert low.gains_micro == {0: 40_000, 1: 440_000}


def test_an_empty_book_compares_to_nothing(orders, tariff):
    row = compare(orders(), tariff, ["call_auction"])[0]
    assert (row.price_micro_per_kwh, row.optimum_micro, row.efficiency_gap_ppm) == (None, 0, 0)
    assert gains_micro(compare_fills(orders, tariff), tariff) == {}


def compare_fills(orders, tariff):
    from market.call_auction import CallAuction

    return CallAuction().clear(orders(), tariff, 0).fills


def test_problems_of_all_mechanisms_come_at_once(orders, tariff):
    with pytest.raises(ParameterError) as caught:
        Shadow({"a": ("nope", {}), "b": ("call_auction", {"k": 2})})
    assert len(caught.value.problems) == 2
    with pytest.raises(OrderError):
        compare(orders((SELL, 0, 1)), tariff, ["none"])
