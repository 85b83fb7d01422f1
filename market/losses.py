"""Who bears the feeder's losses: whole Wh, shared by a stated rule, adding up exactly.

'use': in proportion to energy taken from the grid. 'exchange': in proportion to energy taken and given. 'marginal': in
proportion to what each participant's flow adds to the losses (its sensitivity times its energy); whoever lowers
losses bears none.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

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
    if rule == "use":
        weights = np.maximum(-net_wh, 0)
    elif rule == "exchange":
        weights = np.abs(net_wh)
    else:
        if sensitivity_ppm is None or len(sensitivity_ppm) != len(net_wh):
            raise BillingError("losses: the marginal rule needs one sensitivity per participant")
        weights = np.maximum(net_wh * sensitivity_ppm, 0)
    return largest_remainder_array(loss_wh, weights)
