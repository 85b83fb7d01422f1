"""Tariffs, bills, indices and losses, against hand-made invoices."""

import numpy as np
import pytest

from market.bills import BillRow, Metered, bill_rows, losers, make_bill
from market.errors import BillingError
from market.indices import gini, jain
from market.losses import allocate_losses
from market.tariffs import PriceWindow, SupplyTariff

DAY = SupplyTariff(
    energy_micro_per_kwh=200_000,
    feed_in_micro_per_kwh=80_000,
    windows=(PriceWindow(22 * 3600, 6 * 3600, 120_000),),
    network_micro_per_kwh=70_000,
    network_micro_per_kw=1_000_000,
    fixed_micro_per_day=250_000,
    levies_micro_per_kwh=30_000,
    vat_ppm=190_000,
    local_network_discount_ppm=400_000,
    local_levy_discount_ppm=1_000_000,
)


def test_the_price_depends_on_the_time_of_day():
    assert [DAY.energy_price(h * 3600) for h in (0, 5, 6, 12, 22)] == [
        120_000,
        120_000,
        200_000,
        200_000,
        120_000,
    ]
    assert DAY.all_in(12 * 3600) == 357_000  # (0.20 + 0.07 + 0.03) * 1.19
    assert DAY.local_surcharge() == 49_980  # 0.07 * 0.6 * 1.19, no levies


def test_an_invoice_by_hand():
    """3 kWh from the supplier (1 at night), 2 kWh local for 0.30, 4 kWh fed in, 0.1 earned locally, peak 5 kW, 1 day."""
    metered = Metered([0, 43_200], [1_000, 2_000], [0, 2_000], [0, 4_000], 300_000, 100_000, 5_000, 1)
    bill = make_bill(metered, DAY)
    assert bill.supplier_energy == 120_000 + 400_000
    assert bill.network_energy == 210_000 + 2 * 42_000  # 40 % off for local energy
    assert bill.network_power == 5_000_000
    assert bill.network_fixed == 250_000
    assert bill.levies == 90_000
    # 19 % of 0.52 + 0.294 + 5 + 0.25 + 0.09 + 0.30 = 6.454
    assert bill.vat == 1_226_260
    assert bill.feed_in_income == -320_000
    assert bill.local_income == -100_000
    assert bill.total_micro == 6_454_000 + 1_226_260 - 420_000
    alone = make_bill(metered.without_market(), DAY)
    assert alone.supplier_energy == 120_000 + 800_000
    assert alone.levies == 150_000
    assert (alone.local_energy, alone.local_income) == (0, 0)


def test_lines_are_rounded_for_whoever_is_paid():
    tariff = SupplyTariff(1, 1, network_micro_per_kwh=1, levies_micro_per_kwh=1, vat_ppm=1)
    bill = make_bill(Metered([0], [1], [0], [1], 0, 0, 0, 0), tariff)
    assert (bill.supplier_energy, bill.network_energy, bill.levies, bill.vat, bill.feed_in_income) == (
        1,
        1,
        1,
        1,
        0,
    )


@pytest.mark.parametrize(
    "arguments",
    [{"vat_ppm": -1}, {"local_network_discount_ppm": 1_000_001}, {"energy_micro_per_kwh": 10**10},
     {"windows": (PriceWindow(0, 90_000, 1),)}],
)  # fmt: skip
def test_wrong_tariffs(arguments):
    with pytest.raises(BillingError, match="tariff:"):
        SupplyTariff(**{"energy_micro_per_kwh": 1, "feed_in_micro_per_kwh": 1, **arguments})


def test_wrong_meters():
    with pytest.raises(BillingError, match="one entry per interval"):
        Metered([0], [1, 2], [1], [1], 0, 0, 0, 0)
    with pytest.raises(BillingError, match="not be negative"):
        Metered([0], [-1], [1], [1], 0, 0, 0, 0)


def test_who_lost_comes_worst_first():
    rows = bill_rows({"b": 100, "a": 50, "c": 70}, {"auction": {"a": 60, "b": 90, "c": 90}})
    assert rows[0] == BillRow("a", 50, {"auction": 60})
    assert [row.saved_micro("auction") for row in rows] == [-10, 10, -20]
    assert losers(rows, "auction") == [("c", 20), ("a", 10)]
    with pytest.raises(BillingError, match="participants differ: c"):
        bill_rows({"a": 1}, {"m": {"a": 1, "c": 2}})


@pytest.mark.parametrize(
    ("values", "fair", "unequal"),
    [([5, 5, 5, 5], 1.0, 0.0), ([4, 0, 0, 0], 0.25, 0.75), ([0, 0], 1.0, 0.0), ([1, 2, 3], 36 / 42, 2 / 9)],
)
def test_indices_by_hand(values, fair, unequal):
    assert jain(values) == pytest.approx(fair)
    assert gini(values) == pytest.approx(unequal)


def test_gini_is_the_mean_absolute_difference():
    values = np.random.default_rng(1).integers(0, 1000, 40)
    brute = np.abs(values[:, None] - values[None, :]).sum() / (2 * values.size * values.sum())
    assert gini(values.tolist()) == pytest.approx(brute)


@pytest.mark.parametrize("index", [jain, gini])
def test_indices_refuse_what_has_no_meaning(index):
    for values in ([], [1, -1]):
        with pytest.raises(BillingError):
            index(values)


@pytest.mark.parametrize(
    ("rule", "sensitivity", "shares"),
    [
        ("use", None, [75, 25, 0]),
        ("exchange", None, [50, 17, 33]),  # 300, 100, 200 of 600
        ("marginal", [-20_000, -10_000, 30_000], [46, 8, 46]),  # 6, 1, 6 of 13; tie to the earlier
        ("marginal", [-20_000, -10_000, -5_000], [86, 14, 0]),  # the third lowers losses: it bears none
    ],
)
def test_losses_by_three_rules(rule, sensitivity, shares):
    given_ = None if sensitivity is None else np.array(sensitivity)
    assert allocate_losses(100, np.array([-300, -100, 200]), rule, given_).tolist() == shares
    assert sum(shares) == 100


@pytest.mark.parametrize(
    "arguments",
    [(1, [1], "x"), (-1, [1], "use"), (1, [1], "use"), (1, [-1], "marginal"), (1, [-1], "marginal", [1, 2])],
)
def test_losses_that_cannot_be_shared(arguments):
    with pytest.raises(BillingError):
        allocate_losses(*(np.array(a) if isinstance(a, list) else a for a in arguments))
