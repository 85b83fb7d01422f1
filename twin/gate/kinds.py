"""The kinds of limits: unit, place and clause of each, and what is too little to be a worsening."""

from typing import Literal

Kind = Literal[
    "voltage_min",
    "voltage_max",
    "line_loading",
    "transformer_loading",
    "voltage_rise",
    "voltage_unbalance",
    "reverse_power",
    "feeder_cap",
    "feeder_cap_apparent",
    "line_loading_average",
    "transformer_loading_average",
    "en50160_voltage",
    "en50160_extreme",
    "en50160_unbalance",
    "ansi_range_a",
    "ansi_range_b",
    "no_solution",
]
Place = Literal["bus", "branch", "head", "nowhere"]

HEAD = "feeder head"
"""Element of the limits on what flows between the feeder and the upstream grid."""

_UNITS = {
    "voltage_min": "pu", "voltage_max": "pu", "en50160_extreme": "pu", "ansi_range_a": "pu", "ansi_range_b": "pu",
    "reverse_power": "W", "feeder_cap": "W", "feeder_cap_apparent": "VA", "no_solution": "",
}  # fmt: skip
_PER_PU = {"pu": 1.0, "percent": 100.0, "W": 1e6, "VA": 1e6, "": 0.0}

CLAUSES: dict[str, str] = {
    "voltage_min": "planning band of the scenario (limits.voltage_min_pu)",
    "voltage_max": "planning band of the scenario (limits.voltage_max_pu)",
    "line_loading": "thermal rating (limits.line_loading_percent)",
    "transformer_loading": "rated power (limits.transformer_loading_percent)",
    "voltage_rise": "VDE-AR-N 4105, voltage change: voltage with trades over that without at the same moment, 3 %",
    "voltage_unbalance": "negative- over positive-sequence voltage (EN 50160 4.2.4 and 5.2.4: 2 %), every step",
    "reverse_power": "power that the feeder sends into the upstream grid (limits.reverse_power_w)",
    "feeder_cap": "active power through the feeder head, either way (limits.feeder_cap_w)",
    "feeder_cap_apparent": "apparent power through the feeder head (limits.feeder_cap_va)",
    "line_loading_average": "mean over limits.loading_average_s against the continuous rating of the line",
    "transformer_loading_average": "mean over limits.loading_average_s against the rated power (cf. IEC 60076-7)",
}
SHORT_TIME = {
    "line_loading": "short-time rating (limits.line_short_time_loading_percent)",
    "transformer_loading": "short-time rating (limits.transformer_short_time_loading_percent; cf. IEC 60076-7)",
}


def unit_of(kind: str) -> str:
    """Unit of value and limit: pu, percent, W or VA; empty where there is no solution."""
    return _UNITS.get(kind, "percent")


def place_of(kind: str) -> Place:
    """What an element of this kind is; rows of ``head`` and ``nowhere`` are -1."""
    if kind == "no_solution":
        return "nowhere"
    if unit_of(kind) in ("W", "VA"):
        return "head"
    return "branch" if "loading" in kind else "bus"


def scaled(kind: str, value_pu: float) -> float:
    """A tolerance in pu as one of the kind: a hundredfold in percent, a millionfold in W and VA."""
    return value_pu * _PER_PU[unit_of(kind)]
