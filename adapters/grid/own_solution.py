"""Which solution Newton's method has found: power flow equations have several, and a feeder takes only one of them."""

from adapters.grid.thevenin import ComplexArray

LEAST_REAL_PART = 0.5
"""Of a voltage over the one at no load. Behind one impedance x = V/E solves |x|² - x = Z conj(S)/|E|², so its imaginary
part is known and its real part is 1/2 plus or minus a root: the feeder's own solution has the plus."""


def own_solution(v: ComplexArray, v_idle: ComplexArray) -> bool:
    """Whether voltages (any shape) are those that the feeder reaches from no load, as far as angles and sizes tell.

    The others have collapsed or reversed voltages, and satisfy every equation. With several buses the bound is not
    exact; a feeder that comes near it is about to collapse.
    """
    return bool(((v / v_idle).real >= LEAST_REAL_PART).all())
