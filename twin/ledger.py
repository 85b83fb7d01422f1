"""The ledger: metered energy, trades and money of every interval in whole Wh and whole millionths.

Local trades are paid at their price for the accepted energy. What the meter shows beyond a participant's traded
position is settled with the supplier at retail or feed-in price. Every amount has a counter-entry, so the sum over
all accounts is exactly zero after each interval.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from adapters.grid.feeder import FloatArray, IntArray
from market.account import Account, Accountant, closed, prices_of
from market.ahead import Distributes
from market.mechanism import Mechanism, Payment
from market.orders import POOL, SUPPLIER, Fills
from market.recut import settle_accepted
from twin.billing import BillBook, Booked
from twin.network_charges import NetworkCharges, charged_micro_up
from twin.participants import BoolArray
from twin.trading import Session


class Withheld(NamedTuple):
    """What waits of the participants whose reading is held: traded position, and what they are owed; (n,) each."""

    traded_wh: IntArray
    received_micro: IntArray


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
    charged_micro: IntArray | None = None  # network charges on trades, + paid; (n,), None: there are none
    held: BoolArray | None = None  # whose reading is held: only what they owe is in this entry; (n,)
    withheld: Withheld | None = None
    imbalance_micro: IntArray | None = None  # charged on top of the supplier's prices, part of the bill; (n,)

    @property
    def network_micro(self) -> int:
        """What the network account gains."""
        return 0 if self.charged_micro is None else int(self.charged_micro.sum())

    @property
    def sum_micro(self) -> int:
        """Sum of all money of the interval; zero, or the books are wrong."""
        return -int(self.bill_micro.sum()) + self.supplier_micro + self.pool_micro + self.network_micro


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
        self,
        session: Session,
        accepted_wh: IntArray,
        flowed_wh: FloatArray,
        metered_wh: FloatArray,
        held: BoolArray | None = None,
    ) -> Entry:
        """Book one interval.

        Args:
            session: the market session of the interval.
            accepted_wh: accepted energy per fill, whole Wh; (m,).
            flowed_wh: net energy that flowed at each connection point, float; (n,), positive into the grid.
            metered_wh: the same as the meters say (differs where a reading came over a wire); (n,).
            held: whose reading is not agreed on (theirs must be zero); None: nobody's.
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
        _pay(made, payments)
        withheld = None if held is None else _withhold(made, held)
        sums = closed(made)
        if self._bills is not None:
            self._bills.add(_booked(made, sums.supplied_wh))
        entry = Entry(
            metered_wh=made.metered_wh,
            supplied_wh=sums.supplied_wh,
            supplied_micro=made.rest_micro,
            saved_micro=sums.saved_micro,
            bill_micro=-sums.gained_micro,
            supplier_micro=sums.supplier_micro,
            pool_micro=sums.pool_micro,
            money_micro=made.money_micro,
            price_micro_per_kwh=price,
            delivered_wh=made.delivered_wh,
            settled_wh=made.settled_wh,
            payments=payments,
            held=held,
            withheld=withheld,
        )
        if session.charges is None:
            return entry
        return with_charges(entry, fills, accepted_wh, session.charges)

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
        price: IntArray
        price, uncut = prices_of(fills, accepted_wh)
        if self._mechanism is None or uncut:
            return price
        local = fills["counterparty"] != SUPPLIER
        if (accepted_wh != fills["energy_wh"])[local].any():
            final = settle_accepted(self._mechanism, fills[local], accepted_wh[local])
            price[local] = final.fills["price_micro_per_kwh"]
        return price


def _booked(made: Account, supplied_wh: IntArray) -> Booked:
    """An account as the bills want it."""
    paid, received = made.paid_micro, made.received_micro
    amounts = (supplied_wh, made.rest_micro, made.alone_micro)
    return Booked(made.metered_wh, made.traded_wh, paid, received, *amounts)


def _pay(made: Account, payments: tuple[Payment, ...]) -> None:
    """Add what is owed besides the fills to what participants paid and received; the pool's side follows from it."""
    for payment in payments:
        if payment.payer != POOL:
            made.paid_micro[payment.payer] += payment.money_micro
        if payment.payee != POOL:
            made.received_micro[payment.payee] += payment.money_micro


def _withhold(made: Account, held: BoolArray) -> Withheld:
    """Take out of an account what waits: the position, the income, and everything with the supplier."""
    withheld = Withheld(made.traded_wh * held, made.received_micro * held)
    for amounts in (made.traded_wh, made.received_micro, made.rest_micro, made.alone_micro):
        amounts[held] = 0
    return withheld


def with_charges(entry: Entry, fills: Fills, accepted_wh: IntArray, charges: NetworkCharges) -> Entry:
    """The entry with the network charges of the accepted energy on the bills."""
    charged = charged_micro_up(fills, accepted_wh, charges, len(entry.bill_micro))
    return replace(
        entry,
        charged_micro=charged,
        bill_micro=entry.bill_micro + charged,
        saved_micro=entry.saved_micro - charged,
    )
