"""The ledger: metered energy, trades and money of every interval in whole Wh and whole millionths.

Local trades are paid at their price for the accepted energy. What the meter shows beyond a participant's traded
position is settled with the supplier at retail or feed-in price. Every amount has a counter-entry, so the sum over
all accounts is exactly zero after each interval.
"""

from dataclasses import dataclass

from adapters.grid.feeder import FloatArray, IntArray
from market.account import Accountant
from market.ahead import Distributes
from market.mechanism import Mechanism, Payment
from market.orders import POOL, SELL, SUPPLIER, Fills
from market.recut import settle_accepted
from twin.billing import BillBook, Booked
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
    payments: tuple[Payment, ...] = ()  # besides the fills: take-or-pay, what a pool owes its providers

    @property
    def sum_micro(self) -> int:
        """Sum of all money of the interval; zero, or the books are wrong."""
        return -int(self.bill_micro.sum()) + self.supplier_micro + self.pool_micro


class Ledger:
    """Books intervals; keeps the fractions of a Wh that the meters carry over."""

    def __init__(
        self,
        n: int,
        mechanism: Mechanism | None = None,
        bills: BillBook | None = None,
        distributes: Distributes | None = None,
    ) -> None:
        """Book for ``n`` participants; ``mechanism`` sets the prices of what was accepted, ``bills`` adds up.

        ``distributes`` owes money besides its fills (a pool to its providers).
        """
        self._distributes = distributes
        self._bills = bills
        self._mechanism = mechanism
        self._accountant = Accountant(n)

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
        fills, tariff = session.fills, session.tariff
        price = self._prices(fills, accepted_wh)
        made = self._accountant.account(
            fills,
            accepted_wh,
            price,
            metered_wh,
            flowed_wh,
            tariff.retail_micro_per_kwh,
            tariff.feed_in_micro_per_kwh,
        )
        payments = self._payments(session, accepted_wh, price)
        for payment in payments:
            if payment.payer != POOL:
                made.paid_micro[payment.payer] += payment.money_micro
            if payment.payee != POOL:
                made.received_micro[payment.payee] += payment.money_micro
        supplied = made.metered_wh - made.traded_wh
        if self._bills is not None:
            self._bills.add(
                Booked(
                    made.metered_wh,
                    made.traded_wh,
                    made.paid_micro,
                    made.received_micro,
                    supplied,
                    made.rest_micro,
                    made.alone_micro,
                )
            )
        income = made.received_micro - made.paid_micro
        return Entry(
            metered_wh=made.metered_wh,
            supplied_wh=supplied,
            supplied_micro=made.rest_micro,
            saved_micro=income + made.rest_micro - made.alone_micro,
            bill_micro=-(income + made.rest_micro),
            supplier_micro=-int(made.rest_micro.sum()),
            pool_micro=-int(income.sum()),
            money_micro=made.money_micro,
            price_micro_per_kwh=price,
            delivered_wh=made.delivered_wh,
            settled_wh=made.settled_wh,
            payments=payments,
        )

    def _payments(
        self, session: Session, accepted_wh: IntArray, price_micro_per_kwh: IntArray
    ) -> tuple[Payment, ...]:
        """What is owed besides the fills; a pool owes its providers once it is known what may flow."""
        if self._distributes is None:
            return session.payments
        final = session.fills.copy()
        final["price_micro_per_kwh"] = price_micro_per_kwh
        return (*session.payments, *self._distributes.distribute(session.intent.interval, final, accepted_wh))

    def _prices(self, fills: Fills, accepted_wh: IntArray) -> IntArray:
        """Prices of the accepted energy: they stand after a cut, but an AMM executes the accepted amounts again."""
        price: IntArray = fills["price_micro_per_kwh"].copy()
        if self._mechanism is None or bool((accepted_wh == fills["energy_wh"]).all()):
            return price
        local = fills["counterparty"] != SUPPLIER
        if (accepted_wh != fills["energy_wh"])[local].any():
            final = settle_accepted(self._mechanism, fills[local], accepted_wh[local])
            price[local] = final.fills["price_micro_per_kwh"]
        return price


def sales_wh(fills: Fills, energy_wh: IntArray) -> int:
    """Energy sold through the local market, of the given amounts per fill."""
    return int(energy_wh[(fills["counterparty"] != SUPPLIER) & (fills["side"] == SELL)].sum())
