"""The pools of a study behind one surface, and one slot of each with what its devices still have."""

from decimal import Decimal
from fractions import Fraction
from typing import Protocol

import numpy as np

from market.amm import Swap
from market.amm_expiring import ExpiringPool
from market.amm_naive import NaivePool
from market.errors import PoolRefusalError
from market.liquidity import Arbitrageur, Venue
from market.orders import BATTERY, BUY, SELL, Orders

OUTSIDE = -9
"""Row of the arbitrageur and of the provider, who are no participants of the feeder."""


class StudiedPool(Venue, Protocol):
    """What the study needs of a pool; ``money_micro`` is all money that belongs to the provider."""

    @property
    def money_micro(self) -> int:
        """All money."""
        ...

    @property
    def price_micro_per_kwh(self) -> Fraction:
        """Spot price."""
        ...

    def age(self, num: int, den: int) -> object:
        """Keep num/den of the energy."""
        ...


class Naive(NaivePool):
    """The naive pool behind the same surface."""

    @property
    def money_micro(self) -> int:
        """Its cash; fees are inside the curve."""
        return self.cash_micro

    def sell(self, energy_wh: int, participant: int = 0, device: int = 0) -> Swap:
        """Put energy in; the naive pool knows no claims."""
        return super().sell(energy_wh)


class Expiring:
    """The expiring pool behind the same surface, without its freeze."""

    def __init__(self, energy_wh: int, cash_micro: int, exponent: Decimal, fee_ppm: int) -> None:
        self._pool = ExpiringPool(energy_wh, cash_micro, exponent, fee_ppm, expiry_s=1, freeze_s=0)

    @property
    def energy_wh(self) -> int:
        """Energy on the curve."""
        return self._pool.energy_wh

    @property
    def money_micro(self) -> int:
        """Cash and fees."""
        return self._pool.cash_micro + self._pool.fees_micro

    @property
    def price_micro_per_kwh(self) -> Fraction:
        """Spot price."""
        return self._pool.price_micro_per_kwh

    def quote_buy(self, energy_wh: int) -> Swap:
        """What a purchase would cost."""
        return self._pool.quote_buy(energy_wh, 0)

    def quote_sell(self, energy_wh: int) -> Swap:
        """What a sale would bring."""
        return self._pool.quote_sell(energy_wh, 0)

    def buy(self, energy_wh: int) -> Swap:
        """Take energy out."""
        return self._pool.buy(energy_wh, 0)

    def sell(self, energy_wh: int, participant: int, device: int) -> Swap:
        """Put energy in; this pool knows no claims."""
        return self._pool.sell(energy_wh, 0)

    def age(self, num: int, den: int) -> object:
        """Nothing: the curve does not know that energy was lost."""
        return None


class Slot:
    """One pool over one slot: what its devices still have, and what the provider's side is worth."""

    def __init__(self, pool: StudiedPool, feed_in: int) -> None:
        self.pool = pool
        self.backing_wh = pool.energy_wh
        self.feed_in = feed_in
        self.fed_in_micro = 0
        self._marked = self.worth_micro(feed_in)
        self.trader = Arbitrageur(OUTSIDE, BATTERY)

    def worth_micro(self, shortfall_price: int) -> int:
        """Money, feed-in so far, and the backing at feed-in; what is oversold costs ``shortfall_price``."""
        price = self.feed_in if self.backing_wh >= 0 else shortfall_price
        return self.pool.money_micro + self.fed_in_micro + self.backing_wh * price // 1000

    def profit_micro(self, retail: int) -> int:
        """What the provider gained since the last call."""
        before, self._marked = self._marked, self.worth_micro(retail)
        return self._marked - before

    def age(self, kept: tuple[int, int], charged: tuple[int, int]) -> tuple[int, int]:
        """Keep ``kept`` of the energy, of which ``charged`` outlives self-discharge; return Wh lost and fed in."""
        before, inside = max(0, self.backing_wh), self.pool.energy_wh
        try:
            self.pool.age(*kept)
        except PoolRefusalError:
            return 0, 0  # the naive curve cannot hold less than 1 Wh
        lost = inside - self.pool.energy_wh
        if isinstance(self.pool, Expiring):
            lost = before - before * kept[0] // kept[1]
        dissipated = min(lost, before - before * charged[0] // charged[1])
        fed_in = lost - dissipated
        self.backing_wh -= lost
        self.fed_in_micro += fed_in * self.feed_in // 1000
        return dissipated, fed_in

    def arbitrage(self, fair: int, most_wh: int) -> int:
        """Let the arbitrageur trade against the fair price; return his profit."""
        before = self.pool.energy_wh
        profit = self.trader.trade(self.pool, fair, most_wh)
        self.backing_wh += self.pool.energy_wh - before
        return profit

    def serve(self, orders: Orders) -> tuple[int, int]:
        """Let the orders meet the pool; return the Wh they bought and sold."""
        done = {BUY: 0, SELL: 0}
        for row in np.lexsort((orders["id"], orders["time"])).tolist():
            order = orders[row]
            side, limit = int(order["side"]), int(order["price_micro_per_kwh"])
            energy = self._largest(side, limit, int(order["energy_wh"]))
            if energy == 0:
                continue
            if side == BUY:
                self.pool.buy(energy)
            else:
                self.pool.sell(energy, int(order["participant"]), int(order["device"]))
            self.backing_wh += side * energy
            done[side] += energy
        return done[BUY], done[SELL]

    def _largest(self, side: int, limit: int, most: int) -> int:
        """Most Wh, up to ``most``, at an average price within the limit (it only gets worse with the amount)."""
        high = min(most, self.pool.energy_wh) if side == BUY else most
        if high <= 0 or not self._acceptable(side, limit, 1):
            return 0
        if self._acceptable(side, limit, high):
            return high
        low = 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._acceptable(side, limit, middle):
                low = middle
            else:
                high = middle
        return low

    def _acceptable(self, side: int, limit: int, energy_wh: int) -> bool:
        try:
            if side == BUY:
                return self.pool.quote_buy(energy_wh).money_micro * 1000 <= limit * energy_wh
            return self.pool.quote_sell(energy_wh).money_micro * 1000 >= limit * energy_wh
        except PoolRefusalError:
            return False
