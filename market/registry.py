"""Mechanisms by name, with their parameters: what a scenario's ``market.mechanism`` may say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from market.call_auction import CallAuction
from market.errors import ParameterError
from market.mechanism import Mechanism
from market.no_trade import NoTrade
from market.parameters import Parameter, nearest, parse_parameters


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

ENTRIES: dict[str, Entry] = {
    "none": Entry(NoTrade, "No local trade: the reference point.", {}),
    "call_auction": Entry(
        CallAuction,
        "Uniform-price call auction (k-double auction).",
        {"k": _K, "tick_micro_per_kwh": _TICK, "rationing": _RATIONING},
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
