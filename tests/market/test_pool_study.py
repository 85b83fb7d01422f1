"""Three ageing pools on the same orders: what drifts, who gains by it, and that nothing is made of nothing."""

import numpy as np
import pytest

from market.errors import ParameterError
from market.mechanism import Tariff
from market.orders import BUY, SELL
from market.pool_study import POOLS, PoolStudy, StudySettings, opening_energy_wh

QUARTER = 900


@pytest.fixture
def nobody(orders):
    return lambda interval: orders(interval=interval)


def run(settings, tariff, books, price=200_000):
    study = PoolStudy(settings, QUARTER)
    for interval, book in enumerate(books):
        study.step(book, tariff, interval, price)
    return {name: [row for row in study.rows if row.pool == name] for name in POOLS}


def test_only_the_naive_price_drifts_when_nobody_trades(tariff, nobody):
    """Four intervals without self-discharge: kept are 3/4, 2/3, 1/2, so x y = k rises by 4/3, 3/2 and 2."""
    settings = StudySettings(slot_intervals=4, self_discharge_ppm_per_h=0, arbitrage_wh=0)
    rows = run(settings, tariff, [nobody(k) for k in range(4)])
    assert [r.drift_ppm for r in rows["naive"]] == pytest.approx([0, 333_333, 500_000, 1_000_000], abs=400)
    assert all(abs(r.drift_ppm) <= 1 for r in rows["dissipative"]), "whole Wh are lost, the price stays"
    assert [r.drift_ppm for r in rows["expiring"]] == [0] * 4
    assert [r.unbacked_wh > 0 for r in rows["expiring"]] == [False, True, True, True]
    for name in ("dissipative", "naive"):
        lost = sum(r.fed_in_wh for r in rows[name])
        assert lost + rows[name][-1].energy_wh == rows[name][0].energy_wh
        assert {r.unbacked_wh for r in rows[name]} == {0}
    # nobody traded: whoever brought the energy gets the feed-in price for it and gains nothing but rounding
    for mine in rows.values():
        assert sum(r.provider_profit_micro for r in mine) == pytest.approx(0, abs=5)


def test_self_discharge_is_told_apart_from_what_was_fed_in(tariff, nobody):
    """1 % per hour, of which a quarter of an hour: 0.25 % of what was there, before a fourth is gone."""
    settings = StudySettings(40_000, slot_intervals=4, self_discharge_ppm_per_h=10_000, arbitrage_wh=0)
    rows = run(settings, tariff, [nobody(k) for k in range(2)])
    for mine in rows.values():
        before = mine[0].energy_wh
        assert mine[1].dissipated_wh == pytest.approx(before * 0.0025, abs=1.01)
        assert mine[1].dissipated_wh + mine[1].fed_in_wh == pytest.approx(
            before * (1 - 0.9975 * 3 / 4), abs=1.01
        )
        assert mine[1].provider_profit_micro == pytest.approx(-80 * mine[1].dissipated_wh, abs=100)


def test_the_arbitrageur_lives_on_the_naive_drift(tariff, nobody):
    settings = StudySettings(slot_intervals=8, self_discharge_ppm_per_h=0, arbitrage_wh=20_000)
    rows = run(settings, tariff, [nobody(k) for k in range(16)])
    profit = {name: sum(r.arbitrage_profit_micro for r in mine) for name, mine in rows.items()}
    assert profit["dissipative"] < 100 < 100_000 < profit["naive"]
    assert all(r.off_fair_ppm <= 2_000 for r in rows["dissipative"])
    assert max(r.off_fair_ppm for r in rows["naive"]) > 900_000
    assert [r.drift_ppm for r in rows["naive"] if r.interval in (0, 8)] == [0, 0], "a new slot, a new pool"


