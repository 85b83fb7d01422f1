"""Checks in words: verdict, report and command line name them alike."""

CHECK_WORDS = {
    "voltage_min": "lowest voltage",
    "voltage_max": "highest voltage",
    "line_loading": "line loading",
    "transformer_loading": "transformer loading",
    "power_flow": "power flows solved",
    "engine_agreement": "agreement of engines",
    "device_data": "data of devices on a wire",
    "fault_handling": "faults noticed and handled",
    "money": "money sums to zero",
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
