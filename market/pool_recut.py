"""What stands of a closed slot of the pool market, and its execution again after a cut by the gate."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from market import amm_kernels as k
from market.amm_order import run_amounts
from market.amm_sizing import BUMPS
from market.mechanism import Payment
from market.orders import POOL, SELL, SUPPLIER, Fills, Orders
from market.pool_accounts import Share
from market.pool_slot import ARBITRAGE, BOOK, PoolSlot, elapsed
from market.shares import largest_remainder

_Ints = npt.NDArray[np.int64]


@dataclass
class ClosedSlot:
    """A closed slot: residual Wh per order (by row), who provided, what its arbitrageur made."""

    slot: PoolSlot
    residual: _Ints
    shares: list[Share]
    arbitrage_micro: int


def whole_price(side: int, energy_wh: int, value: int) -> int:
    """Return the price in micro per kWh whose fill moves at least ``value``, rounded in favour of the pool."""
    return side * (value // energy_wh) if energy_wh else 0


def aged_stock(slot: PoolSlot) -> Orders:
    """The stock with what is left of it after losses, which all providers bear in proportion (largest remainder)."""
    brought = slot.stock["energy_wh"]
    total = int(brought.sum())
    if not total:
        return slot.stock
    stock = slot.stock.copy()
    stock["energy_wh"] = largest_remainder(slot.stock_wh, brought.tolist())
    return stock[stock["energy_wh"] > 0]


def shares_of(slot: PoolSlot, stock: Orders, delivered_wh: int) -> list[Share]:
    """Who provided, what each had committed, and what each of them delivers."""
    if not stock.size:
        return []
    brought = dict(zip(slot.stock["id"].tolist(), slot.stock["energy_wh"].tolist(), strict=True))
    delivered = largest_remainder(delivered_wh, stock["energy_wh"].tolist())
    rows = zip(stock["id"].tolist(), stock["participant"].tolist(), delivered, strict=True)
    return [Share(order_id, who, brought[order_id], energy) for order_id, who, energy in rows]


def youngest(slot: PoolSlot, energy: _Ints, residual_wh: int) -> _Ints:
    """Return how much of each order's sales nobody bought: the latest pieces first."""
    residual = np.zeros(energy.size, dtype=np.int64)
    for piece in reversed(slot.pieces):
        if residual_wh and slot.orders["side"][piece.row] == SELL:
            part = min(residual_wh, piece.energy_wh)
            residual[piece.row] += part
            residual_wh -= part
    return residual


def execute_again(slot: PoolSlot, accepted: _Ints) -> tuple[list[int], int] | None:
    """Return values per row and the arbitrageur's profit for accepted Wh per row; None where the pool cannot."""
    left, values = accepted.copy(), [0] * accepted.size
    side, amounts, rows, places = [], [], [], []
    arbitrage = 0
    for i, piece in enumerate(slot.pieces):
        part = min(int(left[piece.row]), piece.energy_wh)
        left[piece.row] -= part
        if i >= slot.first_running and piece.venue not in (BOOK, ARBITRAGE):
            side.append(int(slot.orders["side"][piece.row]))
            amounts.append(part)
            rows.append(piece.row)
            places.append(i)
            continue
        flows = replace(piece, energy_wh=part, value=piece.value * part // piece.energy_wh)
        values[piece.row] += flows.value
        if piece.venue == ARBITRAGE:  # he keeps what the part that flows earned, rounded against him
            swap_micro = piece.swap_micro * part // piece.energy_wh
            arbitrage += slot.arbitrage_micro([replace(flows, swap_micro=swap_micro)])
    money, sides = np.zeros(len(rows), dtype=np.int64), np.array(side, dtype=np.int8)
    order, waiting = np.arange(len(rows)), np.array(amounts, dtype=np.int64)
    if _replay(slot, sides, order, waiting, money, places):
        return None
    for row, micro in zip(rows, money.tolist(), strict=True):
        values[row] += micro * 1000
    return values, arbitrage


def _replay(slot: PoolSlot, sides: Any, order: _Ints, waiting: _Ints, money: _Ints, places: list[int]) -> int:
    """Execute swaps from the opening state, the slot running on between its rounds; return the Wh that never fit."""
    state: Any = slot.opening_state.copy()
    shift, stock_wh = slot.pool.shift_micro_per_wh, slot.opening_stock_wh
    for before, left, parts in slot.breaks:
        upto = bisect_left(places, before)
        run_amounts(state, shift, sides, order[:upto], waiting, money)
        energy = int(state[k.ENERGY])
        stored, flowed = elapsed(energy, stock_wh, left, parts)
        if stored + flowed:
            k.age(state, energy - stored - flowed, energy, BUMPS)
        stock_wh = min(stock_wh, energy) - stored
    return int(run_amounts(state, shift, sides, order, waiting, money))


def residual_payments(
    done: ClosedSlot, fills: Fills, accepted_wh: _Ints, whole: bool = False
) -> list[Payment]:
    """What the pool adds to the feed-in price of sales that nobody bought, as far as they may flow (or all)."""
    payments, orders = [], done.slot.orders
    feed_in = done.slot.tariff.feed_in_micro_per_kwh
    upstream = fills["counterparty"] == SUPPLIER
    flows = dict(zip(fills["order_id"][upstream].tolist(), accepted_wh[upstream].tolist(), strict=True))
    energy, values = done.slot.executed_wh(), done.slot.values()
    for row in np.flatnonzero(done.residual).tolist():
        left = int(done.residual[row])
        if orders["flexible"][row] and not whole:
            left = min(left, flows.get(int(orders["id"][row]), 0))
        more = whole_price(SELL, int(energy[row]), values[row]) - feed_in
        if more > 0 and left:
            payments.append(Payment(POOL, int(orders["participant"][row]), more * left // 1000, "residual"))
    return payments
