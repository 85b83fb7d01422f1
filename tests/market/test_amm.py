import random
from fractions import Fraction

import pytest

from market import amm_kernels as k
from market.ageing import ONE_Q32, hourly_retention_q32, retention
from market.amm import INITIAL_SHARES, DissipativePool
from market.claims import Claim, ClaimQueue
from market.errors import PoolRefusalError, RangeError, TariffError
from market.mechanism import Tariff


def pool(tariff, energy=20_000, capacity=100_000, fee=1_000):
    claims = (Claim(7, 2, energy),) if energy else ()
    return DissipativePool(tariff, capacity, fee, "anna", claims)


def snapshot(p):
    return p.state.tolist(), dict(p.shares), p.queue.claims(), p.frozen


def test_every_purchase_names_the_devices_behind_it(tariff):
    p = pool(tariff)
    p.sell(3_000, participant=4, device=1)
    swap = p.buy(21_000)
    assert swap.claims == (Claim(7, 2, 20_000), Claim(4, 1, 1_000))
    assert p.queue.claims() == (Claim(4, 1, 2_000),)
    assert p.energy_wh == p.queue.total_wh == 2_000


def test_quotes_are_what_is_executed(tariff):
    p = pool(tariff)
    quoted = p.quote_buy(500)
    bought = p.buy(500)
    assert (quoted.money_micro, quoted.fee_micro) == (bought.money_micro, bought.fee_micro)
    quoted = p.quote_sell(500)
    assert quoted == p.sell(500, 1, 1)


@pytest.mark.parametrize(
    ("operate", "code"),
    [
        (lambda p: p.buy(0), "not_positive"),
        (lambda p: p.buy(20_001), "larger_than_pool"),
        (lambda p: p.sell(10**7, 1, 1), "no_cash"),
        (lambda p: p.sell(2**70, 1, 1), "out_of_range"),
        (lambda p: p.buy(0.5), "out_of_range"),
        (lambda p: p.remove("nobody", 1), "no_shares"),
        (lambda p: p.remove("anna", INITIAL_SHARES + 1), "no_shares"),
        (lambda p: p.remove("anna", INITIAL_SHARES), "last_provider"),
        (lambda p: p.add("ben", 10**8, ()), "wrong_energy"),
        (lambda p: p.add("ben", 0, ()), "not_positive"),
        (lambda p: p.redeem("anna", 1), "open"),
        (lambda p: p.age(2, 1), "out_of_range"),
        (lambda p: p.tip(-1), "not_positive"),
    ],
)
def test_refusals_are_typed_and_change_nothing(tariff, operate, code):
    p = pool(tariff)
    before = snapshot(p)
    with pytest.raises(PoolRefusalError) as caught:
        operate(p)
    assert caught.value.code == code
    assert snapshot(p) == before


def test_an_empty_pool_sells_nothing_and_costs_retail(tariff):
    p = pool(tariff, energy=0)
    with pytest.raises(PoolRefusalError, match="larger_than_pool"):
        p.buy(1)
    assert p.price_micro_per_kwh == pytest.approx(320_000, rel=1e-4)
    assert p.price_micro_per_kwh <= 320_000


def test_ageing_keeps_the_price_releases_money_and_shrinks_claims(tariff):
    p = pool(tariff, energy=20_000)
    p.sell(10_000, 4, 1)
    price, cash, money = p.price_micro_per_kwh, p.cash_micro, p.money_micro
    lost, released = p.age(9, 10)
    assert lost == 3_000
    assert released == pytest.approx(cash / 10, abs=1)
    assert abs(p.price_micro_per_kwh / price - 1) < Fraction(1, 1_000_000)
    assert p.queue.claims() == (Claim(7, 2, 18_000), Claim(4, 1, 9_000))
    assert p.money_micro == money


