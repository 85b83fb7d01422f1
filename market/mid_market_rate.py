"""Mid-market rate: local energy changes hands in the middle between feed-in and retail price.

m = (lo + hi)/2; S = D: both at m; S < D: r = m, c = (m S + hi (D - S))/D; S > D: c = m, r = (m D + lo (S - D))/S.
The linear rule of Fabi et al. 2025 (arXiv 2512.24432) is algebraically the same.

Source: C. Long, J. Wu, C. Zhang, L. Thomas, M. Cheng, N. Jenkins, "Peer-to-peer energy trading in a community
microgrid", IEEE PES General Meeting 2017.
"""

from market.local_price import LocalPriceRule
from market.mechanism import Tariff


def mid_market_price(sold_wh: int, bought_wh: int, tariff: Tariff) -> int:
    """Return (lo + hi) / 2, rounded down (buyers gain half a micro per kWh at most)."""
    return (tariff.feed_in_micro_per_kwh + tariff.retail_micro_per_kwh) // 2


class MidMarketRate(LocalPriceRule):
    """Mid-market rate. ``respect_limits``: leave out orders whose limit the price breaks."""

    def __init__(self, respect_limits: bool = True) -> None:
        super().__init__("mid_market_rate", mid_market_price, respect_limits)
