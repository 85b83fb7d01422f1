"""The dissipative constant-product pool of one zone and delivery slot, with its providers and claims.

Bounded by virtual reserves (as Uniswap v3 bounds a position), fee outside the curve, and ``age``: losing
energy at constant price is burning liquidity, so the price does not drift when energy is lost, and the
money that is no longer needed is released to the providers. The curve's arithmetic is in
``market.amm_kernels``.

Money is real money at this surface. A pool whose lower bound is negative trades on a curve shifted by
``shift`` micro per Wh; its cash on hand is then C + shift * E, which is never negative.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from market import amm_kernels as k
from market.amm_sizing import BUMPS, sized_state
from market.claims import Claim, ClaimQueue
from market.errors import PoolRefusalError
from market.mechanism import Tariff
from market.validate import check_tariff

REFUSALS = {
    k.NOT_POSITIVE: ("not_positive", "the amount must be a positive whole number of Wh"),
    k.TOO_LARGE: ("larger_than_pool", "the pool does not hold that much energy"),
    k.BAND_EDGE: ("band_edge", "the price would leave the band; the supplier is the better venue"),
    k.NO_CASH: ("no_cash", "the pool cannot pay for that much energy"),
    k.OUT_OF_RANGE: ("out_of_range", "a reserve would leave the range of exact arithmetic"),
    k.IS_CLOSED: ("closed", "the pool is closed"),
}
"""Codes and texts of typed refusals; ``no_shares`` and ``frozen`` are added by the providers' side."""

INITIAL_SHARES = 10**9


@dataclass(frozen=True)
class Swap:
    """One executed or quoted swap. ``money_micro`` is what the trader pays (buy) or gets (sell), fee
    included.

    It is negative where prices are: a buyer then receives. ``claims`` names the devices behind a purchase.
    """

    energy_wh: int
    money_micro: int
    fee_micro: int
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Share:
    """What a provider brings or takes: energy, money, and the shares that changed hands."""

    shares: int
    energy_wh: int
    money_micro: int
    claims: tuple[Claim, ...] = ()


