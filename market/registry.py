"""Mechanisms by name, with their parameters: what a scenario's ``market.mechanism`` may say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from market.amm_market import AmmMarket
from market.bill_sharing import BillSharing
from market.call_auction import CallAuction
from market.continuous_auction import ContinuousAuction
from market.dynamic_price import MEMBERS
from market.errors import ParameterError
from market.mcafee import McAfee
from market.mechanism import Mechanism
from market.mid_market_rate import MidMarketRate
from market.no_trade import NoTrade
from market.parameters import Parameter, nearest, parse_parameters
from market.pay_as_bid import PayAsBid
from market.pool_market import PoolAndBook
from market.sharing import SharingCoefficients
from market.supply_demand_ratio import SupplyDemandRatio


@dataclass(frozen=True)
class Entry:
    """A mechanism that a scenario may name: how it is made, its parameters, and one sentence for a reader."""

    make: Callable[..., Mechanism]
    text: str
    parameters: Mapping[str, Parameter]


_K = Parameter("k_ppm", "micro", 500_000, "0: lowest clearing price, 1: highest, 0.5: middle.")
_TICK = Parameter(
    "tick_micro_per_kwh", "int", 1, "Limits are whole multiples, in micro per kWh.", "1", "1000000"
)
_RATIONING = Parameter(
    "rationing", "choice", "time", "Who is served at the margin.", choices=("time", "pro_rata")
)

_LIMITS = Parameter("respect_limits", "flag", True, "Leave out orders whose limit the price breaks.")
_HORIZON = Parameter("horizon", "int", 0, "Intervals ahead for which orders are taken.", "0", "192")

ENTRIES: dict[str, Entry] = {
    "none": Entry(NoTrade, "No local trade: the reference point.", {}),
    "call_auction": Entry(
        CallAuction,
        "Uniform-price call auction (k-double auction).",
        {"k": _K, "tick_micro_per_kwh": _TICK, "rationing": _RATIONING},
    ),
    "pay_as_bid": Entry(
        PayAsBid,
        "Discriminatory auction: traders' own prices.",
        {"rule": Parameter("rule", "choice", "bid", "Whose price counts.", choices=("bid", "ask", "own"))},
    ),
    "order_book": Entry(
        ContinuousAuction, "Continuous double auction with price-time priority.", {"horizon": _HORIZON}
    ),
    "mcafee": Entry(McAfee, "McAfee's truthful double auction.", {}),
    "mid_market_rate": Entry(
        MidMarketRate, "Local energy in the middle between feed-in and retail.", {"respect_limits": _LIMITS}
    ),
    "supply_demand_ratio": Entry(
        SupplyDemandRatio,
        "Price falls as local supply approaches demand.",
        {
            "compensation_per_kwh": Parameter(
                "compensation_micro_per_kwh", "micro", 0, "What sellers get above feed-in.", "0", "1000"
            ),
            "respect_limits": _LIMITS,
        },
    ),
    "bill_sharing": Entry(BillSharing, "Import cost and export income are shared in proportion.", {}),
    "sharing_coefficients": Entry(
        SharingCoefficients,
        "Ex-post energy sharing by static, dynamic or hybrid coefficients.",
        {
            "key": Parameter(
                "key", "choice", "dynamic", "Coefficients.", choices=("static", "dynamic", "hybrid")
            ),
            "price_in_band": Parameter(
                "price_ppm_of_band", "micro", 500_000, "Agreed price, 0: feed-in, 1: retail."
            ),
        },
    ),
    "amm": Entry(
        AmmMarket,
        "Dissipative constant-product pool.",
        {
            "capacity_wh": Parameter(
                "capacity_wh", "int", 50_000, "Energy at which the price reaches feed-in.", "10", "100000000"
            ),
            "fee": Parameter("fee_ppm", "micro", 1_000, "Part of the money.", "0.000001", "0.5"),
            "opening_price_in_band": Parameter(
                "opening_ppm_of_band", "micro", 500_000, "Price of the empty pool.", "0.01", "1"
            ),
            "horizon": _HORIZON,
        },
    ),
    "pool_and_book": Entry(
        PoolAndBook,
        "Dissipative pools with providers, and order books, open to a horizon.",
        {
            "capacity_wh": Parameter(
                "capacity_wh",
                "int",
                2_000,
                "Size of the fund's pool where no battery provides.",
                "10",
                "100000000",
            ),
            "fee": Parameter("fee_ppm", "micro", 3_000, "Part of the money.", "0.000001", "0.5"),
            "opening_price_in_band": Parameter(
                "opening_ppm_of_band", "micro", 500_000, "Price of the first pools.", "0.01", "1"
            ),
            "self_discharge_per_h": Parameter(
                "self_discharge_ppm_per_h", "micro", 0, "Lost by committed stored energy.", "0", "0.5"
            ),
            "index": Parameter(
                "index", "choice", "supply_demand", "Family of the published price.", choices=MEMBERS
            ),
            "horizon": _HORIZON,
            "rounds": Parameter(
                "rounds", "int", 1, "Trading rounds in which a running slot passes.", "1", "60"
            ),
        },
    ),
}

MECHANISM_NAMES: tuple[str, ...] = tuple(ENTRIES)


def make_mechanism(name: str, parameters: Mapping[str, Any] | None = None) -> Mechanism:
    """Return a fresh mechanism (with no state from another run).

    Raises:
        ParameterError: Unknown name or parameter, or a value out of range; all problems at once, with what is
            allowed and the nearest known name.
    """
    if name not in ENTRIES:
        hint = nearest(name, MECHANISM_NAMES)
        raise ParameterError(f"mechanism: unknown name {name!r}{hint}; allowed: {', '.join(MECHANISM_NAMES)}")
    entry = ENTRIES[name]
    return entry.make(**parse_parameters(name, parameters or {}, entry.parameters))
