import numpy as np
import pytest

from market.call_auction import CallAuction, clear_call
from market.errors import OrderError
from market.money import fills_money_micro
from market.orders import BUY, POOL, SELL, empty_orders
from market.welfare import optimum, welfare_micro


def by_order(clearing):
    return dict(zip(clearing.fills["order_id"].tolist(), clearing.fills["energy_wh"].tolist(), strict=True))


def test_bichler_2021_figure_5a(orders, tariff):
    """M. Bichler et al., 'Electricity spot market design 2030-2050' (2021), figure 5a: price 40, volume 10."""
    book = orders((BUY, 10, 300), (BUY, 14, 10), (SELL, 1, 40), (SELL, 11, 40), (SELL, 13, 100))
    for k in (0, 500_000, 1_000_000):
        clearing = CallAuction(k_ppm=k).clear(book, tariff, 0)
        assert (clearing.price_micro_per_kwh, clearing.volume_wh) == (40, 10)
        assert by_order(clearing) == {0: 10, 2: 1, 3: 9}


def test_k_moves_the_price_through_the_clearing_interval(orders, tariff):
    """b* = 30, s* = 10, next bid 14, next ask 25: the interval is [14, 25], so k = 1/2 gives 19.5 -> 19."""
    book = orders((BUY, 5, 30), (BUY, 5, 14), (SELL, 5, 10), (SELL, 5, 25))
    prices = [CallAuction(k_ppm=k).clear(book, tariff, 0).price_micro_per_kwh for k in (0, 500_000, 10**6)]
    assert prices == [14, 19, 25]


def test_the_margin_is_served_by_time_then_id(orders, tariff):
    book = orders((BUY, 10, 50), (SELL, 6, 20, 1, 7), (SELL, 6, 20, 2, 3), (SELL, 6, 20, 3, 3))
    assert by_order(CallAuction().clear(book, tariff, 0)) == {0: 10, 2: 6, 3: 4}


def test_the_margin_in_proportion_with_the_largest_remainder(orders, tariff):
    """10 Wh over 6, 6 and 3: exact 4, 4, 2; over 5, 5, 3: 3.85, 3.85, 2.31 -> 4, 4, 2."""
    auction = CallAuction(rationing="pro_rata")
    book = orders((BUY, 10, 50), (SELL, 6, 20), (SELL, 6, 20), (SELL, 3, 20))
    assert by_order(auction.clear(book, tariff, 0)) == {0: 10, 1: 4, 2: 4, 3: 2}
    book = orders((BUY, 10, 50), (SELL, 5, 20), (SELL, 5, 20), (SELL, 3, 20))
    assert by_order(auction.clear(book, tariff, 0)) == {0: 10, 1: 4, 2: 4, 3: 2}


@pytest.mark.parametrize("rows", [[], [(SELL, 5, 10)], [(BUY, 5, 10)], [(SELL, 5, 11), (BUY, 5, 10)]])
def test_nothing_trades_in_an_empty_one_sided_or_uncrossed_book(orders, tariff, rows):
    clearing = CallAuction().clear(orders(*rows), tariff, 0)
    assert (clearing.price_micro_per_kwh, clearing.volume_wh, clearing.fills.size) == (None, 0, 0)


def test_negative_prices_clear(orders, tariff):
    clearing = CallAuction(k_ppm=0).clear(orders((SELL, 7, -300), (BUY, 7, -100)), tariff, 0)
    assert clearing.price_micro_per_kwh == -300
    assert fills_money_micro(clearing.fills).tolist() == [-3, 2]  # floor(-2.1), floor(2.1)
    assert clearing.residue_micro == 1


def test_limits_off_the_tick_are_refused_and_prices_are_on_it(orders, tariff):
    auction = CallAuction(tick_micro_per_kwh=100)
    with pytest.raises(OrderError, match="multiple of the tick 100") as caught:
        auction.clear(orders((SELL, 1, 150), (BUY, 1, 250), (BUY, 1, 200)), tariff, 0)
    assert len(caught.value.problems) == 2
    assert auction.clear(orders((SELL, 1, 100), (BUY, 1, 400)), tariff, 0).price_micro_per_kwh == 200


def test_rows_may_stand_in_any_order(random_book, tariff):
    rng = np.random.default_rng(5)
    book = random_book(rng, 60, high=81_000)
    first = CallAuction().clear(book, tariff, 0)
    for _ in range(5):
        again = CallAuction().clear(book[rng.permutation(60)], tariff, 0)
        assert again.price_micro_per_kwh == first.price_micro_per_kwh
        assert by_order(again) == by_order(first)


