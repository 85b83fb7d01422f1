"""Bill sharing: local energy is free; the community's import bill and export income are shared in proportion.

c = hi (D - S)+ / D for consumption and r = lo (S - D)+ / S for production. As a mechanism it works per interval on
orders; ``share_bill`` does the same over any horizon on metered energy.

Sources: C. Long, J. Wu, C. Zhang, L. Thomas, M. Cheng, N. Jenkins, "Peer-to-peer energy trading in a community
microgrid", IEEE PES General Meeting 2017; Y. Zhou, J. Wu, C. Long, "Evaluation of peer-to-peer energy sharing
mechanisms based on a multiagent simulation framework", Applied Energy 222 (2018) 993-1022. Variants differ; this one
shares the two sides of the community's meter apart.
"""

from collections.abc import Sequence

from market.errors import BillingError
from market.local_price import LocalPriceRule
from market.mechanism import Tariff
from market.shares import largest_remainder


class BillSharing(LocalPriceRule):
    """Bill sharing. Members have agreed to share, so limit prices of orders do not count."""

    def __init__(self) -> None:
        super().__init__("bill_sharing", lambda sold, bought, tariff: 0, respect_limits=False)


def share_bill(
    consumption_wh: Sequence[int],
    production_wh: Sequence[int],
    import_wh: int,
    export_wh: int,
    tariff: Tariff,
) -> list[int]:
    """Return what each member pays (positive) or gets (negative), in micro; the sum is the community's bill exactly.

    Args:
        consumption_wh: per member over the horizon, >= 0.
        production_wh: per member over the horizon, >= 0.
        import_wh: energy that the community as a whole took from the grid (sum over intervals).
        export_wh: energy that it gave.
        tariff: retail price for imports, feed-in price for exports.

    Raises:
        BillingError: Lists of different length, negative energy, or a bill with nobody to bear it.
    """
    if len(consumption_wh) != len(production_wh):
        raise BillingError("bill sharing: consumption and production must have one entry per member")
    if min([*consumption_wh, *production_wh, import_wh, export_wh], default=0) < 0:
        raise BillingError("bill sharing: energies must not be negative")
    cost = -(-import_wh * tariff.retail_micro_per_kwh // 1000)
    income = export_wh * tariff.feed_in_micro_per_kwh // 1000
    paid = largest_remainder(cost, consumption_wh)
    received = largest_remainder(income, production_wh)
    return [p - r for p, r in zip(paid, received, strict=True)]
