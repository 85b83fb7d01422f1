"""Orders and fills as structured arrays: the one vocabulary between participants, mechanisms, gate and
ledger.

Energy is whole Wh, money whole millionths of the scenario's currency, prices millionths per kWh; all int64.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

SELL = 1
"""Side of an order that puts energy into the grid (the sign convention of the whole project)."""
BUY = -1

HOUSE, PV, BATTERY, EV, HEAT_PUMP = 0, 1, 2, 3, 4
"""Device that an order is a claim on (column ``device``)."""
DEVICE_NAMES = ("house", "pv", "battery", "ev", "heat_pump")

POOL = -1
"""Counterparty of a fill in a pool or auction (no pairs are invented)."""
SUPPLIER = -2
"""Counterparty of a fill with the upstream grid, through the supplier."""

ORDER_DTYPE = np.dtype(
    [
        ("id", np.int64),  # unique in the book
        ("participant", np.int32),  # row in the scenario's participant table
        ("side", np.int8),  # SELL or BUY
        ("device", np.int8),  # HOUSE, PV, BATTERY, EV or HEAT_PUMP
        (
            "flexible",
            np.bool_,
        ),  # True: acceptance moves power beyond the baseline; False: changes supplier
        ("energy_wh", np.int64),  # > 0
        ("price_micro_per_kwh", np.int64),  # limit price
        ("interval", np.int64),  # delivery interval
        ("time", np.int64),  # arrival, for price-time priority
    ]
)

FILL_DTYPE = np.dtype(
    [
        ("order_id", np.int64),
        ("participant", np.int32),
        ("side", np.int8),
        ("device", np.int8),
        ("flexible", np.bool_),
        ("counterparty", np.int32),  # POOL, SUPPLIER or the participant row of a bilateral partner
        ("energy_wh", np.int64),  # > 0
        ("price_micro_per_kwh", np.int64),  # what the participant pays or receives
        ("limit_micro_per_kwh", np.int64),  # the order's limit: the gate weighs a cut by the value lost
        ("interval", np.int64),
    ]
)

Orders = npt.NDArray[Any]
"""A one-dimensional array of ``ORDER_DTYPE``."""
Fills = npt.NDArray[Any]
"""A one-dimensional array of ``FILL_DTYPE``."""


def empty_orders(n: int = 0) -> Orders:
    """Return ``n`` zeroed orders."""
    return np.zeros(n, dtype=ORDER_DTYPE)


def empty_fills(n: int = 0) -> Fills:
    """Return ``n`` zeroed fills."""
    return np.zeros(n, dtype=FILL_DTYPE)
