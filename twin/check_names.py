"""Checks in words: verdict, report and command line name them alike."""

CHECK_WORDS = {
    "voltage_min": "lowest voltage",
    "voltage_max": "highest voltage",
    "line_loading": "line loading",
    "transformer_loading": "transformer loading",
    "voltage_rise": "rise of a voltage by trades",
    "voltage_unbalance": "voltage unbalance",
    "reverse_power": "power into the upstream grid",
    "feeder_cap": "power through the feeder head",
    "feeder_cap_apparent": "apparent power through the feeder head",
    "line_loading_average": "mean line loading",
    "transformer_loading_average": "mean transformer loading",
    "en50160": "EN 50160",
    "en50160_voltage": "EN 50160, means within ±10 %",
    "en50160_extreme": "EN 50160, outermost mean",
    "en50160_unbalance": "EN 50160, unbalance up to 2 %",
    "ansi_c84_1": "ANSI C84.1",
    "ansi_range_a": "ANSI C84.1 range A",
    "ansi_range_b": "ANSI C84.1 range B",
    "power_flow": "power flows solved",
    "engine_agreement": "agreement of engines",
    "device_data": "data of devices on a wire",
    "fault_handling": "faults noticed and handled",
    "calibration": "calibration of meters",
    "wall_clock": "wall-clock time kept",
    "money": "money sums to zero",
    "oracles": "readings agreed",
    "settlement": "batches on chain",
}
_WHO = {"trades": "with trades", "feeder": "without trades", "expect": "expected"}


def check_words(name: str) -> str:
    """A check's name in words: 'trades.voltage_min' is 'lowest voltage, with trades'.

    An expectation keeps the name of its KPI; a name that is not known loses its underscores.
    """
    who, _, what = name.rpartition(".")
    text = what if who == "expect" else CHECK_WORDS.get(what, what.replace("_", " "))
    return f"{text}, {_WHO.get(who, who)}" if who else text
