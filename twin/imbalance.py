"""Who pays for a difference between what was traded and what was metered.

The energy itself is always the supplier's, at its prices: what a seller did not deliver it buys at retail, what a buyer
did not draw it sells at feed-in. On top come a surcharge and a deduction by rule; the supplier gets both.
"""

from dataclasses import dataclass, replace

import numpy as np

from adapters.grid.feeder import IntArray
from market.mechanism import Tariff
from market.money import WH_PER_KWH
from market.orders import SELL, SUPPLIER, Fills
from market.shares import largest_remainder
from twin.ledger import Entry
from twin.scenario.oracles_section import ImbalanceSection
from twin.trading import Session

PPM = 1_000_000


@dataclass(frozen=True)
class LocalTrades:
    """What every participant sold and bought on the local market in an interval, accepted Wh; (n,) each."""

    sold_wh: IntArray
    bought_wh: IntArray


def local_trades(fills: Fills, accepted_wh: IntArray, n: int) -> LocalTrades:
    """Sums of the local fills per participant."""
    sums = np.zeros((2, n), dtype=np.int64)
    local = fills["counterparty"] != SUPPLIER
    for row, mine in enumerate((local & (fills["side"] == SELL), local & (fills["side"] != SELL))):
        np.add.at(sums[row], fills["participant"][mine], accepted_wh[mine])
    return LocalTrades(sums[0], sums[1])


@dataclass(frozen=True)
class Differences:
    """Per participant, whole Wh: sold but not exported, and bought but not drawn; (n,) each."""

    shortfall_wh: IntArray
    surplus_wh: IntArray


class ImbalanceRules:
    """The scenario's rule, in integers."""

    def __init__(self, section: ImbalanceSection) -> None:
        self._community = section.payer == "community"
        self._surcharge_ppm = int(section.shortfall_surcharge_percent * 10_000)
        self._deduction_ppm = int(section.surplus_deduction_percent * 10_000)
        self._tolerance_wh = section.tolerance_wh

    def differences(self, trades: LocalTrades, metered_wh: IntArray) -> Differences:
        """What the meters do not confirm, beyond nothing: the tolerance is not taken off."""
        return Differences(
            np.maximum(trades.sold_wh - np.maximum(metered_wh, 0), 0),
            np.maximum(trades.bought_wh - np.maximum(-metered_wh, 0), 0),
        )

    def prices_micro_per_kwh(self, tariff: Tariff) -> tuple[int, int]:
        """Surcharge per kWh of shortfall, deduction per kWh of surplus: rounded up to a whole millionth."""
        return (
            -(-max(tariff.retail_micro_per_kwh, 0) * self._surcharge_ppm // PPM),
            -(-max(tariff.feed_in_micro_per_kwh, 0) * self._deduction_ppm // PPM),
        )

    def charges_micro(self, trades: LocalTrades, metered_wh: IntArray, tariff: Tariff) -> IntArray:
        """What every participant pays on top, >= 0; (n,). Rounded up per participant.

        A difference within the tolerance costs nothing, one beyond it is charged in full.
        """
        found = self.differences(trades, metered_wh)
        total = np.zeros(len(metered_wh), dtype=np.int64)
        both = (found.shortfall_wh, found.surplus_wh)
        for energy_wh, price in zip(both, self.prices_micro_per_kwh(tariff), strict=True):
            beyond_wh = np.where(energy_wh > self._tolerance_wh, energy_wh, 0)
            total += -(-beyond_wh * price // WH_PER_KWH)
        if self._community and total.any():
            weights = (trades.sold_wh + trades.bought_wh).tolist()
            return np.array(largest_remainder(int(total.sum()), weights), dtype=np.int64)
        return total


def charged(entry: Entry, charges_micro: IntArray) -> Entry:
    """The entry with charges on the bills and with the supplier."""
    if not charges_micro.any():
        return entry
    before = entry.imbalance_micro
    return replace(
        entry,
        imbalance_micro=charges_micro if before is None else before + charges_micro,
        bill_micro=entry.bill_micro + charges_micro,
        saved_micro=entry.saved_micro - charges_micro,
        supplier_micro=entry.supplier_micro + int(charges_micro.sum()),
    )


def interval_charges(
    rules: ImbalanceRules, session: Session, accepted_wh: IntArray, entry: Entry
) -> IntArray:
    """The charges of an interval, without those whose reading is held: theirs come when it is decided."""
    trades = local_trades(session.fills, accepted_wh, len(entry.metered_wh))
    if entry.held is not None:
        known = ~entry.held
        trades = LocalTrades(trades.sold_wh * known, trades.bought_wh * known)
    return rules.charges_micro(trades, entry.metered_wh, session.tariff)
