"""Numbers written as text with a unit ("11 kW"): what the author meant, in the unit that the key asks for."""

import re

_QUANTITY = re.compile(r"\s*([-+]?[0-9]+(?:[.,][0-9]+)?)\s*([^\s\d.,].*)?")
_CLOCK = re.compile(r"\s*([01]?[0-9]|2[0-3]):([0-5][0-9])\s*")

UNITS = {
    "_w": {"w": 1.0, "kw": 1e3, "mw": 1e6},
    "_va": {"va": 1.0, "kva": 1e3, "mva": 1e6},
    "_var": {"var": 1.0, "kvar": 1e3},
    "_wh": {"wh": 1.0, "kwh": 1e3, "mwh": 1e6},
    "_s": {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "_h": {"h": 1.0, "min": 1 / 60},
    "_days": {"d": 1.0, "day": 1.0, "days": 1.0, "week": 7.0, "weeks": 7.0, "h": 1 / 24},
    "_percent": {"%": 1.0, "percent": 1.0},
    "_pu": {"pu": 1.0, "p.u.": 1.0, "%": 0.01},
    "_c": {"°c": 1.0, "c": 1.0},
    "_k": {"k": 1.0, "°c": 1.0, "c": 1.0},
    "_ohm": {"ohm": 1.0, "ω": 1.0, "mohm": 1e-3},
    "_per_kw": {"eur/kw": 1.0, "€/kw": 1.0, "eur": 1.0, "€": 1.0},
    "_per_day": {"eur/d": 1.0, "€/d": 1.0, "eur/day": 1.0, "€/day": 1.0, "eur": 1.0, "€": 1.0},
    "_eur": {"eur": 1.0, "€": 1.0, "ct": 0.01},
    "_per_kwh": {
        "eur/kwh": 1.0,
        "€/kwh": 1.0,
        "eur": 1.0,
        "€": 1.0,
        "ct/kwh": 0.01,
        "ct": 0.01,
        "eur/mwh": 1e-3,
    },
}
"""Suffix of a key to the units that are understood for it, each as a factor to the key's own unit."""


def suggestion(key: str, text: str, allowed: str) -> str:
    """Return 'Write 11000.' where the text is a number with a unit that fits the key, else nothing."""
    if "number" not in allowed and "price" not in allowed:
        return ""
    clock = _CLOCK.fullmatch(text)
    if clock and key.endswith("_h"):
        return f"Write {int(clock[1]) + int(clock[2]) / 60:.10g}."
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return ""
    number, unit = float(match[1].replace(",", ".")), (match[2] or "").strip().lower()
    if not unit:
        return f"Write {number:.10g}, without quotation marks and with a decimal point."
    for suffix in sorted(UNITS, key=len, reverse=True):
        if key.endswith(suffix):
            factor = UNITS[suffix].get(unit)
            return f"Write {number * factor:.10g}." if factor is not None else ""
    return ""
