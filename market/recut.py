"""Money after the gate cut fills: prices stand, energy shrinks, money is recomputed and conserved to the
unit.

A mechanism with a pool (an AMM) is not cut but executed again with the accepted amounts, from the interval's
opening state; ``settle_accepted`` knows which is due.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from market.errors import RangeError
from market.mechanism import Mechanism
from market.money import fills_money_micro
from market.orders import POOL, Fills


@dataclass(frozen=True)
class Settled:
    """Accepted fills with their money, row for row as they were given to the gate.

    ``fills`` has the rows of the input with ``energy_wh`` replaced by what was accepted (zero rows stay, so
    that rows keep their meaning) and with the final price. ``money_micro`` is signed, positive where the
    participant receives. ``residue_micro`` is minus its sum: what stays with the pool (and, for fills with
    the supplier, what the supplier gets); a cut of discriminatory prices can make it negative.
    ``pool_imbalance_wh`` is energy sold to the pool less energy bought from it: zero whenever the gate kept
    the balance.
    """

    fills: Fills
    money_micro: npt.NDArray[np.int64]
    residue_micro: int
    pool_imbalance_wh: int


@runtime_checkable
class Reexecutes(Protocol):
    """A mechanism whose prices depend on what is executed: it runs the accepted amounts again."""

    def reexecute(self, fills: Fills, accepted_wh: npt.NDArray[np.int64]) -> Fills:
        """Execute ``accepted_wh`` per row from the opening state; return the rows with final prices."""
        ...


def check_accepted(fills: Fills, accepted_wh: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return ``accepted_wh`` as int64. Raises ``RangeError`` unless whole, one per row, 0 to the fill's
    energy.
    """
    accepted = np.asarray(accepted_wh)
    if accepted.shape != fills.shape or accepted.dtype.kind not in "iu":
        raise RangeError(
            f"accepted_wh: got {accepted.dtype} {accepted.shape}; must be integers of shape {fills.shape}"
        )
    wrong = (accepted < 0) | (accepted > fills["energy_wh"])
    if wrong.any():
        raise RangeError(
            [
                f"fill {row} (order {fills['order_id'][row]}): accepted {accepted[row]} Wh; "
                f"allowed is 0 to {fills['energy_wh'][row]}"
                for row in np.flatnonzero(wrong)
            ]
        )
    return accepted.astype(np.int64)


def recut(fills: Fills, accepted_wh: npt.NDArray[Any]) -> Settled:
    """Return the fills at their prices with the accepted energy, and their money.

    Args:
        fills: array of ``FILL_DTYPE``, as cleared.
        accepted_wh: integers of the same shape, 0 <= accepted <= energy of the fill.

    Raises:
        RangeError: With every row whose accepted energy is out of range.
    """
    cut = fills.copy()
    cut["energy_wh"] = check_accepted(fills, accepted_wh)
    money = fills_money_micro(cut)
    pool = cut["counterparty"] == POOL
    imbalance = int((cut["energy_wh"] * cut["side"])[pool].sum())
    return Settled(cut, money, -int(money.sum()), imbalance)


def settle_accepted(mechanism: Mechanism, fills: Fills, accepted_wh: npt.NDArray[Any]) -> Settled:
    """As ``recut``, but a mechanism that ``Reexecutes`` sets the final prices by running the accepted
    amounts.
    """
    accepted = check_accepted(fills, accepted_wh)
    if isinstance(mechanism, Reexecutes):
        return recut(mechanism.reexecute(fills, accepted), accepted)
    return recut(fills, accepted)
