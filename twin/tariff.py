"""The supplier's prices over time, in whole millionths per kWh."""

from decimal import Decimal

import numpy as np

from adapters.grid.feeder import IntArray
from twin.scenario.market_section import SupplierSection

DAY_S = 86400


def micro(price: Decimal) -> int:
    """A decimal price as whole millionths. The schema allows at most six decimals, so this is exact."""
    return int(price * 1_000_000)


class SupplierTariff:
    """Retail price (with an optional night price) and feed-in price at any simulation second."""

    def __init__(self, section: SupplierSection, day_start_s: int) -> None:
        self._day = micro(section.retail_price_eur_per_kwh)
        night = section.night_price_eur_per_kwh
        self._night = self._day if night is None else micro(night)
        self._from_s = round(section.night_from_h * 3600)
        self._length_s = (round(section.night_to_h * 3600) - self._from_s) % DAY_S
        self._day_start_s = day_start_s
        self.feed_in_micro = micro(section.feed_in_price_eur_per_kwh)
        self._flat: dict[int, IntArray] = {}  # by price: everybody's least, where no cheaper one is to come

    def retail_micro(self, time_s: int) -> int:
        """Retail price at a simulation second."""
        into = (self._day_start_s + time_s - self._from_s) % DAY_S
        return self._night if into < self._length_s else self._day

    def least_retail_micro(self, time_s: int, until_s: IntArray) -> IntArray:
        """Least retail price in [time_s, until_s); (n,), not to be written to."""
        now = self.retail_micro(time_s)
        into = (self._day_start_s + time_s - self._from_s) % DAY_S
        at_night = into < self._length_s and self._length_s > 0
        # when the price changes next, and whether each stay lasts until then
        change_s = time_s + (self._length_s - into if at_night else DAY_S - into)
        other = self._day if at_night else self._night
        if other >= now:
            if now not in self._flat or len(self._flat[now]) != len(until_s):
                self._flat[now] = np.full(len(until_s), now, dtype=np.int64)
                self._flat[now].flags.writeable = False
            return self._flat[now]
        reaches = (until_s > change_s) & (self._length_s > 0)
        return np.where(reaches, other, now).astype(np.int64)