def test_fifty_ticks_of_one_percent_leave_the_price_where_the_naive_pool_drifts(tariff):
    """x*y = k with sync: 0.99^-50 = 1.653 times the price, and nobody traded. Here: nothing but rounding."""
    from market.amm_naive import NaivePool

    p = pool(tariff, energy=10**7, capacity=4 * 10**7)
    naive = NaivePool(10**7, 2 * 10**9, 0)
    opening, start = naive.price_micro_per_kwh, p.price_micro_per_kwh
    for _ in range(50):
        p.age(99, 100)
        naive.age(99, 100)
    assert naive.price_micro_per_kwh / opening == pytest.approx(0.99**-50, rel=1e-5)
    assert abs(p.price_micro_per_kwh / start - 1) < Fraction(1, 10_000_000)


def test_negative_prices_work_on_a_shifted_curve():
    """Feed-in -50, so the price may fall below zero: who buys is paid, and real cash never runs out."""
    rng = random.Random(5)
    paid = 0
    for _ in range(30):
        p = DissipativePool(Tariff(200_000, -50_000), 50_000, 100, "anna", (Claim(1, 1, 40_000),))
        money = p.cash_micro
        assert p.price_micro_per_kwh >= -50_000
        for _ in range(40):
            energy = rng.randrange(1, 6_000)
            try:
                if rng.random() < 0.5:
                    swap = p.buy(energy)
                    money += swap.money_micro
                    paid += swap.money_micro < 0
                else:
                    money -= p.sell(energy, 2, 1).money_micro
            except PoolRefusalError:
                continue
            assert p.cash_micro + p.owed_micro == money
            assert p.cash_micro >= 0
            assert -50_000 <= p.price_micro_per_kwh <= 200_000
        p.close()
        assert p.cash_micro >= 0
    assert paid > 20


