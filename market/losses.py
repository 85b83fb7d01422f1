"""Who bears the feeder's losses: whole Wh, shared by a stated rule, adding up exactly.

'use': in proportion to energy taken from the grid. 'exchange': in proportion to energy taken and given. 'marginal': in
proportion to what each participant's flow adds to the losses (its sensitivity times its energy); whoever lowers
losses bears none.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from market.errors import BillingError
from market.shares import largest_remainder

Rule = Literal["use", "exchange", "marginal"]
RULES: tuple[str, ...] = get_args(Rule)


def allocate_losses(
    loss_wh: int,
    net_wh: Sequence[int],
    rule: str,
    sensitivity_ppm: Sequence[int] | None = None,
) -> list[int]:
    """Return the Wh of losses that each participant bears.

    Args:
        loss_wh: losses of the interval, >= 0.
        net_wh: net energy per participant, positive into the grid.
        rule: 'use', 'exchange' or 'marginal'.
        sensitivity_ppm: d loss / d injection per participant in millionths, for 'marginal'.

    Raises:
        BillingError: Unknown rule, missing sensitivities, negative losses, or nobody to bear them.
    """
    if rule not in RULES:
        raise BillingError(f"losses: unknown rule {rule!r}; allowed: {', '.join(RULES)}")
    if loss_wh < 0:
        raise BillingError(f"losses: {loss_wh} Wh; must not be negative")
    if rule == "use":
        weights = [max(0, -e) for e in net_wh]
    elif rule == "exchange":
        weights = [abs(e) for e in net_wh]
    else:
        if sensitivity_ppm is None or len(sensitivity_ppm) != len(net_wh):
            raise BillingError("losses: the marginal rule needs one sensitivity per participant")
        weights = [max(0, e * s) for e, s in zip(net_wh, sensitivity_ppm, strict=True)]
    return largest_remainder(loss_wh, weights)
