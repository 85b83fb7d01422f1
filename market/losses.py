"""Who bears the feeder's losses: whole Wh, shared by a stated rule, adding up exactly.

'use': in proportion to energy taken from the grid. 'exchange': in proportion to energy taken and given. 'marginal': in
proportion to what each participant's flow adds to the losses (its sensitivity times its energy); whoever lowers
losses bears none.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import njit

from market.errors import BillingError
from market.shares import largest_remainder_array

Ints = npt.NDArray[np.int64]
Rule = Literal["use", "exchange", "marginal"]
RULES: tuple[str, ...] = get_args(Rule)


def allocate_losses(
    loss_wh: int,
    net_wh: Ints,
    rule: str,
    sensitivity_ppm: Ints | None = None,
) -> Ints:
    """Return the Wh of losses that each participant bears; (n,).

    Args:
        loss_wh: losses of the interval, >= 0.
        net_wh: net energy per participant, positive into the grid; (n,).
        rule: 'use', 'exchange' or 'marginal'.
        sensitivity_ppm: d loss / d injection per participant in millionths, for 'marginal'; (n,).

    Raises:
        BillingError: Unknown rule, missing sensitivities, negative losses, or nobody to bear them.
    """
    if rule not in RULES:
        raise BillingError(f"losses: unknown rule {rule!r}; allowed: {', '.join(RULES)}")
    if loss_wh < 0:
        raise BillingError(f"losses: {loss_wh} Wh; must not be negative")
    if rule != "marginal":
        return largest_remainder_array(loss_wh, _exchanged(net_wh, rule == "exchange"))
    if sensitivity_ppm is None or len(sensitivity_ppm) != len(net_wh):
        raise BillingError("losses: the marginal rule needs one sensitivity per participant")
    return largest_remainder_array(loss_wh, np.maximum(net_wh * sensitivity_ppm, 0))


@njit(cache=True)
def _exchanged(net_wh, both):  # type: ignore[no-untyped-def]
    """Energy taken from the grid, and given where ``both``."""
    weights = np.empty_like(net_wh)
    for i in range(net_wh.size):
        weights[i] = -net_wh[i] if net_wh[i] < 0 else (net_wh[i] if both else 0)
    return weights


@njit(cache=True)
def can_bear(net_wh, both):  # type: ignore[no-untyped-def]
    """Whether anybody takes energy, or gives it where ``both``: without one there is nobody to bear losses."""
    bearing = 0
    for i in range(net_wh.size):
        bearing += net_wh[i] < 0 or (both and net_wh[i] > 0)
    return bearing > 0
