"""How much of each accepted fill the energy at the connection point covers."""

import numpy as np
import numpy.typing as npt
from numba import njit

from market.orders import Fills


@njit(cache=True)
def cover(fills, accepted_wh, left_wh, covered_wh):  # type: ignore[no-untyped-def]
    """Serve the inflexible fills first, then the flexible, each in order, from what is left per side (sales,
    purchases) and participant; (2, n). For compiled callers; others want ``covered_wh``.
    """
    for flexible in (False, True):
        for i in range(fills.size):
            if fills[i]["flexible"] == flexible:
                side = 0 if fills[i]["side"] > 0 else 1
                who = fills[i]["participant"]
                covered_wh[i] = min(accepted_wh[i], left_wh[side, who])
                left_wh[side, who] -= covered_wh[i]


def covered_wh(
    fills: Fills, accepted_wh: npt.NDArray[np.int64], energy_wh: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return how much of each accepted fill is covered by the energy that flowed, in whole Wh; (m,).

    A participant's sales are covered by its net export, its purchases by its net import, in the order of the
    fills with the inflexible first.

    Args:
        fills: array of ``FILL_DTYPE``; (m,).
        accepted_wh: accepted energy per fill, >= 0; (m,).
        energy_wh: net energy of each participant, positive into the grid; (n,).
    """
    covered = np.zeros(fills.size, dtype=np.int64)
    if fills.size:
        left = np.stack((np.maximum(energy_wh, 0), np.maximum(-energy_wh, 0)))
        cover(fills, accepted_wh, left, covered)
    return covered
