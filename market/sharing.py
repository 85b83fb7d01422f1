"""Ex-post energy sharing by coefficients: the legal form of collective self-consumption in the European Union.

Production of an interval is assigned to members after metering, by coefficients that were agreed before:
static (fixed parts, what a member cannot use is exported), dynamic (in proportion to use), or hybrid (fixed parts
first, what is left over in proportion to the use not yet covered).

Source: Directive (EU) 2024/1711, which puts energy sharing into art. 15a of Directive (EU) 2019/944; static and
dynamic keys as in French collective self-consumption and Austrian energy communities.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from market.errors import ParameterError
from market.fills import fills_at
from market.mechanism import Clearing, Tariff
from market.money import residue_micro
from market.orders import BUY, SELL, Orders
from market.shares import largest_remainder
from market.validate import check_orders, check_tariff

Key = Literal["static", "dynamic", "hybrid"]
MILLION = 1_000_000


def assign(production_wh: int, use_wh: Sequence[int], key: Key, static_ppm: Sequence[int]) -> list[int]:
    """Return the whole Wh of ``production_wh`` assigned to each member, never more than the member uses.

    Args:
        production_wh: production to share, >= 0.
        use_wh: metered (or ordered) use per member.
        key: which coefficients count.
        static_ppm: agreed part per member in millionths; ignored by 'dynamic'.

    Raises:
        ParameterError: Coefficients that are negative, of the wrong number, or add up to more than one.
    """
    if key == "dynamic":
        return largest_remainder(min(production_wh, sum(use_wh)), use_wh)
    if len(static_ppm) != len(use_wh) or min(static_ppm, default=0) < 0 or sum(static_ppm) > MILLION:
        raise ParameterError(
            f"sharing: {len(static_ppm)} coefficients with sum {sum(static_ppm)} ppm for {len(use_wh)} members; "
            f"needs one per member, >= 0, sum <= {MILLION}"
        )
    parts = [min(use, production_wh * c // MILLION) for use, c in zip(use_wh, static_ppm, strict=True)]
    if key == "static":
        return parts
    open_wh = [use - part for use, part in zip(use_wh, parts, strict=True)]
    more = largest_remainder(min(production_wh - sum(parts), sum(open_wh)), open_wh)
    return [part + extra for part, extra in zip(parts, more, strict=True)]


class SharingCoefficients:
    """Energy sharing as a mechanism: orders are use and production, limits do not count, one agreed price.

    Args:
        key: 'static', 'dynamic' or 'hybrid'.
        price_ppm_of_band: agreed price between feed-in (0) and retail (1_000_000).
        coefficients_ppm: part per participant row; default: equal parts among those who have ever used energy in
            the interval (which is then a static key over the members present).
    """

    def __init__(
        self,
        key: Key = "dynamic",
        price_ppm_of_band: int = 500_000,
        coefficients_ppm: Mapping[int, int] | None = None,
    ) -> None:
        self.name = "sharing_coefficients"
        self._key: Key = key
        self._price_ppm = price_ppm_of_band
        self._coefficients = coefficients_ppm

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Assign the production of the interval. Raises ``OrderError`` or ``TariffError`` on invalid input."""
        check_orders(orders, interval)
        check_tariff(tariff)
        buys, sells = (np.flatnonzero(orders["side"] == side) for side in (BUY, SELL))
        buys, sells = (rows[np.argsort(orders["id"][rows], kind="stable")] for rows in (buys, sells))
        use, made = orders["energy_wh"][buys].tolist(), orders["energy_wh"][sells].tolist()
        parts = assign(sum(made), use, self._key, self._static(orders["participant"][buys].tolist(), use))
        accepted = np.zeros(orders.size, dtype=np.int64)
        accepted[buys] = parts
        accepted[sells] = largest_remainder(sum(parts), made)
        volume = sum(parts)
        low, high = tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh
        price = low + (high - low) * self._price_ppm // MILLION
        fills = fills_at(orders, accepted, price, price)
        if volume == 0:
            return Clearing(fills, None, 0)
        details = {"supply_wh": sum(made), "demand_wh": sum(use), "assigned_wh": volume}
        return Clearing(fills, price, volume, residue_micro(fills), details)

    def _static(self, participants: list[int], use: list[int]) -> list[int]:
        """Return the coefficient of every order: a participant's part, split over its orders by energy."""
        if self._key == "dynamic":
            return []
        members = sorted(set(participants))
        part = self._coefficients or {m: MILLION // len(members) for m in members}
        coefficients = [0] * len(use)
        for member in members:
            own = [i for i, p in enumerate(participants) if p == member]
            split = largest_remainder(part.get(member, 0), [use[i] for i in own])
            for i, ppm in zip(own, split, strict=True):
                coefficients[i] = ppm
        return coefficients
