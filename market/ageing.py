"""How much of a pool's energy is left after some time, as an exact fraction: no exponential, no float.

Two causes: devices lose energy (self-discharge at a rate per hour), and energy of the elapsed part of a
running delivery interval has already been used.
"""

from market.errors import RangeError

ONE_Q32 = 2**32
"""1 in the fixed-point format Q0.32 of the retention table."""
_MILLION = 1_000_000
_HOUR_S = 3600


def hourly_retention_q32(self_discharge_ppm_per_h: int, hours: int) -> int:
    """Return (1 - sigma)^hours in Q0.32, rounded down at every hour, so that a contract can do the same.

    Raises:
        RangeError: sigma outside 0 to 1e6 ppm, or negative hours.
    """
    if not (0 <= self_discharge_ppm_per_h <= _MILLION and hours >= 0):
        raise RangeError(f"ageing: got {self_discharge_ppm_per_h} ppm per h over {hours} h")
    left = ONE_Q32
    for _ in range(hours):
        left = left * (_MILLION - self_discharge_ppm_per_h) // _MILLION
    return left


def retention(
    self_discharge_ppm_per_h: int, from_s: int, to_s: int, slot_start_s: int, slot_end_s: int
) -> tuple[int, int]:
    """Return the fraction (num, den) of a pool's energy at ``from_s`` that is left at ``to_s``.

    Self-discharge counts whole hours of the simulation's clock (the part of an hour is linear); within the
    delivery slot the factor (end - to)/(end - from) is added, because energy of elapsed seconds is gone.

    Raises:
        RangeError: Times out of order, or ``to_s`` not before the end of the slot (then the pool is closed).
    """
    if not (from_s <= to_s < slot_end_s and slot_start_s < slot_end_s):
        raise RangeError(f"ageing: from {from_s} to {to_s} s must be ordered, before {slot_end_s}")
    hours, seconds = divmod(to_s - from_s, _HOUR_S)
    num = hourly_retention_q32(self_discharge_ppm_per_h, hours)
    num = num * (_HOUR_S * _MILLION - self_discharge_ppm_per_h * seconds) // (_HOUR_S * _MILLION)
    running_from = max(from_s, slot_start_s)
    running_to = max(to_s, slot_start_s)
    return num * (slot_end_s - running_to) // (slot_end_s - running_from), ONE_Q32
