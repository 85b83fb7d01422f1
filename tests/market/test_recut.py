import numpy as np
import pytest

from market.call_auction import CallAuction
from market.errors import RangeError
from market.orders import BUY, SELL
from market.recut import check_accepted, recut, settle_accepted


@pytest.fixture
def cleared(orders, tariff):
    return CallAuction().clear(
        orders((SELL, 700, 100_001), (SELL, 300, 90_000), (BUY, 1_000, 150_000)), tariff, 0
    )


def test_prices_stand_and_money_shrinks(cleared):
    assert cleared.price_micro_per_kwh == 125_000
    settled = recut(cleared.fills, np.array([333, 100, 433]))
    assert settled.fills["price_micro_per_kwh"].tolist() == [125_000] * 3
    # 333 Wh at 0.125: 41.625 -> 41 micro-thousandths ... in micro: 41625, 12500, 54125
    assert settled.money_micro.tolist() == [41_625, 12_500, -54_125]
    assert settled.residue_micro == 0
    assert settled.pool_imbalance_wh == 0


def test_rounding_is_the_pools(orders, tariff):
    fills = CallAuction().clear(orders((SELL, 700, 100_001), (BUY, 700, 100_001)), tariff, 0).fills
    settled = recut(fills, np.array([333, 333]))
    assert settled.money_micro.tolist() == [33_300, -33_301]  # 33300.333
    assert settled.residue_micro == 1


def test_the_fills_given_are_not_changed_and_rows_keep_their_place(cleared):
    before = cleared.fills.copy()
    settled = settle_accepted(CallAuction(), cleared.fills, np.array([0, 0, 0]))
    assert (cleared.fills == before).all()
    assert settled.fills["order_id"].tolist() == before["order_id"].tolist()
    assert settled.money_micro.tolist() == [0, 0, 0]


def test_an_imbalance_is_reported(cleared):
    assert recut(cleared.fills, np.array([700, 0, 500])).pool_imbalance_wh == 200


@pytest.mark.parametrize(
    "accepted",
    [np.array([1, 2]), np.array([1.0, 2.0, 3.0]), np.array([701, -1, 0]), np.array([[1], [2], [3]])],
)
def test_accepted_energy_must_be_whole_and_within_the_fill(cleared, accepted):
    with pytest.raises(RangeError) as caught:
        check_accepted(cleared.fills, accepted)
    if accepted.shape == (3,) and accepted.dtype.kind == "i":
        assert len(caught.value.problems) == 2
