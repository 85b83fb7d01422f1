"""Whole bills of a run: what the ledger booked, with network, levies and VAT on top, and who bears the losses.

The ledger books energy at the supplier's price of each interval; here its amounts are collected per participant, all
of them whole numbers. Network charges and levies are due on what the meter shows as import: on the part that local
trades cover at their discount.
"""

from dataclasses import dataclass
from decimal import Decimal
from math import floor, isfinite
from typing import Any

import numpy as np
from numba import njit

from adapters.grid.feeder import IntArray
from market.bills import Bill, Metered, make_bill
from market.indices import gini, jain
from market.losses import allocate_losses, can_bear
from market.tariffs import SupplyTariff
from twin.scenario.market_section import BillSection, SupplierSection
from twin.tariff import DAY_S, micro

SETTLED, SUPPLIER_ONLY = "settled", "supplier_only"
LINES = (
    "supplier_energy", "local_energy", "network_energy", "network_power", "network_fixed", "levies", "vat",
    "feed_in_income", "local_income",
)  # fmt: skip


def supply_tariff(section: BillSection, supplier: SupplierSection) -> SupplyTariff:
    """The tariff of a scenario; its energy price is the day's (the ledger has booked energy by time of use)."""
    return SupplyTariff(
        energy_micro_per_kwh=micro(supplier.retail_price_eur_per_kwh),
        feed_in_micro_per_kwh=micro(supplier.feed_in_price_eur_per_kwh),
        network_micro_per_kwh=micro(section.network_eur_per_kwh),
        network_micro_per_kw=micro(section.network_eur_per_kw),
        fixed_micro_per_day=micro(section.fixed_eur_per_day),
        levies_micro_per_kwh=micro(section.levies_eur_per_kwh),
        vat_ppm=_ppm(section.vat_percent),
        local_network_discount_ppm=_ppm(section.local_network_discount_percent),
        local_levy_discount_ppm=_ppm(section.local_levy_discount_percent),
        vat_on_local=section.vat_on_local,
    )


def _ppm(percent: Decimal) -> int:
    """A percentage as whole millionths. The schema allows at most four decimals, so this is exact."""
    return int(percent * 10_000)


@dataclass(frozen=True)
class Booked:
    """What an interval adds to the bills; (n,) each. Money is signed, + received."""

    metered_wh: IntArray
    traded_wh: IntArray
    local_paid_micro: IntArray  # >= 0 at positive prices
    local_received_micro: IntArray
    rest_wh: IntArray  # what no local trade covers, + to the supplier
    rest_micro: IntArray
    alone_micro: IntArray  # all of the metered energy with the supplier


_SUMS = (
    "drawn_wh", "local_wh", "paid", "received", "energy", "feed_in", "energy_alone", "feed_in_alone", "peak_wh",
)  # fmt: skip


@njit(cache=True)
def _add(sums, metered_wh, traded_wh, paid, received, rest_wh, rest, alone):  # type: ignore[no-untyped-def]
    """Add one interval to the sums (rows in the order of ``_SUMS``), in place."""
    for i in range(metered_wh.size):
        drawn = max(-metered_wh[i], 0)
        sums[0, i] += drawn
        sums[1, i] += min(drawn, max(-traded_wh[i], 0))
        sums[2, i] += paid[i]
        sums[3, i] += received[i]
        if rest_wh[i] < 0:
            sums[4, i] -= rest[i]
        else:
            sums[5, i] += rest[i]
        if metered_wh[i] < 0:
            sums[6, i] -= alone[i]
        else:
            sums[7, i] += alone[i]
        sums[8, i] = max(sums[8, i], drawn)