def test_money_and_energy_are_conserved(tariff, random_book):
    """Traders' money is recomputed from the pool's own books: what one side pays the other has."""
    rng = np.random.default_rng(3)
    books = [random_book(rng, 12, most_wh=800, interval=k) for k in range(12)]
    for book in books:
        book["price_micro_per_kwh"] = np.where(book["side"] == SELL, 80_000, 320_000)
    settings = StudySettings(slot_intervals=6, self_discharge_ppm_per_h=50_000)
    study = PoolStudy(settings, QUARTER)
    for interval, book in enumerate(books):
        before = {name: (s.pool.energy_wh, s.backing_wh) for name, s in study._slots.items()}
        rows = study.step(book, tariff, interval, 150_000 + 5_000 * interval)
        for row in rows:
            assert 0 <= row.bought_wh <= book["energy_wh"][book["side"] == BUY].sum()
            assert 0 <= row.sold_wh <= book["energy_wh"][book["side"] == SELL].sum()
            slot = study._slots.get(row.pool)
            if slot is None or row.pool not in before:
                continue
            _, backing = before[row.pool]
            moved = slot.backing_wh - backing + row.dissipated_wh + row.fed_in_wh
            outside = moved - row.sold_wh + row.bought_wh
            assert abs(outside) <= settings.arbitrage_wh
            if row.pool != "expiring":
                assert slot.backing_wh == slot.pool.energy_wh and row.unbacked_wh == 0
    assert sum(r.bought_wh for r in study.rows) > 10_000 < sum(r.sold_wh for r in study.rows)


def test_what_is_oversold_costs_the_provider_the_retail_price(tariff, orders):
    """The expiring pool sells its opening energy in the last interval, when a quarter of it is left."""
    settings = StudySettings(slot_intervals=4, self_discharge_ppm_per_h=0, arbitrage_wh=0, fee_ppm=1)
    study = PoolStudy(settings, QUARTER)
    for interval in range(3):
        study.step(orders(interval=interval), tariff, interval, 200_000)
    slot = study._slots["expiring"]
    opening, left, money = slot.pool.energy_wh, slot.backing_wh, slot.pool.money_micro
    assert left == pytest.approx(opening / 2, abs=2)
    most = opening // 2
    book = orders((BUY, most, 10**9), interval=3)
    row = study.step(book, tariff, 3, 200_000)[2]
    assert row.bought_wh == most
    short = most - (left - row.fed_in_wh)
    assert short > 0
    paid = -(-money * most // (opening - most))
    total = sum(r.provider_profit_micro for r in study.rows if r.pool == "expiring")
    fed_in = sum(r.fed_in_wh for r in study.rows if r.pool == "expiring")
    assert total == pytest.approx(paid + 80 * fed_in - 320 * short - 80 * opening, abs=2_000)


def test_limits_are_kept(tariff, orders):
    study = PoolStudy(StudySettings(arbitrage_wh=0), QUARTER)
    study.step(orders((BUY, 500, 150_000), (SELL, 500, 250_000)), tariff, 0, 200_000)
    assert [(r.bought_wh, r.sold_wh) for r in study.rows] == [(0, 0)] * 3


@pytest.mark.parametrize("fair", [80_000, 123_457, 200_000, 320_000])
def test_pools_open_at_the_fair_price(tariff, nobody, fair):
    row = run(StudySettings(arbitrage_wh=0), tariff, [nobody(0)], fair)
    for mine in row.values():
        assert mine[0].aged_micro_per_kwh == pytest.approx(fair, rel=2e-3 if fair < 320_000 else 0.02)
    assert opening_energy_wh(tariff, StudySettings(), 320_000) == 200, "never empty"
    assert opening_energy_wh(tariff, StudySettings(), 80_000) >= 19_998


def test_without_a_price_the_last_one_counts_and_then_the_middle(tariff, nobody):
    study = PoolStudy(StudySettings(), QUARTER)
    assert study.step(nobody(0), tariff, 0, None)[0].fair_micro_per_kwh == 200_000
    study.step(nobody(1), tariff, 1, 170_000)
    assert study.step(nobody(2), tariff, 2, None)[0].fair_micro_per_kwh == 170_000
    assert study.step(nobody(3), Tariff(150_000, 80_000), 3, None)[0].fair_micro_per_kwh == 150_000


@pytest.mark.parametrize("wrong", [{"capacity_wh": 0}, {"fee_ppm": 0}, {"slot_intervals": 0}, {"arbitrage_wh": -1},
                                   {"self_discharge_ppm_per_h": 1_000_001}, {"fee_ppm": 1_000_000}])  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ParameterError):
        StudySettings(**wrong)
