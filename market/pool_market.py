"""Pools and books over a horizon: for every slot k..k+n a dissipative pool and an order book, with providers.

Orders ahead of their slot rest in its book and meet by price and time; an arbitrageur carries them to the pool where
that pays. When the slot's own interval begins, open orders are cancelled, the participants' orders of the interval go
to the best of pool, book and supplier, and the pool closes:

* what was bought beyond what was sold comes from the providers' stock, which stands last: their devices deliver;
* what was sold beyond what was bought goes to the grid at feed-in; the youngest sales are the ones, their sellers get
  the pool's price all the same, and the pool bears the difference (less where the gate lets less of it flow);
* what is then left of the pool's money beyond what it opened with belongs to the providers by their shares, rounded
  down; the rest of a micro stays with the pool's account. Where no battery provides, the fund does (account ``pool``).

A cut by the gate: what was traded ahead keeps its price, then the interval's accepted amounts are executed again, in
order, from the pool's state at the opening of the interval; what is cut of an order is its latest part. Of what the
arbitrageur carried he keeps the profit of the part that flows.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from market.ahead import Position
from market.dynamic_price import MEMBERS, inventory_price
from market.errors import OrderError, PoolRefusalError
from market.fills import fills_priced, joined
from market.liquidity import Arbitrageur
from market.mechanism import Clearing, Payment, Tariff
from market.money import fills_money_micro, residue_micro
from market.orders import BUY, HOUSE, POOL, SELL, Fills, Orders, empty_orders
from market.pool_accounts import PoolBooks, WithdrawalRow
from market.pool_recut import (
    ClosedSlot,
    aged_stock,
    execute_again,
    residual_payments,
    shares_of,
    whole_price,
    youngest,
)  # fmt: skip
from market.pool_slot import PoolSlot, PoolTerms
from market.validate import check_orders, check_tariff
from market.withdrawal import withdraw

_Ints = npt.NDArray[np.int64]
KEPT = 8
"""Clearings that can be executed again: in a co-simulation the market may be ahead of the ledger."""


class PoolAndBook:
    """Pools and books, a pair per slot, open to a horizon; a mechanism that trades ahead and re-executes.

    Args:
        capacity_wh: size of the fund's pool, where no battery provides: energy at which its price reaches feed-in.
        fee_ppm: fee of the pools in millionths of the money, at least 1.
        opening_ppm_of_band: price of the first pools between feed-in (0) and retail (1_000_000); later ones open at the
            index.
        self_discharge_ppm_per_h: what committed stored energy loses until its slot.
        index: member of the inventory family from which the published index comes.
        horizon: slots that are open beyond the running one.
        rounds: in how many rounds the orders of the running interval come; between two of them the passed part of the
            slot is gone from the pool.
    """

    def __init__(
        self,
        capacity_wh: int = 2_000,
        fee_ppm: int = 3_000,
        opening_ppm_of_band: int = 500_000,
        self_discharge_ppm_per_h: int = 0,
        index: str = "supply_demand",
        horizon: int = 0,
        rounds: int = 1,
    ) -> None:
        self.name = "pool_and_book"
        self.horizon = horizon
        self.books = PoolBooks()
        self._terms = PoolTerms(capacity_wh, fee_ppm, self_discharge_ppm_per_h, 900, rounds)
        self._opening_ppm = opening_ppm_of_band
        self._member = index
        self._index: int | None = None
        self._slots: dict[int, PoolSlot] = {}
        self._positions: dict[int, Position] = {}
        self._done: dict[int, ClosedSlot] = {}
        self._trader: Arbitrageur | None = None
        self._trader_row, self._arbitrage_wh = -1, 0
        self._now = -1

    def bind(self, interval_s: int, arbitrageur: int | None = None, arbitrage_wh: int = 0) -> None:
        """Say how long an interval is, and who carries orders between books and pools, at most how much per slot."""
        self._terms = replace(self._terms, interval_s=interval_s)
        if arbitrageur is not None:
            self._trader, self._trader_row = Arbitrageur(arbitrageur, HOUSE), arbitrageur
            self._arbitrage_wh = arbitrage_wh

    @property
    def index_micro_per_kwh(self) -> int | None:
        """The pool's dynamic price, as published after the last slot."""
        return self._index

    def open_slot(self, interval: int, tariff: Tariff, stock: Orders) -> None:
        """Open the pool and book of a slot; raises ``OrderError`` on invalid stock, ``RangeError`` as the pool does."""
        check_orders(stock, interval)
        check_tariff(tariff)
        if interval not in self._slots:
            self._slots[interval] = PoolSlot(interval, tariff, self._terms, self._price(tariff), stock)

    def take_position(self, interval: int) -> Position:
        """Begin a slot's own interval: age all pools, cancel what rests for it, and return what stands."""
        self._age(interval)
        slot = self._slots.get(interval)
        if slot is None:
            return Position()
        slot.begin()
        energy = slot.executed_wh()
        traded = slot.orders[energy > 0].copy()
        traded["energy_wh"] = energy[energy > 0]
        position = Position(traded, aged_stock(slot))
        self._positions[interval] = position
        return position

    def leave(self, interval: int, participant: int, ppm: int) -> int:
        """Take ``ppm`` of a provider's unsold stock out of every open pool that lets it go; return the Wh.

        A pool that refuses (see ``market.withdrawal``) is left as it is until its slot closes; the books say why.
        """
        self._age(interval)
        total = 0
        for at, slot in self._slots.items():
            refused = reason = None
            taken = 0
            try:
                taken = withdraw(slot, participant, ppm)
            except PoolRefusalError as error:
                refused, reason = error.code, error.text
            self.books.withdrawals.append(
                WithdrawalRow(interval, at, participant, ppm, taken, refused, reason)
            )
            total += taken
        return total

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Trade the orders of all open slots, and close the slot of ``interval``.

        Raises:
            OrderError: Invalid orders, or an id that the slot has seen before; nothing is changed.
            RangeError: The tariff leaves no band (feed-in equals retail) or the capacity is out of range.
        """
        check_orders(orders, interval, interval + self.horizon)
        self._check_new(orders)
        wanted = np.unique(orders["interval"]).tolist()
        for slot in {interval, *wanted} - set(self._slots):
            self.open_slot(slot, tariff, empty_orders())
        if interval not in self._positions:
            self.take_position(interval)
        for at in wanted:
            if at > interval:
                self._slots[at].rest(orders[orders["interval"] == at])
                if self._trader is not None:
                    self._slots[at].arbitrage(self._trader, self._arbitrage_wh)
        running = self._slots.pop(interval)
        running.serve(orders[orders["interval"] == interval])
        self._slots = {at: slot for at, slot in self._slots.items() if at > interval}
        return self._close(running, self._positions.pop(interval, Position()))

    def reexecute(self, fills: Fills, accepted_wh: _Ints) -> Fills:
        """Execute the accepted Wh per row again, from the pool's state at the opening of the interval.

        What was traded ahead or in the book keeps its price, and so does a provider's row. Nobody pays or gets a price
        beyond his limit. Where the pool cannot execute the amounts (a cut that leaves sales and purchases unequal)
        prices stand.

        Raises:
            OrderError: The rows are not those of one of the last ``KEPT`` clearings.
        """
        final = fills.copy()
        if not fills.size:
            return final
        done = self._done.get(int(fills["interval"][0]))
        if done is None:
            raise OrderError("pool_and_book: the fills are not those of a clearing that is still known")
        rows = [done.slot.row_of(int(i)) for i in fills["order_id"]]
        accepted = done.residual.copy()
        for row, energy in zip(rows, accepted_wh.tolist(), strict=True):
            if row is not None:
                accepted[row] += energy
        again = execute_again(done.slot, accepted)
        if again is None:
            return final
        values, done.arbitrage_micro = again
        for i, row in enumerate(rows):
            if row is None or not accepted_wh[i]:
                continue
            side, limit = int(fills["side"][i]), int(fills["limit_micro_per_kwh"][i])
            price = whole_price(side, int(accepted[row]), values[row])
            final["price_micro_per_kwh"][i] = max(price, limit) if side == SELL else min(price, limit)
        return final

    def distribute(self, interval: int, fills: Fills, accepted_wh: _Ints) -> tuple[Payment, ...]:
        """Return what the pool owes to sellers of residual energy, arbitrageur and providers; keep their accounts.

        Raises:
            OrderError: Not one of the last ``KEPT`` clearings.
        """
        done = self._done.get(interval)
        if done is None:
            raise OrderError(f"pool_and_book: interval {interval} is not a clearing that is still known")
        money = fills_money_micro(fills, accepted_wh)
        mine = fills["counterparty"] == POOL
        payments = residual_payments(done, fills, accepted_wh)
        if done.arbitrage_micro:
            payments.append(Payment(POOL, self._trader_row, done.arbitrage_micro, "arbitrage"))
        providing = mine & np.isin(fills["order_id"], [share.order_id for share in done.shares])
        result = -int(money[mine & ~providing].sum()) - sum(payment.money_micro for payment in payments)
        payments += self.books.settle(
            done.slot, done.shares, result, fills[providing], money[providing], accepted_wh[providing]
        )
        self.books.arbitrage(done.slot, self._trader_row, done.arbitrage_micro)
        return tuple(payments)

    def _price(self, tariff: Tariff) -> int:
        low, high = tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh
        first = low + (high - low) * self._opening_ppm // 1_000_000
        return first if self._index is None else self._index

    def _age(self, interval: int) -> None:
        for slot in self._slots.values():
            slot.age(max(self._now, 0), interval)
        self._now = interval

    def _check_new(self, orders: Orders) -> None:
        for at, order_id in zip(orders["interval"].tolist(), orders["id"].tolist(), strict=True):
            if at in self._slots and self._slots[at].row_of(order_id) is not None:
                raise OrderError(f"order {order_id}: the id was used before in interval {at}")

    def _close(self, slot: PoolSlot, position: Position) -> Clearing:
        energy, values = slot.executed_wh(), slot.values()
        sides = slot.orders["side"]
        bought, sold = int(energy[sides == BUY].sum()), int(energy[sides == SELL].sum())
        slot.close()
        self._publish(slot, position.stock)
        residual = youngest(slot, energy, slot.residual_wh)
        price = np.array(
            [whole_price(int(s), int(e), v) for s, e, v in zip(sides, energy, values, strict=True)],
            dtype=np.int64,
        )
        paid = -sum(v for v, s in zip(values, sides.tolist(), strict=True) if s == BUY)
        mean = paid // bought if bought else None
        shares = shares_of(slot, position.stock, bought - sold + slot.residual_wh)
        self._done[slot.interval] = ClosedSlot(slot, residual, shares, slot.arbitrage_micro())
        for old in list(self._done)[:-KEPT]:
            del self._done[old]
        delivered = np.array([share.delivered_wh for share in shares], dtype=np.int64)
        from_stock = fills_priced(position.stock, delivered, np.full(delivered.size, mean or 0))
        # a provider takes the curve's price: what its stock is worth to it weighs in the gate, but is no limit
        from_stock["limit_micro_per_kwh"] = np.minimum(from_stock["limit_micro_per_kwh"], mean or 0)
        mine = fills_priced(slot.orders, energy - residual, price)
        done = self._done[slot.interval]
        owed = sum(p.money_micro for p in residual_payments(done, mine, mine["energy_wh"], whole=True))
        result = residue_micro(mine) - owed - done.arbitrage_micro
        details = self._details(slot, int(delivered.sum()))
        # what providers gain is theirs; the pool's account keeps what is the fund's
        return Clearing(joined((mine, from_stock)), mean, bought, 0 if shares else result, details)

    def _details(self, slot: PoolSlot, delivered_wh: int) -> dict[str, int]:
        ahead = sum(piece.energy_wh for piece in slot.pieces[: slot.first_running])
        details = {"ahead_wh": ahead, "residual_wh": slot.residual_wh, "stock_wh": delivered_wh}
        return details if self._index is None else {**details, "index_micro_per_kwh": self._index}

    def _publish(self, slot: PoolSlot, stock: Orders) -> None:
        """Publish the index: p(u) of the energy on offer over the energy asked for; it stands where nobody asked."""
        orders = slot.orders
        asked = int(orders["energy_wh"][orders["side"] == BUY].sum())
        offered = int(orders["energy_wh"][orders["side"] == SELL].sum() + stock["energy_wh"].sum())
        member = self._member if slot.tariff.feed_in_micro_per_kwh > 0 else MEMBERS[0]
        if asked:
            self._index = inventory_price(member, offered, asked, slot.tariff)
