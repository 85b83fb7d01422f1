"""The supplier's prices against a minute-by-minute reference."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.scenario.market_section import SupplierSection
from twin.tariff import SupplierTariff, micro


def section(**keys):
    return SupplierSection(
        **{"retail_price_eur_per_kwh": "0.32", "feed_in_price_eur_per_kwh": "0.08", **keys}
    )


def slow(night_from_h, night_to_h, second_of_day, day, night):
    """Hour by hour around the clock from the begin of the night."""
    at, h = night_from_h * 3600, 0
    while (at + h) % 86400 != night_to_h * 3600 % 86400:
        if (at + h) % 86400 == second_of_day % 86400:
            return night
        h += 900
    return day


def test_prices_are_exact_integers():
    assert micro(Decimal("0.320001")) == 320001
    tariff = SupplierTariff(section(), 0)
    assert (tariff.retail_micro(0), tariff.retail_micro(86399), tariff.feed_in_micro) == (
        320000,
        320000,
        80000,
    )


@pytest.mark.parametrize(
    "local_h, expected",
    [(21.75, 320000), (22, 200000), (23.75, 200000), (0, 200000), (5.75, 200000), (6, 320000)],
)
def test_the_night_goes_over_midnight(local_h, expected):
    tariff = SupplierTariff(section(night_price_eur_per_kwh="0.20", night_from_h=22, night_to_h=6), 12 * 3600)
    assert tariff.retail_micro(round(((local_h - 12) % 24) * 3600)) == expected


@settings(max_examples=200, deadline=None)
@given(
    begin=st.integers(0, 95), end=st.integers(0, 95), start=st.integers(0, 95), now=st.integers(0, 300),
    stay=st.integers(0, 96), night=st.sampled_from(["0.20", "0.45"]),
)  # fmt: skip
def test_least_price_of_a_stay(begin, end, start, now, stay, night):
    tariff = SupplierTariff(
        section(night_price_eur_per_kwh=night, night_from_h=begin / 4, night_to_h=end / 4), start * 900
    )
    prices = [
        slow(begin / 4, end / 4, (start + now + k) * 900, 320000, micro(Decimal(night)))
        for k in range(max(1, stay))
    ]
    assert tariff.retail_micro(now * 900) == prices[0]
    least = tariff.least_retail_micro(now * 900, np.array([(now + stay) * 900, 0]))
    assert least.tolist() == [min(prices), prices[0]]


@pytest.mark.parametrize("key", ["retail_price_eur_per_kwh", "night_price_eur_per_kwh"])
def test_a_price_below_feed_in_is_refused(key):
    with pytest.raises(ValueError, match=f"{key} .* must not be below"):
        section(**{key: "0.05"})
