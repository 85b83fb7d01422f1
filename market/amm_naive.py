"""The naive pool, for comparison: x*y = k without bounds, aged by ``sync`` as tokens that shrink would be.

``sync`` writes the energy that is left into the curve and leaves the money: so the price rises without a trade,
by the factor by which energy was lost. That drift is what the dissipative pool corrects.

Source: Uniswap v2 core (UniswapV2Pair.sol): (x + (1-f) dx)(y - dy) >= x y, and ``sync``.
"""

from fractions import Fraction

from market.amm import Swap
from market.errors import PoolRefusalError, RangeError

_MILLION = 1_000_000


class NaivePool:
    """Constant product x*y of energy and money; the fee stays inside the curve, as in Uniswap v2."""

    def __init__(self, energy_wh: int, cash_micro: int, fee_ppm: int) -> None:
        if not (energy_wh > 0 and cash_micro > 0 and 0 <= fee_ppm < _MILLION):
            raise RangeError(
                f"naive pool: got {energy_wh} Wh, {cash_micro} micro, fee {fee_ppm} ppm; must be > 0"
            )
        self.energy_wh = energy_wh
        self.cash_micro = cash_micro
        self.dissipated_wh = 0
        self._fee_ppm = fee_ppm

    @property
    def price_micro_per_kwh(self) -> Fraction:
        """Spot price."""
        return Fraction(1000 * self.cash_micro, self.energy_wh)

    def quote_buy(self, energy_wh: int) -> Swap:
        """Return what exactly ``energy_wh`` costs, rounded up (providers gain)."""
        self._positive(energy_wh)
        if energy_wh >= self.energy_wh:
            raise PoolRefusalError("larger_than_pool", "the pool does not hold more than that energy")
        net = -(-self.cash_micro * energy_wh // (self.energy_wh - energy_wh))
        gross = -(-net * _MILLION // (_MILLION - self._fee_ppm))
        return Swap(energy_wh, gross, gross - net)

    def quote_sell(self, energy_wh: int) -> Swap:
        """Return what exactly ``energy_wh`` brings, rounded down; the fee is kept in energy, as in Uniswap v2."""
        self._positive(energy_wh)
        counted = energy_wh * (_MILLION - self._fee_ppm)
        pay = self.cash_micro * counted // (self.energy_wh * _MILLION + counted)
        without_fee = self.cash_micro * energy_wh // (self.energy_wh + energy_wh)
        return Swap(energy_wh, pay, without_fee - pay)

    def buy(self, energy_wh: int) -> Swap:
        """Take energy out."""
        swap = self.quote_buy(energy_wh)
        self.energy_wh -= energy_wh
        self.cash_micro += swap.money_micro
        return swap

    def sell(self, energy_wh: int) -> Swap:
        """Put energy in."""
        swap = self.quote_sell(energy_wh)
        self.energy_wh += energy_wh
        self.cash_micro -= swap.money_micro
        return swap

    def age(self, num: int, den: int) -> int:
        """Keep num/den of the energy, rounded down, by ``sync``; return the Wh lost. The price rises."""
        left = self.energy_wh * num // den
        if not (0 < num <= den and left > 0):
            raise PoolRefusalError("out_of_range", f"cannot keep {num}/{den} of {self.energy_wh} Wh")
        lost = self.energy_wh - left
        self.energy_wh = left
        self.dissipated_wh += lost
        return lost

    @staticmethod
    def _positive(energy_wh: int) -> None:
        if energy_wh <= 0:
            raise PoolRefusalError("not_positive", "the amount must be a positive whole number of Wh")
