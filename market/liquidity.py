"""Providers and arbitrageurs of a pool as participants with an account, so that their profit shows in the results."""

from dataclasses import dataclass
from typing import Protocol

from market.amm import DissipativePool, Swap
from market.claims import Claim
from market.errors import PoolRefusalError


@dataclass
class Account:
    """Money and energy of a participant in pool business; ``profit_micro`` values energy at a price."""

    money_micro: int = 0
    energy_wh: int = 0
    volume_wh: int = 0

    def profit_micro(self, price_micro_per_kwh: int) -> int:
        """Return money plus energy at a price (for instance feed-in), rounded down."""
        return self.money_micro + self.energy_wh * price_micro_per_kwh // 1000


class Provider:
    """A liquidity provider: brings claims and money, takes them out, redeems after the close."""

    def __init__(self, name: str, participant: int, device: int) -> None:
        self.name = name
        self.account = Account()
        self._participant = participant
        self._device = device

    def bring(self, pool: DissipativePool, shares: int) -> None:
        """Add liquidity for ``shares``. Raises ``PoolRefusalError`` as the pool does."""
        needed = pool.liquidity_needed(shares)
        claim = Claim(self._participant, self._device, needed.energy_wh)
        pool.add(self.name, shares, (claim,) if needed.energy_wh else ())
        self.account.money_micro -= needed.money_micro
        self.account.energy_wh -= needed.energy_wh

    def take(self, pool: DissipativePool, shares: int) -> None:
        """Remove liquidity."""
        share = pool.remove(self.name, shares)
        self.account.money_micro += share.money_micro
        self.account.energy_wh += share.energy_wh

    def redeem(self, pool: DissipativePool) -> None:
        """Take everything out of a closed pool."""
        self.account.money_micro += pool.redeem(self.name, pool.shares[self.name])


class Venue(Protocol):
    """What an arbitrageur can trade on; ``DissipativePool`` is one."""

    @property
    def energy_wh(self) -> int:
        """Energy on offer."""
        ...

    def quote_buy(self, energy_wh: int) -> Swap:
        """What a purchase would cost."""
        ...

    def quote_sell(self, energy_wh: int) -> Swap:
        """What a sale would bring."""
        ...

    def buy(self, energy_wh: int) -> Swap:
        """Buy exactly this much."""
        ...

    def sell(self, energy_wh: int, participant: int, device: int) -> Swap:
        """Sell exactly this much, as a claim on a device."""
        ...


class Arbitrageur:
    """Trades a pool against an outside price as long as that pays.

    Energy bought from the pool is sold outside; energy bought outside is put in as a claim on the arbitrageur's own
    device (a battery, say), because every Wh in a pool is a claim on one.
    """

    def __init__(self, participant: int, device: int) -> None:
        self.account = Account()
        self._participant = participant
        self._device = device

    def trade(self, pool: Venue, outside_micro_per_kwh: int, most_wh: int) -> int:
        """Take the most profitable amount of either direction; return the profit in micro (0: none)."""
        buy = self.best(pool, outside_micro_per_kwh, most_wh, buying=True)
        sell = self.best(pool, outside_micro_per_kwh, most_wh, buying=False)
        energy, profit = max(buy, sell, key=lambda pair: pair[1])
        if profit <= 0:
            return 0
        if (energy, profit) == buy:
            pool.buy(energy)
        else:
            pool.sell(energy, self._participant, self._device)
        self.account.money_micro += profit
        self.account.volume_wh += energy
        return profit

    def best(self, pool: Venue, outside: int, most_wh: int, buying: bool) -> tuple[int, int]:
        """Return (Wh, profit) at the maximum of a concave profit, by ternary search on whole Wh."""
        low, high = 0, min(most_wh, pool.energy_wh) if buying else most_wh
        while high - low > 8:
            a, b = low + (high - low) // 3, high - (high - low) // 3
            if self._profit(pool, outside, a, buying) < self._profit(pool, outside, b, buying):
                low = a
            else:
                high = b
        best = max(range(low, high + 1), key=lambda e: self._profit(pool, outside, e, buying))
        return best, self._profit(pool, outside, best, buying)

    @staticmethod
    def _profit(pool: Venue, outside: int, energy_wh: int, buying: bool) -> int:
        """Return the profit of one amount; very negative (and falling) where the pool refuses it."""
        if energy_wh == 0:
            return 0
        try:
            if buying:
                return outside * energy_wh // 1000 - pool.quote_buy(energy_wh).money_micro
            return pool.quote_sell(energy_wh).money_micro + -outside * energy_wh // 1000
        except PoolRefusalError:
            return -(2**62) - energy_wh
