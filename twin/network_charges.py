"""Network charges on trades: published by the operator for the next interval, weighed by bids, booked to an account.

A charge is due on traded energy that moves power (flexible orders), also with the supplier; who only changes
supplier moves nothing and pays nothing. Money goes to the account ``NETWORK_ACCOUNT``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from market.money import WH_PER_KWH
from market.orders import BATTERY, BUY, PV, SELL, Fills, Orders
from twin.gate.price import NodalCharges
from twin.streams import stream

NETWORK_ACCOUNT = "network"


@dataclass(frozen=True)
class NetworkCharges:
    """What a kWh costs where it enters and where it leaves, in whole millionths per kWh, (n,) each.

    A negative charge is paid out. ``congestion_micro_per_kwh`` and ``loss_micro_per_kwh`` (n,) are the parts of a
    nodal charge, both for a kWh put in; zero for charges by distance.
    """

    sell_micro_per_kwh: IntArray
    buy_micro_per_kwh: IntArray
    congestion_micro_per_kwh: FloatArray
    loss_micro_per_kwh: FloatArray

    @classmethod
    def nodal(cls, charges: NodalCharges) -> "NetworkCharges":
        """Who draws a kWh pays the negative of who puts it in: at one place the two cancel."""
        whole = np.rint(charges.total_micro_per_kwh).astype(np.int64)
        return cls(whole, -whole, charges.congestion_micro_per_kwh, charges.loss_micro_per_kwh)

    @classmethod
    def by_distance(cls, micro_per_kwh: FloatArray) -> "NetworkCharges":
        """Both sides pay for the way from or to the upstream grid."""
        whole, none = np.rint(micro_per_kwh).astype(np.int64), np.zeros(len(micro_per_kwh))
        return cls(whole, whole, none, none)


def bearable_micro(seed: int, names: Sequence[str], most_micro_per_kwh: int) -> IntArray:
    """Highest charge at which a flexible buyer does not wait, (n,): drawn between half of the most and the most."""
    low = most_micro_per_kwh // 2
    return np.array(
        [low + int(stream(seed, name, "charge").integers(most_micro_per_kwh - low + 1)) for name in names],
        dtype=np.int64,
    )


def valued(wanted: Orders, bearable: IntArray) -> Orders:
    """The orders at what they are worth to whom they belong, not at what the supplier offers instead.

    A flexible buyer bears a charge on top of its limit; PV that finds nobody is curtailed and worth nothing.
    """
    orders = wanted.copy()
    flexible = orders["flexible"]
    buys = flexible & (orders["side"] == BUY)
    orders["price_micro_per_kwh"][buys] += bearable[orders["participant"][buys]]
    roofs = flexible & (orders["side"] == SELL) & (orders["device"] == PV)
    orders["price_micro_per_kwh"][roofs] = 0
    return orders


def net_of_charges(
    wanted: Orders, charges: NetworkCharges, bearable: IntArray, ask_micro: IntArray, feed_in_micro: int
) -> Orders:
    """Limits that leave everybody what it wants after the charge; buyers who cannot get that order nothing.

    A buyer never bids more than without charges, and a seller never asks less than the supplier pays: the supplier
    is there at the same charge. A battery asks its reserve plus the charge.
    """
    orders = wanted.copy()
    who, flexible = orders["participant"], orders["flexible"]
    price = orders["price_micro_per_kwh"].copy()
    buys, sells = flexible & (orders["side"] == BUY), flexible & (orders["side"] == SELL)
    willing = price[buys] + bearable[who[buys]] - charges.buy_micro_per_kwh[who[buys]]
    price[buys] = np.minimum(price[buys], willing)
    cost = np.where(orders["device"] == BATTERY, ask_micro[who], 0) + charges.sell_micro_per_kwh[who]
    price[sells] = np.maximum(cost[sells], feed_in_micro)
    orders["price_micro_per_kwh"] = price
    kept: Orders = orders[~buys | (price > 0)]
    return kept


def charged_micro_up(fills: Fills, accepted_wh: IntArray, charges: NetworkCharges, n: int) -> IntArray:
    """What each participant owes for its accepted energy, (n,), each fill rounded up; negative: it is paid."""
    who = fills["participant"]
    rate = (
        np.where(fills["side"] == SELL, charges.sell_micro_per_kwh[who], charges.buy_micro_per_kwh[who])
        * fills["flexible"]
    )
    owed = -((-rate * accepted_wh) // WH_PER_KWH)
    total = np.zeros(n, dtype=np.int64)
    np.add.at(total, who, owed)
    return total
