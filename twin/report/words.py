"""Numbers and times as a reader wants them: with a unit, sensibly rounded, never a bare NaN."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeGuard

NOT_RECORDED = "not recorded"
NBSP = "\u00a0"
MINUS = "\u2212"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether the value is a number that can be shown."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int = 0) -> str:
    """A number with that many decimals, a true minus sign and narrow thousands."""
    if not is_number(value):
        return NOT_RECORDED
    text = f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", MINUS)
    return text.removeprefix(MINUS) if not any(c in "123456789" for c in text) else text


def energy(wh: Any) -> str:
    """Wh, kWh or MWh, to about three digits."""
    if not is_number(wh):
        return NOT_RECORDED
    size = abs(wh)
    if size < 1000:
        return f"{number(wh)}{NBSP}Wh"
    if size < 1e6:
        return f"{number(wh / 1e3, 1 if size < 1e5 else 0)}{NBSP}kWh"
    return f"{number(wh / 1e6, 2 if size < 1e8 else 1)}{NBSP}MWh"


def reactive_energy(varh: Any) -> str:
    """varh, kvarh or Mvarh."""
    return energy(varh).replace("Wh", "varh")


def power(w: Any) -> str:
    """W or kW."""
    if not is_number(w):
        return NOT_RECORDED
    return f"{number(w)}{NBSP}W" if abs(w) < 1000 else f"{number(w / 1e3, 1)}{NBSP}kW"


def apparent(va: Any) -> str:
    """VA or kVA."""
    return power(va).replace("W", "VA")


def money(micro: Any, currency: str) -> str:
    """Millionths of the currency, shown to the cent; decimal arithmetic, as money deserves."""
    if not is_number(micro):
        return NOT_RECORDED
    amount = (Decimal(str(micro)) / 1_000_000).quantize(Decimal("0.01"))
    return f"{amount:,}".replace(",", "\u202f").replace("-", MINUS) + f"{NBSP}{currency}"


def price(micro_per_kwh: Any, currency: str) -> str:
    """A price per kWh to a hundredth of a cent."""
    if not is_number(micro_per_kwh):
        return NOT_RECORDED
    return f"{number(micro_per_kwh / 1e6, 4)}{NBSP}{currency}/kWh"


def duration(seconds: Any) -> str:
    """Hours and minutes; days from two days on."""
    if not is_number(seconds):
        return NOT_RECORDED
    s = round(seconds)
    if s < 60:
        return f"{s}{NBSP}s"
    days, hours, minutes = s // 86400, s % 86400 // 3600, s % 3600 // 60
    if s >= 2 * 86400:
        return f"{days}{NBSP}d" + (f" {hours}{NBSP}h" if hours else "")
    hours = s // 3600
    parts = ([f"{hours}{NBSP}h"] if hours else []) + ([f"{minutes}{NBSP}min"] if minutes else [])
    return " ".join(parts)


def element_hours(seconds: Any) -> str:
    """Durations that were added up over elements: no time of a clock."""
    if not is_number(seconds):
        return NOT_RECORDED
    hours = seconds / 3600
    return f"{number(hours, 0 if hours >= 99.5 else 1 if hours >= 0.95 else 2)}{NBSP}element-hours"


def moment(iso: Any, fallback: str = NOT_RECORDED) -> str:
    """An ISO time in its own zone: Mon 18 Jan 2016, 18:45."""
    try:
        time = datetime.fromisoformat(str(iso))
    except ValueError:
        return fallback
    return f"{time:%a} {time.day} {time:%b %Y, %H:%M}".replace(" ", NBSP)


def zone(iso: Any) -> str:
    """The zone of an ISO time as 'UTC+01:00'."""
    try:
        offset = datetime.fromisoformat(str(iso)).utcoffset()
    except ValueError:
        offset = None
    if offset is None:
        return "an unknown zone"
    minutes = round(offset.total_seconds() / 60)
    sign = MINUS if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "UTC"


_DIGITS = {"pu": 4, "%": 1, "pp": 1, "A": 1, "V": 1}


def quantity(value: Any, unit: str | None, *, apart_from: Any = None, currency: str = "EUR") -> str:
    """A value with its unit, with as many decimals as it takes to differ from the limit ``apart_from``:
    100.04 % over a limit of 100 % is not shown as 100.0 %.
    """
    if not is_number(value):
        return NOT_RECORDED
    unit = {"percent": "%", "percent points": "pp"}.get(unit or "", unit)
    if unit == "pu" and 0 < abs(value) < 1e-4:
        return small(value, unit)
    shown = {"Wh": energy, "W": power, "VA": apparent, "s": duration}.get(unit or "")
    if shown is not None:
        same = is_number(apart_from) and value != apart_from and shown(value) == shown(apart_from)
        return shown(value) if not same else f"{number(value, 1)}{NBSP}{unit}"
    if unit in ("micro", f"micro{currency}", "µEUR", "µ€"):
        return money(value, currency)
    whole = float(value).is_integer()
    digits = _DIGITS.get(unit or "", 0 if whole else 3)
    if is_number(apart_from) and value != apart_from:
        while digits < 9 and number(value, digits) == number(apart_from, digits):
            digits += 1
    return number(value, digits) + (f"{NBSP}{unit}" if unit else "")


def difference(value: Any, unit: str | None, *, currency: str = "EUR") -> str:
    """A margin or a share: of percentages it is in percentage points (pp)."""
    return quantity(value, "pp" if unit in ("percent", "%") else unit, currency=currency)


def small(value: Any, unit: str) -> str:
    """A very small difference in powers of ten: 3.1e-10 pu."""
    if not is_number(value):
        return NOT_RECORDED
    return f"{value:.1e}".replace("-", MINUS) + f"{NBSP}{unit}" if value else f"0{NBSP}{unit}"


def natural(name: str) -> tuple[Any, ...]:
    """A key to sort names by: Load 9 before Load 10."""
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    return ("".join(c for c in name if not c.isdigit()), [int(d) for d in digits], name)
