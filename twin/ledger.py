"""The ledger: metered energy, trades and money of every interval in whole Wh and whole millionths.

Local trades are paid at their price for the accepted energy. What the meter shows beyond a participant's traded
position is settled with the supplier at retail or feed-in price. Every amount has a counter-entry, so the sum over
all accounts is exactly zero after each interval.
"""

from dataclasses import dataclass

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from market.coverage import covered_wh
from market.mechanism import Mechanism, Tariff
from market.money import WH_PER_KWH, fills_money_micro
from market.orders import BUY, SELL, SUPPLIER, Fills
from market.recut import settle_accepted
from twin.billing import BillBook, Booked
from twin.participants import BoolArray
from twin.trading import Session


@dataclass(frozen=True)
class Entry:
    """The account of one interval.

    ``metered_wh`` (n,) net energy, positive into the grid; ``bill_micro`` (n,) what the interval cost each
    participant (positive: paid); ``supplier_micro`` and ``pool_micro`` what those accounts gain;
    ``delivered_wh`` and ``settled_wh`` per fill: how much of the accepted energy flowed, and the meter confirms.
    """

    metered_wh: IntArray
    supplied_wh: IntArray  # what no local trade covers, + fed in; (n,)
    supplied_micro: IntArray  # the money for it, + received; (n,)
    saved_micro: IntArray  # against having everything with the supplier, for the same metered energy; (n,)
    bill_micro: IntArray
    supplier_micro: int
    pool_micro: int
    money_micro: IntArray  # per fill, signed, + the participant receives
    price_micro_per_kwh: IntArray  # per fill; an AMM's after it executed the accepted amounts
    delivered_wh: IntArray
    settled_wh: IntArray

    @property
    def sum_micro(self) -> int:
        """Sum of all money of the interval; zero, or the books are wrong."""
        return -int(self.bill_micro.sum()) + self.supplier_micro + self.pool_micro


class Meters:
    """Turns float energy into whole Wh; the part below 1 Wh is carried to the next interval."""

    def __init__(self, n: int) -> None:
        self._carry = np.zeros(n)

    def read_wh(self, energy_wh: FloatArray) -> IntArray:
        """Whole Wh of this interval; (n,)."""
        total = self._carry + energy_wh
        whole = np.floor(total)
        self._carry = total - whole
        return whole.astype(np.int64)


class Ledger:
    """Books intervals; keeps the fractions of a Wh that the meters carry over."""

    def __init__(self, n: int, mechanism: Mechanism | None = None, bills: BillBook | None = None) -> None:
        """Book for ``n`` participants; ``mechanism`` sets the prices of what was accepted, ``bills`` adds up."""
        self._n = n
        self._bills = bills
        self._mechanism = mechanism
        self._meters = Meters(n)
        self._true = Meters(n)

    def book(
        self, session: Session, accepted_wh: IntArray, flowed_wh: FloatArray, metered_wh: FloatArray
    ) -> Entry:
        """Book one interval.

        Args:
            session: the market session of the interval.
            accepted_wh: accepted energy per fill, whole Wh; (m,).
            flowed_wh: net energy that flowed at each connection point, float; (n,), positive into the grid.
            metered_wh: the same as the meters say (differs where a reading came over a wire); (n,).
        """
        fills = session.fills
        local = fills["counterparty"] != SUPPLIER
        price = self._prices(fills, accepted_wh, local)
        money = fills_money_micro(_priced(fills, price), accepted_wh)
        metered = self._meters.read_wh(metered_wh)
        flowed = self._true.read_wh(flowed_wh)
        traded = self._per_participant(fills["participant"][local], (accepted_wh * fills["side"])[local])
        paid, received = self._local_money(session, money, local)
        income = received - paid
        rest = supplier_money_down_micro(metered - traded, session.tariff)
        alone = supplier_money_down_micro(metered, session.tariff)
        if self._bills is not None:
            self._bills.add(Booked(metered, traded, paid, received, metered - traded, rest, alone))
        flowed_is_metered = bool((metered == flowed).all())
        delivered = covered_wh(fills, accepted_wh, flowed)
        return Entry(
            metered_wh=metered,
            supplied_wh=metered - traded,
            supplied_micro=rest,
            saved_micro=income + rest - alone,
            bill_micro=-(income + rest),
            supplier_micro=-int(rest.sum()),
            pool_micro=-int(money[local].sum()),
            money_micro=money,
            price_micro_per_kwh=price,
            delivered_wh=delivered,
            settled_wh=delivered if flowed_is_metered else covered_wh(fills, accepted_wh, metered),
        )

    def _prices(self, fills: Fills, accepted_wh: IntArray, local: BoolArray) -> IntArray:
        """Prices of the accepted energy: they stand after a cut, but an AMM executes the accepted amounts again."""
        price = fills["price_micro_per_kwh"].copy()
        if self._mechanism is not None and (accepted_wh != fills["energy_wh"])[local].any():
            final = settle_accepted(self._mechanism, fills[local], accepted_wh[local])
            price[local] = final.fills["price_micro_per_kwh"]
        return price

    def _local_money(self, session: Session, money: IntArray, local: BoolArray) -> tuple[IntArray, IntArray]:
        """Money of local trades and take-or-pay that each participant paid, and received; (n,) each."""
        people, bought = session.fills["participant"], session.fills["side"] == BUY
        paid = -self._per_participant(people[local & bought], money[local & bought])
        received = self._per_participant(people[local & ~bought], money[local & ~bought])
        for payment in session.payments:
            paid[payment.payer] += payment.money_micro
            received[payment.payee] += payment.money_micro
        return paid, received

    def _per_participant(self, rows: IntArray, amounts: IntArray) -> IntArray:
        """Sums per participant, in integers: floating point never decides money."""
        sums = np.zeros(self._n, dtype=np.int64)
        np.add.at(sums, rows, amounts)
        return sums


def _priced(fills: Fills, price_micro_per_kwh: IntArray) -> Fills:
    if (fills["price_micro_per_kwh"] == price_micro_per_kwh).all():
        return fills
    priced = fills.copy()
    priced["price_micro_per_kwh"] = price_micro_per_kwh
    return priced


def supplier_money_down_micro(energy_wh: IntArray, tariff: Tariff) -> IntArray:
    """Money for energy that no local trade covers: retail for import, feed-in for export; (n,), + received.

    Rounded down as the participant sees it (it pays up, it gets down): the supplier cannot lose by rounding,
    and gains less than one millionth per participant and interval.
    """
    price = np.where(energy_wh < 0, tariff.retail_micro_per_kwh, tariff.feed_in_micro_per_kwh)
    return np.asarray(energy_wh * price // WH_PER_KWH)


def sales_wh(fills: Fills, energy_wh: IntArray) -> int:
    """Energy sold through the local market, of the given amounts per fill."""
    return int(energy_wh[(fills["counterparty"] != SUPPLIER) & (fills["side"] == SELL)].sum())