def test_providers_share_in_proportion_and_rounding_favours_those_who_stay(tariff):
    p = pool(tariff, energy=19_999)
    p.buy(5_000)
    price, before = p.price_micro_per_kwh, (p.energy_wh, p.cash_micro, p.owed_micro)
    needed = p.liquidity_needed(INITIAL_SHARES // 3)
    p.add("ben", INITIAL_SHARES // 3, (Claim(3, 2, needed.energy_wh),))
    assert needed.energy_wh == -(-before[0] * (INITIAL_SHARES // 3) // INITIAL_SHARES)
    assert abs(p.price_micro_per_kwh / price - 1) < Fraction(1, 10_000)  # the whole Wh that is rounded up
    back = p.remove("ben", INITIAL_SHARES // 3)
    assert back.energy_wh <= needed.energy_wh
    assert 0 <= needed.money_micro - back.money_micro <= 5
    assert p.energy_wh >= before[0]
    assert p.cash_micro + p.owed_micro >= before[1] + before[2]
    assert "ben" not in p.shares
    with pytest.raises(PoolRefusalError, match="ben holds 0 shares"):
        p.remove("ben", 1)


def test_who_leaves_never_takes_more_than_his_part_of_the_money(tariff):
    """Money per share of those who stay does not fall, in millionths of a micro: rounded up it would, by a fraction."""
    p, rng = pool(tariff, energy=19_999), random.Random(31)
    p.add("ben", INITIAL_SHARES, (Claim(3, 2, p.liquidity_needed(INITIAL_SHARES).energy_wh),))
    for _ in range(60):
        p.buy(rng.randrange(1, 200))
        p.sell(rng.randrange(1, 200), 4, 2)
        fine, total = sum(int(p.state[i]) for i in (k.CASH, k.FEES, k.RELEASED)), p.total_shares
        price = p.price_micro_per_kwh
        p.remove(
            "ben", rng.randrange(1, INITIAL_SHARES // 100)
        )  # once refused: admission's two ends took turns
        assert abs(p.price_micro_per_kwh / price - 1) < 1e-5
        assert 80_000 <= p.price_micro_per_kwh <= 320_000
        left = sum(int(p.state[i]) for i in (k.CASH, k.FEES, k.RELEASED))
        assert left * total >= fine * p.total_shares


def test_the_close_settles_the_residual_and_redemption_pays_all_but_dust(tariff):
    p = pool(tariff, energy=10_000)
    p.buy(2_500)
    needed = p.liquidity_needed(10**8)
    p.add("ben", 10**8, (Claim(3, 2, needed.energy_wh),))
    p.freeze()
    with pytest.raises(PoolRefusalError, match="frozen"):
        p.liquidity_needed(1)
    p.buy(100)  # a frozen pool still trades
    energy, cash, owed = p.energy_wh, p.cash_micro, p.owed_micro
    claims = p.close()
    assert sum(c.energy_wh for c in claims) == energy
    assert p.money_micro == cash + owed + 80_000 * energy // 1000
    for operate in (
        lambda: p.buy(1),
        lambda: p.sell(1, 1, 1),
        lambda: p.age(1, 2),
        p.close,
        lambda: p.add("c", 1, ()),
    ):
        with pytest.raises(PoolRefusalError, match="closed"):
            operate()
    everything = p.money_micro
    paid = p.redeem("ben", 10**8) + p.redeem("anna", INITIAL_SHARES)
    assert paid == everything
    assert p.cash_micro + p.owed_micro == 0


def test_a_curtailed_residual_brings_nothing(tariff):
    p = pool(tariff, energy=10_000)
    money = p.money_micro
    p.close(curtailed=True)
    assert p.money_micro == money


@pytest.mark.parametrize(
    ("capacity", "fee", "tariff"),
    [
        (0, 1_000, Tariff(9, 1)),
        (10, 0, Tariff(9000, 1000)),
        (10, 1, Tariff(5, 5)),
        (2**60, 1, Tariff(9000, 1000)),
    ],
)
def test_a_pool_that_cannot_be_is_refused(capacity, fee, tariff):
    with pytest.raises(RangeError):
        DissipativePool(tariff, capacity, fee, "anna")


def test_a_pool_needs_a_band():
    with pytest.raises(TariffError):
        DissipativePool(Tariff(1, 2), 1000, 1, "anna")


def test_claims_are_first_in_first_out_and_shrink_in_proportion():
    queue = ClaimQueue()
    for row, energy in enumerate((5, 3, 2)):
        queue.add(Claim(row, 0, energy))
    assert queue.take(6) == (Claim(0, 0, 5), Claim(1, 0, 1))
    queue.shrink(1)  # 2 and 2 left: the older one loses the odd Wh
    assert queue.claims() == (Claim(1, 0, 1), Claim(2, 0, 2))
    for wrong in (
        lambda: queue.take(4),
        lambda: queue.take(-1),
        lambda: queue.shrink(4),
        lambda: queue.add(Claim(0, 0, 0)),
    ):
        with pytest.raises(RangeError):
            wrong()
    assert queue.total_wh == 3


def test_retention_is_self_discharge_times_what_is_left_of_the_slot():
    assert hourly_retention_q32(100_000, 2) == ONE_Q32 * 9 // 10 * 9 // 10
    exact = Fraction(*retention(100_000, 0, 7200, 100_000, 100_900))
    assert exact == pytest.approx(0.81, abs=1e-9)
    # in the running slot 300 of 900 seconds have passed
    assert Fraction(*retention(0, 1000, 1300, 1000, 1900)) == pytest.approx(2 / 3, abs=1e-9)
    # both: half an hour of 10 %/h, of which the last 5 of 15 minutes run
    both = Fraction(*retention(100_000, 0, 1800, 1500, 2400))
    assert both == pytest.approx(0.95 * 2 / 3, abs=1e-9)
    for wrong in ((0, 5, 4, 0, 9), (0, 0, 9, 0, 9), (0, 0, 1, 9, 9)):
        with pytest.raises(RangeError):
            retention(*wrong)
    with pytest.raises(RangeError):
        hourly_retention_q32(-1, 1)
