"""What a pool's ageing is worth: three pools on the same orders, with a liquidity provider and an arbitrageur each.

A pool trades the energy of one slot of several intervals. In every interval it ages first (self-discharge is lost, the
elapsed part of the slot goes to the supplier at feed-in), then the arbitrageur trades it against the fair price,
then the interval's orders meet it by (time, id), as far as their limits allow; at the end of the slot it is closed
and the next one opens at the fair price. The pools:

* ``dissipative``: ageing burns liquidity at constant price (``market.amm``);
* ``naive``: x y = k, ageing writes the energy down (``sync``), so its price rises without a trade;
* ``expiring``: the curve of Wood et al. does not know that energy was lost; what it sells beyond what its devices
  still have must be bought from the supplier at retail when the slot ends (``unbacked_wh``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from market.ageing import retention
from market.amm import DissipativePool
from market.claims import Claim
from market.errors import ParameterError
from market.mechanism import Tariff
from market.orders import BATTERY, Orders
from market.study_pools import OUTSIDE, Expiring, Naive, Slot, StudiedPool

POOLS = ("dissipative", "naive", "expiring")
_MILLION = 1_000_000


@dataclass(frozen=True)
class StudySettings:
    """Of all pools: size, fee, length of a slot, losses, and how much an arbitrageur moves per interval."""

    capacity_wh: int = 20_000
    fee_ppm: int = 1_000
    slot_intervals: int = 8
    self_discharge_ppm_per_h: int = 10_000
    arbitrage_wh: int = 5_000
    exponent_ppm: int = _MILLION

    def __post_init__(self) -> None:
        least = {"capacity_wh": 100, "fee_ppm": 1, "slot_intervals": 1, "exponent_ppm": 1}
        problems = [
            f"pool study: {name} is {value}; must be at least {least.get(name, 0)}"
            for name, value in vars(self).items()
            if value < least.get(name, 0)
        ]
        if self.self_discharge_ppm_per_h > _MILLION or self.fee_ppm >= _MILLION:
            problems.append("pool study: self-discharge is at most 1000000 ppm, a fee less")
        if problems:
            raise ParameterError(problems)


@dataclass(frozen=True)
class PoolRow:
    """One pool in one interval. Prices are rounded down; profits are marked at the feed-in price.

    ``drift_ppm`` is the change of price by ageing alone, ``off_fair_ppm`` how far the aged price lies from the fair
    one.
    """

    interval: int
    pool: str
    fair_micro_per_kwh: int
    aged_micro_per_kwh: int
    price_micro_per_kwh: int
    drift_ppm: int
    off_fair_ppm: int
    energy_wh: int
    dissipated_wh: int
    fed_in_wh: int
    unbacked_wh: int
    bought_wh: int
    sold_wh: int
    provider_profit_micro: int
    arbitrage_profit_micro: int


def opening_energy_wh(tariff: Tariff, settings: StudySettings, price_micro_per_kwh: int) -> int:
    """Return the energy (1 % of capacity or more) at which a dissipative pool is nearest above a price."""
    low, high = settings.capacity_wh // 100, settings.capacity_wh
    while high - low > 1:
        middle = (low + high) // 2
        if _dissipative(tariff, settings, middle).price_micro_per_kwh >= price_micro_per_kwh:
            low = middle
        else:
            high = middle
    return low


def _dissipative(tariff: Tariff, settings: StudySettings, energy_wh: int) -> DissipativePool:
    claim = Claim(OUTSIDE, BATTERY, energy_wh)
    return DissipativePool(tariff, settings.capacity_wh, settings.fee_ppm, "provider", (claim,))


class PoolStudy:
    """The three pools beside a run; they trade with nobody's real money and change nothing."""

    def __init__(self, settings: StudySettings, interval_s: int) -> None:
        self._settings = settings
        self._interval_s = interval_s
        self._slots: dict[str, Slot] = {}
        self._place = 0  # of the interval within the slot
        self._fair: int | None = None
        self.rows: list[PoolRow] = []

    def step(
        self, orders: Orders, tariff: Tariff, interval: int, price_micro_per_kwh: int | None
    ) -> Sequence[PoolRow]:
        """Take one interval and return its rows, one per pool.

        Args:
            orders: valid orders of this interval.
            tariff: the supplier's prices; those of a slot's first interval bound its dissipative pool.
            interval: number of the interval.
            price_micro_per_kwh: the local market's price, which is the fair one within the tariff's band. Without one
                the last known counts, without any the middle of the band.
        """
        low, high = tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh
        if price_micro_per_kwh is not None:
            self._fair = price_micro_per_kwh
        fair = min(max((low + high) // 2 if self._fair is None else self._fair, low), high)
        if not self._slots:
            self._open(tariff, fair)
        rows = [self._row(name, slot, orders, tariff, interval, fair) for name, slot in self._slots.items()]
        self._place += 1
        if self._place == self._settings.slot_intervals:
            self._slots = {}
        self.rows.extend(rows)
        return rows

    def _open(self, tariff: Tariff, fair: int) -> None:
        s = self._settings
        energy = opening_energy_wh(tariff, s, fair)
        best = _dissipative(tariff, s, energy)
        cash = max(1, int(best.price_micro_per_kwh * energy / 1000))
        exponent = Decimal(s.exponent_ppm).scaleb(-6)
        curve = Expiring(energy, max(1, cash * _MILLION // s.exponent_ppm), exponent, s.fee_ppm)
        pools: tuple[StudiedPool, ...] = (best, Naive(energy, cash, s.fee_ppm), curve)
        self._slots = {
            name: Slot(pool, tariff.feed_in_micro_per_kwh) for name, pool in zip(POOLS, pools, strict=True)
        }
        self._place = 0

    def _row(
        self, name: str, slot: Slot, orders: Orders, tariff: Tariff, interval: int, fair: int
    ) -> PoolRow:
        before = slot.pool.price_micro_per_kwh
        dissipated, fed_in = self._age(slot)
        aged = slot.pool.price_micro_per_kwh
        arbitrage = slot.arbitrage(fair, self._settings.arbitrage_wh)
        bought, sold = slot.serve(orders)
        return PoolRow(
            interval=interval,
            pool=name,
            fair_micro_per_kwh=fair,
            aged_micro_per_kwh=int(aged),
            price_micro_per_kwh=int(slot.pool.price_micro_per_kwh),
            drift_ppm=round((aged / before - 1) * _MILLION),
            off_fair_ppm=abs(round((aged / fair - 1) * _MILLION)) if fair else 0,
            energy_wh=slot.pool.energy_wh,
            dissipated_wh=dissipated,
            fed_in_wh=fed_in,
            unbacked_wh=max(0, slot.pool.energy_wh - slot.backing_wh),
            bought_wh=bought,
            sold_wh=sold,
            provider_profit_micro=slot.profit_micro(tariff.retail_micro_per_kwh),
            arbitrage_profit_micro=arbitrage,
        )

    def _age(self, slot: Slot) -> tuple[int, int]:
        """Age by the interval that has passed since the slot's last one; nothing at its opening."""
        if self._place == 0:
            return 0, 0
        rate, end = self._settings.self_discharge_ppm_per_h, self._settings.slot_intervals * self._interval_s
        now, last = self._place * self._interval_s, (self._place - 1) * self._interval_s
        kept = retention(rate, last, now, 0, end)
        charged = retention(rate, last, now, end, end + 1)
        return slot.age(kept, charged)