class BillBook:
    """Sums per participant over the run, from which bills are made."""

    def __init__(self, n: int, interval_s: int, rule: str = "use") -> None:
        """Collect for ``n`` participants; ``rule`` shares losses (see ``market.losses``)."""
        self._n = n
        self._interval_s = interval_s
        self._rule = rule
        self._sums = np.zeros((len(_SUMS), n), dtype=np.int64)
        self._intervals = 0
        self._loss_left_wh = 0.0
        self.loss_share_wh = np.zeros(n, dtype=np.int64)

    def add(self, booked: Booked, intervals: int = 1) -> None:
        """Add an interval; 0 ``intervals``: of one that was added before, what had to wait."""
        _add(self._sums, *vars(booked).values())
        self._intervals += intervals

    def add_charges(self, charges_micro: IntArray) -> None:
        """Add what the supplier charges for imbalance, on top of its energy; (n,)."""
        self._sums[_SUMS.index("energy")] += charges_micro

    def add_losses(self, loss_wh: float, metered_wh: IntArray) -> None:
        """Share an interval's losses; the part below 1 Wh, and what nobody can bear, waits for the next interval."""
        if not isfinite(loss_wh):
            return
        self._loss_left_wh += loss_wh
        whole = floor(self._loss_left_wh)
        if whole <= 0 or not can_bear(metered_wh, self._rule != "use"):
            return
        self._loss_left_wh -= whole
        self.loss_share_wh += allocate_losses(whole, metered_wh, self._rule)

    def bills(self, tariff: SupplyTariff, basis: str) -> list[Bill]:
        """One bill per participant, as settled or as with the supplier only for the same metered energy."""
        if not self._intervals:
            return []
        sums = dict(zip(_SUMS, self._sums.tolist(), strict=True))
        days = -(-self._intervals * self._interval_s // DAY_S)
        alone = basis == SUPPLIER_ONLY
        suffix = "_alone" if alone else ""
        return [
            make_bill(
                Metered(
                    second_of_day=[0],
                    from_supplier_wh=[sums["drawn_wh"][i] - (0 if alone else sums["local_wh"][i])],
                    from_local_wh=[0 if alone else sums["local_wh"][i]],
                    to_supplier_wh=[0],
                    local_paid_micro=0 if alone else sums["paid"][i],
                    local_received_micro=0 if alone else sums["received"][i],
                    peak_w=-(-sums["peak_wh"][i] * 3600 // self._interval_s),
                    days=days,
                    booked_supplier_micro=sums["energy" + suffix][i],
                    booked_feed_in_micro=sums["feed_in" + suffix][i],
                ),
                tariff,
            )
            for i in range(self._n)
        ]

    def columns(self, tariff: SupplyTariff, names: tuple[str, ...]) -> dict[str, Any]:
        """Columns of bill_lines.parquet: every participant as settled, and with the supplier only."""
        if not self._intervals:
            return {}
        both = [(basis, self.bills(tariff, basis)) for basis in (SETTLED, SUPPLIER_ONLY)]
        columns: dict[str, Any] = {
            "participant": list(names) * 2,
            "basis": [basis for basis, bills in both for _ in bills],
        }
        for line in LINES:
            columns[f"{line}_micro"] = [getattr(bill, line) for _, bills in both for bill in bills]
        columns["total_micro"] = [bill.total_micro for _, bills in both for bill in bills]
        columns["loss_share_wh"] = [*self.loss_share_wh.tolist(), *[None] * self._n]
        return columns

    def kpis(self, tariff: SupplyTariff) -> dict[str, Any]:
        """KPIs of the whole bills: sums, who pays more than with the supplier only, how evenly gains are spread."""
        settled, alone = (self.bills(tariff, basis) for basis in (SETTLED, SUPPLIER_ONLY))
        saved = [a.total_micro - s.total_micro for s, a in zip(settled, alone, strict=True)]
        gained = [amount for amount in saved if amount > 0]
        return {
            "whole_bills_total_micro": sum(bill.total_micro for bill in settled),
            "whole_bills_saving_total_micro": sum(saved),
            "whole_bills_worse_off_count": sum(amount < 0 for amount in saved),
            "saving_jain_index": jain(gained) if gained else None,
            "saving_gini_index": gini(gained) if gained else None,
        }