def test_fills_carry_the_order_and_keep_its_limit(random_book, tariff, count):
    rng = np.random.default_rng(2)
    for _ in range(count(100)):
        book = random_book(rng, rng.integers(2, 80))
        clearing = CallAuction().clear(book, tariff, 0)
        fills = clearing.fills
        rows = {int(o["id"]): o for o in book}
        for fill in fills:
            order = rows[int(fill["order_id"])]
            for column in ("participant", "side", "device", "flexible", "interval"):
                assert fill[column] == order[column]
            assert fill["limit_micro_per_kwh"] == order["price_micro_per_kwh"]
            assert 0 < fill["energy_wh"] <= order["energy_wh"]
            assert fill["counterparty"] == POOL
            assert (fill["limit_micro_per_kwh"] - fill["price_micro_per_kwh"]) * fill["side"] <= 0
        sold = fills["energy_wh"][fills["side"] == SELL].sum()
        assert sold == fills["energy_wh"][fills["side"] == BUY].sum() == clearing.volume_wh
        assert clearing.residue_micro == -fills_money_micro(fills).sum() >= 0


@pytest.fixture(scope="module")
def highs():
    """HiGHS itself: importing it through scipy takes longer than 300 books."""
    import highspy

    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    return solver


def minimise(highs, cost, lower, upper, matrix, row_lower, row_upper):
    """Solve a linear programme with a dense matrix; return (value, solution)."""
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(cost), len(row_lower)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower, upper
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.arange(len(row_lower) + 1) * len(cost)
    lp.a_matrix_.index_ = np.tile(np.arange(len(cost)), len(row_lower))
    lp.a_matrix_.value_ = matrix.ravel()
    highs.passModel(lp)
    return again(highs)


def again(highs):
    import highspy

    highs.run()
    assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return highs.getInfo().objective_function_value, highs.getSolution().col_value


def welfare_lp(highs, book):
    """Welfare optimum and the duals of the balance from HiGHS, as (welfare, lowest dual, highest dual)."""
    side, energy, limit = (book[c].astype(float) for c in ("side", "energy_wh", "price_micro_per_kwh"))
    n, infinite = book.size, np.inf
    cost, _ = minimise(highs, side * limit, 0 * energy, energy, side[None, :], [0.0], [0.0])
    # dual: min sum energy_i mu_i with mu_i >= -side_i (limit_i - p), mu >= 0; its optimal p form an interval
    matrix = np.vstack([np.hstack([-np.eye(n), side[:, None]]), np.r_[energy, 0.0]])
    bound = np.r_[side * limit, -cost + 1e-9 * max(1.0, -cost)]
    price = np.r_[np.zeros(n), 1.0]
    low = minimise(highs, price, np.r_[np.zeros(n), -1e4], np.r_[np.full(n, infinite), 1e4], matrix,
                   np.full(n + 1, -infinite), bound)[1][-1]  # fmt: skip
    highs.changeColCost(n, -1.0)
    return -cost, low, again(highs)[1][-1]


@pytest.mark.parametrize("books", [100, pytest.param(300, marks=pytest.mark.slow)])
def test_welfare_is_the_lp_optimum_and_the_price_lies_between_its_duals(
    highs, random_book, tariff, count, books
):
    rng = np.random.default_rng(300)
    for _ in range(count(books, 20)):
        book = random_book(rng, int(rng.integers(2, 40)), low=80, high=320, most_wh=50)
        welfare, low, high = welfare_lp(highs, book)
        clearing = CallAuction().clear(book, tariff, 0)
        fills = clearing.fills
        mine = -(fills["side"] * fills["energy_wh"] * fills["limit_micro_per_kwh"]).sum()
        assert mine == round(welfare)
        best = optimum(book)
        assert best.welfare_micro == welfare_micro(fills) == mine // 1000
        if clearing.price_micro_per_kwh is not None:
            assert low - 1e-3 <= clearing.price_micro_per_kwh <= high + 1e-3
            # the ends as well: k = 0 and k = 1 are the lowest and highest dual
            assert best.low_price_micro_per_kwh == pytest.approx(low, abs=0.01)
            assert best.high_price_micro_per_kwh == pytest.approx(high, abs=0.01)


def test_wide_and_narrow_price_ranges_clear_alike(random_book, count):
    """A narrow range is a histogram of every tick, a wide one of the prices met: the same result."""
    rng = np.random.default_rng(9)
    for _ in range(count(50, 5)):
        book = random_book(rng, 50, low=1_000, high=1_050)
        wide = np.concatenate((book, empty_orders(2)))
        wide[-2] = (10**6, 0, SELL, 0, True, 1, 10**9, 0, 0)
        wide[-1] = (10**6 + 1, 0, BUY, 0, True, 1, -(10**9), 0, 0)
        price, volume, accepted = clear_call(book, 500_000, 1, False)
        again = clear_call(wide, 500_000, 1, False)
        assert (price, volume) == again[:2]
        assert accepted.tolist() == again[2][:-2].tolist()
