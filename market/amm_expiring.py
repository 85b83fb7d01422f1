"""A pool for an expiring asset in the manner of Wood et al.: y = y0 (x/x0)^-c with the providers' own exponents.

Every provider names the exponent that it thinks right; the pool's is their weighted geometric mean, c = prod c_l^s_l
with shares s_l. Near the expiry liquidity is frozen, and what is left goes to a last-minute auction
(``residual_offer`` gives its reserve). Powers are decimals of 40 digits, rounded the same on every machine, and
amounts are rounded to whole units against the trader.

Source: K. Wood, M. Herlihy, H. Mendes, J. Pulaj, "Expiring Assets in Automated Market Makers", arXiv 2401.04289
(2024), sections 3 and 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction

from market.amm import Swap
from market.errors import PoolRefusalError, RangeError

_CONTEXT = Context(prec=40)
_MILLION = 1_000_000


@dataclass(frozen=True)
class ResidualOffer:
    """What an expiring pool still holds: the last-minute auction sells it at no less than the reserve."""

    energy_wh: int
    reserve_micro_per_kwh: int


def pooled_exponent(exponents_ppm: Mapping[str, int], shares: Mapping[str, int]) -> Decimal:
    """Return the share-weighted geometric mean of the providers' exponents.

    Raises:
        RangeError: An exponent or share that is not positive, or not the same providers in both.
    """
    if set(exponents_ppm) != set(shares) or min([*exponents_ppm.values(), *shares.values()], default=0) <= 0:
        raise RangeError("expiring pool: needs a positive exponent and a positive share of every provider")
    total = sum(shares.values())
    log = Decimal(0)
    for provider in sorted(shares):
        weight = _CONTEXT.divide(Decimal(shares[provider]), Decimal(total))
        power = _CONTEXT.ln(Decimal(exponents_ppm[provider]).scaleb(-6))
        log = _CONTEXT.add(log, _CONTEXT.multiply(weight, power))
    return _CONTEXT.exp(log)


class ExpiringPool:
    """A pool on the curve y x^c = const; the fee stays outside.

    Args:
        energy_wh: opening energy x0.
        cash_micro: opening money y0.
        exponent: c > 0, from ``pooled_exponent``; 1 gives the constant product.
        fee_ppm: fee on money.
        expiry_s: end of the delivery slot.
        freeze_s: length of the last period, in which the pool does not trade any more.
    """

    def __init__(
        self, energy_wh: int, cash_micro: int, exponent: Decimal, fee_ppm: int, expiry_s: int, freeze_s: int
    ) -> None:
        if not (
            energy_wh > 0 and cash_micro > 0 and exponent > 0 and 0 <= fee_ppm < _MILLION and freeze_s >= 0
        ):
            raise RangeError(
                f"expiring pool: got {energy_wh} Wh, {cash_micro} micro, c = {exponent}, fee {fee_ppm} ppm, "
                f"freeze {freeze_s} s; energy, money and c must be positive"
            )
        self.energy_wh = energy_wh
        self.cash_micro = cash_micro
        self.fees_micro = 0
        self._exponent = exponent
        self._fee_ppm = fee_ppm
        self._freeze_from_s = expiry_s - freeze_s

    @property
    def price_micro_per_kwh(self) -> Fraction:
        """Spot price -dy/dx = c y/x."""
        return 1000 * Fraction(self._exponent) * self.cash_micro / self.energy_wh

    def quote_buy(self, energy_wh: int, at_s: int) -> Swap:
        """Return what exactly ``energy_wh`` costs: y ((x/(x-e))^c - 1), rounded up, plus fee."""
        self._tradable(energy_wh, at_s)
        if energy_wh >= self.energy_wh:
            raise PoolRefusalError("larger_than_pool", "the pool does not hold more than that energy")
        cost = self._change(self.energy_wh, self.energy_wh - energy_wh, ROUND_CEILING)
        fee = self._fee(cost)
        return Swap(energy_wh, cost + fee, fee)

    def quote_sell(self, energy_wh: int, at_s: int) -> Swap:
        """Return what exactly ``energy_wh`` brings: y (1 - (x/(x+e))^c), rounded down, less fee."""
        self._tradable(energy_wh, at_s)
        pay = -self._change(self.energy_wh, self.energy_wh + energy_wh, ROUND_CEILING)
        fee = self._fee(pay)
        return Swap(energy_wh, pay - fee, fee)

    def buy(self, energy_wh: int, at_s: int) -> Swap:
        """Take exactly ``energy_wh`` out."""
        swap = self.quote_buy(energy_wh, at_s)
        self.energy_wh -= energy_wh
        self.cash_micro += swap.money_micro - swap.fee_micro
        self.fees_micro += swap.fee_micro
        return swap

    def sell(self, energy_wh: int, at_s: int) -> Swap:
        """Put exactly ``energy_wh`` in."""
        swap = self.quote_sell(energy_wh, at_s)
        self.energy_wh += energy_wh
        self.cash_micro -= swap.money_micro + swap.fee_micro
        self.fees_micro += swap.fee_micro
        return swap

    def residual_offer(self, at_s: int, reserve_micro_per_kwh: int) -> ResidualOffer:
        """Return what the last-minute auction is to sell. Raises ``PoolRefusalError`` before the freeze."""
        if at_s < self._freeze_from_s:
            raise PoolRefusalError("open", f"the pool trades until {self._freeze_from_s} s")
        return ResidualOffer(self.energy_wh, reserve_micro_per_kwh)

    def _change(self, x_before: int, x_after: int, rounding: str) -> int:
        """Return y_after - y_before, rounded."""
        ratio = _CONTEXT.divide(Decimal(x_before), Decimal(x_after))
        after = _CONTEXT.multiply(Decimal(self.cash_micro), _CONTEXT.power(ratio, self._exponent))
        difference = _CONTEXT.subtract(after, Decimal(self.cash_micro))
        return int(difference.to_integral_value(rounding=rounding))

    def _fee(self, money_micro: int) -> int:
        return -(-money_micro * self._fee_ppm // _MILLION)

    def _tradable(self, energy_wh: int, at_s: int) -> None:
        if energy_wh <= 0:
            raise PoolRefusalError("not_positive", "the amount must be a positive whole number of Wh")
        if at_s >= self._freeze_from_s:
            raise PoolRefusalError(
                "frozen", "the pool is frozen before its expiry; use the last-minute auction"
            )
