"""SG Ready: the four operating states of a heat pump, what they make it draw, and how a state is ordered.

States as the German heat pump association (Bundesverband Waermepumpe, BWP) defines them in its regulations for the SG
Ready label, section 2.1 (terminals 1:0, 0:0, 0:1, 1:1): 1 blocked, for at most two hours; 2 normal, energy-efficient
operation with a store filled for such a block; 3 a recommendation to run more; 4 an order to run, as far as the
controller allows. What it draws in state 3 is the maker's affair; ``BOOST_SHARE`` of rated power at least is assumed.
"""

from dataclasses import dataclass

BLOCKED, NORMAL, BOOST, FORCED = 1, 2, 3, 4
STATE_NAMES = {BLOCKED: "blocked", NORMAL: "normal", BOOST: "boost", FORCED: "forced"}
INPUTS = {BLOCKED: (0, 1), NORMAL: (0, 0), BOOST: (1, 0), FORCED: (1, 1)}
"""Inputs 1 and 2 of a register interface by the manual of a Stiebel Eltron ISG, which counts the block as input 2."""
BLOCK_MOST_S = 7200.0
"""A block lasts two hours at most (BWP)."""
DWELL_S = 600.0
"""Every state stands for ten minutes at least, so that compressors are not cycled."""
BOOST_SHARE = 0.6
"""Of rated power, at least, in state 3."""
_ORDERS = {BLOCKED: 0.0, NORMAL: 0.98, BOOST: 0.99, FORCED: 1.0}
"""What a state is ordered as, in shares of rated power: the write gate, its limits and the bench's sums know powers.
All but the blocked one may come to rated power, so that is what they count as; the hundredths only tell them apart."""


@dataclass(frozen=True)
class HeatNeed:
    """What a house asks of its heat pump during a step, in W of electrical power, >= 0: ``normal_w`` is drawn in normal
    operation, ``most_w`` fills the heat store to its upper bound.
    """

    normal_w: float = 0.0
    most_w: float = 0.0


def order_w(state: int, p_max_w: float) -> float:
    """Return the set point that stands for a state, in W, positive into the grid (so never above 0)."""
    return -_ORDERS[state] * p_max_w


def state_of(p_set_w: float, p_max_w: float) -> int:
    """Return the state that a set point stands for: the one whose own is nearest, the lower where two are."""
    share = -p_set_w / p_max_w
    return min(_ORDERS, key=lambda state: (abs(_ORDERS[state] - share), state))


def draws_w(state: int, need: HeatNeed, p_max_w: float) -> float:
    """Return what a heat pump draws in a state, in W, >= 0; it stops by itself when its store is full."""
    if state == BLOCKED:
        return 0.0
    most_w = min(p_max_w, need.most_w)
    normal_w = min(need.normal_w, most_w)
    if state == NORMAL:
        return normal_w
    return most_w if state == FORCED else min(max(normal_w, BOOST_SHARE * p_max_w), most_w)
