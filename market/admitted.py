"""A mechanism that only admitted assets may trade in; what others offer or ask for is left to the supplier."""

import numpy as np
import numpy.typing as npt

from market.mechanism import Clearing, Mechanism, Tariff
from market.orders import HOUSE, Fills, Orders
from market.recut import Reexecutes

NEVER = 2**62
"""First interval of an asset that is not admitted."""


class AdmittedOnly:
    """Leaves out orders of assets that are not admitted (yet), then clears with another mechanism.

    ``first_interval`` has shape (n, 4): from which interval on a participant's device may trade, ``NEVER`` where it is
    not admitted. A house's own consumption is no asset: its column does not count.
    """

    def __init__(self, market: Mechanism, first_interval: npt.NDArray[np.int64]) -> None:
        self.name = market.name
        self._market = market
        self._first = first_interval

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Clear what may trade. Raises what the inner mechanism raises."""
        return self._market.clear(self.admitted(orders), tariff, interval)

    def admitted(self, orders: Orders) -> Orders:
        """The orders of admitted assets and of houses, at their delivery interval."""
        device = orders["device"]
        mine: Orders = orders[
            (device == HOUSE) | (self._first[orders["participant"], device] <= orders["interval"])
        ]
        return mine

    def reexecute(self, fills: Fills, accepted_wh: npt.NDArray[np.int64]) -> Fills:
        """As the inner mechanism; where it does not re-execute, prices stand."""
        if isinstance(self._market, Reexecutes):
            return self._market.reexecute(fills, accepted_wh)
        return fills.copy()