class DissipativePool:
    """A pool; every method either succeeds as a whole or raises ``PoolRefusalError`` and changes nothing."""

    def __init__(
        self,
        tariff: Tariff,
        capacity_wh: int,
        fee_ppm: int,
        provider: str,
        claims: tuple[Claim, ...] = (),
    ) -> None:
        """Open a pool with ``claims`` (energy on named devices, may be none) and the cash that the curve
        needs.

        Args:
            tariff: feed-in and retail price bound the pool's price.
            capacity_wh: energy in the pool when its price reaches the lower bound.
            fee_ppm: fee on money, at least 1 ppm (rounding may otherwise leave 1 micro to a closed cycle).
            provider: who brings claims and cash and gets the first ``INITIAL_SHARES``.
            claims: the opening energy.
        """
        check_tariff(tariff)
        low = tariff.feed_in_micro_per_kwh
        self.shift_micro_per_wh = 0 if low > 0 else -(low // 1000) + 1
        shift = self.shift_micro_per_wh * 1000
        self.queue = ClaimQueue()
        for claim in claims:
            self.queue.add(claim)
        high = tariff.retail_micro_per_kwh
        self.state = sized_state(capacity_wh, self.queue.total_wh, low + shift, high + shift, fee_ppm)
        self.shares = {provider: INITIAL_SHARES}
        self.frozen = False
        self._feed_in = low
        self.opening_cash_micro = self.cash_micro

    def _get(self, index: int) -> int:
        return int(self.state[index])

    @property
    def energy_wh(self) -> int:
        """Energy in the pool."""
        return self._get(k.ENERGY)

    @property
    def cash_micro(self) -> int:
        """Real money on hand for trading (without fees and released money), rounded down; never negative."""
        return self._get(k.CASH) // k.FINE + self.shift_micro_per_wh * self.energy_wh

    @property
    def owed_micro(self) -> int:
        """Fees, roundings and released money, which belong to the providers."""
        return self.money_micro - self.cash_micro

    @property
    def money_micro(self) -> int:
        """All real money of the pool: a whole number always, and exactly what came in less what went out."""
        fine = self._get(k.CASH) + self._get(k.FEES) + self._get(k.RELEASED)
        return fine // k.FINE + self.shift_micro_per_wh * self.energy_wh

    def _curve(self) -> tuple[int, int]:
        """Return (X, Y) in millionths of a Wh and of a micro."""
        x = self._get(k.ENERGY) * k.FINE + self._get(k.VIRTUAL_ENERGY)
        return x, self._get(k.CASH) + self._get(k.VIRTUAL_CASH)

    @property
    def price_micro_per_kwh(self) -> Fraction:
        """Spot price, exact; inside the band always."""
        x, y = self._curve()
        return Fraction(1000 * y, x) - 1000 * self.shift_micro_per_wh

    @property
    def invariant(self) -> int:
        """K = X Y, in millionths of each."""
        x, y = self._curve()
        return x * y

    def quote_buy(self, energy_wh: int) -> Swap:
        """Return what a purchase of exactly ``energy_wh`` would cost, without executing it."""
        cost, fee = self._run(k.quote_buy, energy_wh)
        return Swap(energy_wh, cost + fee - self.shift_micro_per_wh * energy_wh, fee)

    def quote_sell(self, energy_wh: int) -> Swap:
        """Return what a sale of exactly ``energy_wh`` would bring, without executing it."""
        pay, fee = self._run(k.quote_sell, energy_wh)
        return Swap(energy_wh, pay - fee - self.shift_micro_per_wh * energy_wh, fee)

    def buy(self, energy_wh: int) -> Swap:
        """Take exactly ``energy_wh`` out; the buyer's energy comes from the oldest claims."""
        cost, fee = self._run(k.buy, energy_wh)
        money = cost + fee - self.shift_micro_per_wh * energy_wh
        return Swap(energy_wh, money, fee, self.queue.take(energy_wh))

    def sell(self, energy_wh: int, participant: int, device: int) -> Swap:
        """Put exactly ``energy_wh`` in, as a claim on the participant's device."""
        pay, fee = self._run(k.sell, energy_wh)
        self.queue.add(Claim(participant, device, energy_wh))
        return Swap(energy_wh, pay - fee - self.shift_micro_per_wh * energy_wh, fee)

    def tip(self, money_micro: int) -> None:
        """Book money that rounding to a whole price left over as a fee (providers gain)."""
        if money_micro < 0:
            raise PoolRefusalError("not_positive", "a rounding surplus cannot be negative")
        self.state[k.FEES] += money_micro * k.FINE

    def age(self, num: int, den: int) -> tuple[int, int]:
        """Keep num/den (see ``market.ageing``); return (Wh lost, money released). The price stands."""
        lost, released = self._run(k.age, num, den, BUMPS)
        self.queue.shrink(lost)
        extra = self.shift_micro_per_wh * lost  # real cash that stood behind the lost energy
        self.state[k.RELEASED] += extra * k.FINE
        return lost, released // k.FINE + extra

    def freeze(self) -> None:
        """Close the pool to new and leaving providers (the last tick before delivery)."""
        self.frozen = True

    def add(self, provider: str, shares: int, claims: tuple[Claim, ...]) -> Share:
        """Bring liquidity for ``shares`` new shares: proportional energy and money, both rounded up.

        The claims must add up to the proportional energy exactly (``liquidity_needed``).
        """
        needed = self.liquidity_needed(shares)
        if sum(claim.energy_wh for claim in claims) != needed.energy_wh:
            raise PoolRefusalError("wrong_energy", f"the claims must add up to {needed.energy_wh} Wh")
        total = self.total_shares
        released = -(-self._get(k.RELEASED) * shares // total)
        _, brought = self._run(k.scale, total + shares, total, True, BUMPS)
        self.state[k.RELEASED] += released
        real = needed.money_micro - self.shift_micro_per_wh * needed.energy_wh
        self.state[k.FEES] += real * k.FINE + brought - released
        for claim in claims:
            self.queue.add(claim)
        self.shares[provider] = self.shares.get(provider, 0) + shares
        return Share(shares, needed.energy_wh, needed.money_micro, claims)

    def liquidity_needed(self, shares: int) -> Share:
        """Return what ``shares`` new shares cost now: a part of reserves, fees and released money, rounded
        up.
        """
        self._open_to_providers()
        if shares <= 0:
            raise PoolRefusalError("not_positive", "the number of shares must be positive")
        total = self.total_shares
        energy, *fine = (-(-self._get(i) * shares // total) for i in (k.ENERGY, k.CASH, k.FEES, k.RELEASED))
        money = -(-sum(fine) // k.FINE) + self.shift_micro_per_wh * energy
        return Share(shares, energy, money)

    def remove(self, provider: str, shares: int, participant: int | None = None) -> Share:
        """Take liquidity out: proportional energy and money, rounded down.

        The claims that go are those on ``participant``'s own devices, then the oldest.
        """
        self._open_to_providers()
        self._check_shares(provider, shares)
        total = self.total_shares
        if shares == total:
            raise PoolRefusalError("last_provider", "the last shares are redeemed by close and redeem")
        fees, released = (self._get(i) * shares // total for i in (k.FEES, k.RELEASED))
        energy, cash = self._run(k.scale, total - shares, total, True, BUMPS)
        real = (cash + fees + released) // k.FINE
        self.state[k.RELEASED] -= released
        self.state[k.FEES] += cash + released - real * k.FINE
        self._burn(provider, shares)
        money = real + self.shift_micro_per_wh * energy
        claims = self.queue.take(energy) if participant is None else self.queue.take_of(participant, energy)
        return Share(shares, energy, money, claims)

    def close(self, curtailed: bool = False, kept_wh: int = 0) -> tuple[Claim, ...]:
        """Settle the residual energy with the grid at the feed-in price (nothing if curtailed) and stop
        trading.

        ``kept_wh`` of the residual stays in the devices that hold it (stored energy that nobody bought).
        Returns the claims whose devices deliver to the grid (or are curtailed), the oldest kept ones left out.

        Raises:
            PoolRefusalError: The pool is closed, or does not hold ``kept_wh``.
        """
        if self.state[k.CLOSED]:
            raise PoolRefusalError(*REFUSALS[k.IS_CLOSED])
        if not 0 <= kept_wh <= self.energy_wh:
            raise PoolRefusalError(*REFUSALS[k.TOO_LARGE])
        money = self.money_micro
        self.queue.take(kept_wh)
        energy = self.energy_wh - kept_wh
        proceeds = 0 if curtailed else self._feed_in * energy // 1000
        self.state[k.CASH] = (money + proceeds) * k.FINE
        self.state[[k.FEES, k.RELEASED]] = 0  # all of it is the providers' now
        self.state[k.SPILLED] += energy
        self.state[k.ENERGY] = 0
        self.state[k.CLOSED] = 1
        return self.queue.take(energy)

    def redeem(self, provider: str, shares: int) -> int:
        """Return the money for ``shares`` of a closed pool, rounded down; the dust stays with the rest."""
        if not self.state[k.CLOSED]:
            raise PoolRefusalError("open", "shares are redeemed after the close; before it use remove")
        self._check_shares(provider, shares)
        total = self.total_shares
        paid = self.money_micro * shares // total
        self.state[k.CASH] -= paid * k.FINE
        self._burn(provider, shares)
        return paid

    @property
    def total_shares(self) -> int:
        """Shares of all providers."""
        return sum(self.shares.values())

    def _run(self, kernel: Any, *arguments: int) -> tuple[int, int]:
        if any(isinstance(a, float) or not -(2**63) <= a < 2**63 for a in arguments):
            raise PoolRefusalError("out_of_range", f"got {arguments}; must be whole numbers below 2**63")
        code, first, second = kernel(self.state, *arguments)
        if code != k.OK:
            raise PoolRefusalError(*REFUSALS[int(code)])
        return int(first), int(second)

    def _open_to_providers(self) -> None:
        if self.state[k.CLOSED]:
            raise PoolRefusalError(*REFUSALS[k.IS_CLOSED])
        if self.frozen:
            raise PoolRefusalError("frozen", "no liquidity is added or removed in the last tick")

    def _check_shares(self, provider: str, shares: int) -> None:
        if not 0 < shares <= self.shares.get(provider, 0):
            held = self.shares.get(provider, 0)
            raise PoolRefusalError("no_shares", f"{provider} holds {held} shares, {shares} were asked for")

    def _burn(self, provider: str, shares: int) -> None:
        self.shares[provider] -= shares
        if not self.shares[provider]:
            del self.shares[provider]
