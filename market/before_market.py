"""Contracts and preferences are served first; what is left of the orders meets in the market."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from market.bilateral import OpenOrders
from market.bill_sharing import BillSharing
from market.errors import ContractError
from market.fills import joined
from market.mechanism import Clearing, Mechanism, Payment, Tariff
from market.money import buyer_pays_up_micro, residue_micro
from market.orders import BUY, POOL, SELL, Fills, Orders
from market.ppa import Agreement
from market.preferences import Preference, serve_preferences
from market.recut import Reexecutes
from market.validate import check_orders, check_tariff


@dataclass(frozen=True)
class Bilateral:
    """Everything that is served before the market.

    ``rows`` maps participant ids, as agreements name them, to rows of the participant table. ``distance`` is the
    electrical distance between rows, shape (n, n), where a preference needs it.
    """

    agreements: Sequence[Agreement] = ()
    preferences: Sequence[Preference] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    distance: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        names = {name for a in self.agreements for name in (a.seller, a.buyer)}
        unknown = sorted(names - set(self.rows))
        if unknown:
            raise ContractError([f"agreement: {name} is not a participant" for name in unknown])


def serve_agreements(
    book: OpenOrders, bilateral: Bilateral, interval: int, index_micro_per_kwh: int | None
) -> list[Payment]:
    """Deliver every agreement that covers the interval, in order of contract id; return take-or-pay payments.

    The quantity is the least of what the seller offers, the buyer asks for, and the agreement allows. Limit prices do
    not count: the parties have agreed. Who offered enough is paid for the take-or-pay quantity even if the buyer took
    less.
    """
    payments = []
    for agreement in sorted(bilateral.agreements, key=lambda a: a.contract_id):
        if not agreement.covers(interval):
            continue
        seller, buyer = bilateral.rows[agreement.seller], bilateral.rows[agreement.buyer]
        price = agreement.price.price(index_micro_per_kwh)
        offered = book.open_of(seller, SELL)
        energy = min(offered, book.open_of(buyer, BUY), agreement.max_wh)
        if energy:
            book.trade(seller, buyer, energy, price)
        missed = agreement.take_or_pay_wh - energy
        if missed > 0 and offered >= agreement.take_or_pay_wh:
            money = buyer_pays_up_micro(missed, price)
            payments.append(Payment(buyer, seller, money, f"take or pay {agreement.contract_id[:12]}"))
    return payments


class BeforeMarket:
    """A mechanism that serves agreements and preferences, then clears the rest with another mechanism.

    The index of indexed agreements is the market's last published price (none before the first trade: then the middle
    of the tariff).
    """

    def __init__(self, market: Mechanism, bilateral: Bilateral) -> None:
        self.name = market.name
        self._market = market
        self._bilateral = bilateral
        self._index: int | None = None

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Clear; bilateral fills name the partner's row. Raises what the inner mechanism raises."""
        check_orders(orders, interval, 2**62)
        check_tariff(tariff)
        now = orders["interval"] == interval
        book = OpenOrders(orders[now])
        index = self._index
        if index is None:
            index = (tariff.feed_in_micro_per_kwh + tariff.retail_micro_per_kwh) // 2
        payments = serve_agreements(book, self._bilateral, interval, index)
        serve_preferences(book, self._bilateral.preferences, self._bilateral.distance)
        rest = joined((book.residual(), orders[~now]))
        clearing = self._market.clear(rest, tariff, interval)
        price = clearing.price_micro_per_kwh
        # energy that is shared for nothing has no price; one that was cleared at 0 has
        if price is not None and not isinstance(self._market, BillSharing):
            self._index = price
        fills = book.fills()
        bilateral_wh = int(fills["energy_wh"][fills["side"] == SELL].sum())
        everything = joined((fills, clearing.fills))
        return replace(
            clearing,
            fills=everything,
            volume_wh=clearing.volume_wh + bilateral_wh,
            residue_micro=clearing.residue_micro + residue_micro(fills),
            details={**clearing.details, "bilateral_wh": bilateral_wh},
            payments=(*clearing.payments, *payments),
        )

    def reexecute(self, fills: Fills, accepted_wh: npt.NDArray[np.int64]) -> Fills:
        """Let the inner mechanism execute its rows again; bilateral prices stand."""
        final = fills.copy()
        inner = fills["counterparty"] == POOL
        if isinstance(self._market, Reexecutes):
            final[inner] = self._market.reexecute(fills[inner], accepted_wh[inner])
        return final
