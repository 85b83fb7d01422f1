"""A supplier's tariff with everything on a bill: energy by time of use, network, levies, VAT, local discount."""

from dataclasses import dataclass

from market.errors import BillingError
from market.validate import MAX_PRICE

_DAY_S = 86_400
_MILLION = 1_000_000


@dataclass(frozen=True)
class PriceWindow:
    """A price within a part of the day, local time, [from_s, to_s) in seconds; may run over midnight."""

    from_s: int
    to_s: int
    price_micro_per_kwh: int

    def covers(self, second_of_day: int) -> bool:
        """Return whether a time of day lies in the window."""
        if self.from_s <= self.to_s:
            return self.from_s <= second_of_day < self.to_s
        return second_of_day >= self.from_s or second_of_day < self.to_s


@dataclass(frozen=True)
class SupplyTariff:
    """Prices in micro per kWh (per kW for power, per day for the fixed part), before VAT; shares in ppm.

    ``energy_micro_per_kwh`` counts where no window covers the time; the first window that does wins.
    ``local_network_discount_ppm`` is what the network charge and ``local_levy_discount_ppm`` what the levies are
    reduced by for energy bought locally. ``vat_on_local`` says whether local purchases carry VAT.
    """

    energy_micro_per_kwh: int
    feed_in_micro_per_kwh: int
    windows: tuple[PriceWindow, ...] = ()
    network_micro_per_kwh: int = 0
    network_micro_per_kw: int = 0
    fixed_micro_per_day: int = 0
    levies_micro_per_kwh: int = 0
    vat_ppm: int = 0
    local_network_discount_ppm: int = 0
    local_levy_discount_ppm: int = 0
    vat_on_local: bool = True

    def __post_init__(self) -> None:
        problems = []
        for name, value in vars(self).items():
            if name.endswith("_ppm") and not 0 <= value <= _MILLION:
                problems.append(f"tariff: {name} is {value}; allowed is 0 to {_MILLION}")
            elif "_micro_" in name and not abs(value) <= MAX_PRICE:
                problems.append(f"tariff: {name} is {value}; allowed is -{MAX_PRICE} to {MAX_PRICE}")
        for window in self.windows:
            if not (0 <= window.from_s < _DAY_S and 0 <= window.to_s <= _DAY_S):
                problems.append(f"tariff: window {window.from_s} to {window.to_s} s is outside a day")
        if problems:
            raise BillingError(problems)

    def energy_price(self, second_of_day: int) -> int:
        """Return the energy price (without network and levies) at a local time of day."""
        for window in self.windows:
            if window.covers(second_of_day):
                return window.price_micro_per_kwh
        return self.energy_micro_per_kwh

    def all_in(self, second_of_day: int) -> int:
        """Return what one more kWh from the supplier costs, everything included, rounded up.

        It is the retail price that bounds a local market: network and levies are due on local energy as well, so
        compare with ``local_surcharge``.
        """
        net = self.energy_price(second_of_day) + self.network_micro_per_kwh + self.levies_micro_per_kwh
        return -(-net * (_MILLION + self.vat_ppm) // _MILLION)

    def local_surcharge(self) -> int:
        """Return network and levies (with VAT) on one kWh bought locally, rounded up."""
        network = self.network_micro_per_kwh * (_MILLION - self.local_network_discount_ppm)
        levies = self.levies_micro_per_kwh * (_MILLION - self.local_levy_discount_ppm)
        return -(-(network + levies) * (_MILLION + self.vat_ppm) // _MILLION**2)
