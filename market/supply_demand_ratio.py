"""Supply-demand ratio: the local price falls from retail to feed-in as local supply approaches demand.

R = S/D; R <= 1: r = lo hi/((hi - lo) R + lo), equivalently 1/r = R/lo + (1 - R)/hi, and c = r R + hi (1 - R);
R > 1: both at lo. With a compensation l (micro per kWh) for sellers: R >= 1: r = lo + l/R, c = lo + l; R < 1:
r = (lo + l) hi/((hi - lo - l) R + lo + l).

Sources: N. Liu, X. Yu, C. Wang, C. Li, L. Ma, J. Lei, "Energy-sharing model with price-based demand response for
microgrids of peer-to-peer prosumers", IEEE Trans. Power Systems 32 (2017) 3569-3583, doi 10.1109/TPWRS.2017.2649558.
Both forms are also those of an independent implementation, ``compute_sdr`` of rec_op_lem_prices
(github.com/CPES-Power-and-Energy-Systems/rec-operation), whose compensation counts in parts of hi - lo.
"""

from market.errors import TariffError
from market.local_price import LocalPriceRule
from market.mechanism import Tariff


def supply_demand_price(sold_wh: int, bought_wh: int, tariff: Tariff, compensation: int = 0) -> int:
    """Return the local price in micro per kWh, rounded down.

    Raises:
        TariffError: A negative feed-in price (the formula has a pole), or a compensation beyond the band.
    """
    high = tariff.retail_micro_per_kwh
    low = tariff.feed_in_micro_per_kwh + compensation
    if tariff.feed_in_micro_per_kwh < 0 or not low <= high:
        raise TariffError(
            f"supply_demand_ratio: feed-in {tariff.feed_in_micro_per_kwh}, compensation {compensation}, retail {high}"
            "; needs 0 <= feed-in and feed-in + compensation <= retail"
        )
    if sold_wh >= bought_wh or low == high:
        return low
    return low * high * bought_wh // ((high - low) * sold_wh + low * bought_wh)


class SupplyDemandRatio(LocalPriceRule):
    """Supply-demand ratio.

    Args:
        compensation_micro_per_kwh: what sellers get above feed-in even when there is more supply than demand.
        respect_limits: leave out orders whose limit the price breaks.
    """

    def __init__(self, compensation_micro_per_kwh: int = 0, respect_limits: bool = True) -> None:
        super().__init__(
            "supply_demand_ratio",
            lambda sold, bought, tariff: supply_demand_price(
                sold, bought, tariff, compensation_micro_per_kwh
            ),
            respect_limits,
        )
