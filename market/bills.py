"""Bills: what a participant owes over a period, line by line, and who is better or worse off by a mechanism.

Every line is rounded up in favour of whoever is paid (supplier, network operator, state); income is rounded down.
Lines add up to the total exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from market.errors import BillingError
from market.tariffs import SupplyTariff

_PER_KWH = 1000
_MILLION = 1_000_000


@dataclass(frozen=True)
class Metered:
    """What a participant used and made over a period, one entry per interval.

    ``second_of_day`` is the local time at the interval's start. ``local_paid_micro`` and ``local_received_micro`` are
    the money of local trades (without network, levies, VAT). ``peak_w`` is the highest import of the period.
    ``booked_supplier_micro`` and ``booked_feed_in_micro`` are what a ledger already booked with the supplier, interval
    by interval; where they are given, energy and feed-in are not computed again (rounding would differ).
    """

    second_of_day: Sequence[int]
    from_supplier_wh: Sequence[int]
    from_local_wh: Sequence[int]
    to_supplier_wh: Sequence[int]
    local_paid_micro: int
    local_received_micro: int
    peak_w: int
    days: int
    booked_supplier_micro: int | None = None
    booked_feed_in_micro: int | None = None

    def __post_init__(self) -> None:
        series = (self.from_supplier_wh, self.from_local_wh, self.to_supplier_wh)
        if any(len(s) != len(self.second_of_day) for s in series):
            raise BillingError("bill: every series must have one entry per interval")
        if min((v for s in series for v in s), default=0) < 0 or min(self.peak_w, self.days) < 0:
            raise BillingError("bill: energies, peak and days must not be negative")

    def without_market(self) -> "Metered":
        """Return the same meter with the supplier as the only partner (local sales must be in to_supplier)."""
        energy = [a + b for a, b in zip(self.from_supplier_wh, self.from_local_wh, strict=True)]
        return Metered(
            self.second_of_day, energy, [0] * len(energy), self.to_supplier_wh, 0, 0, self.peak_w, self.days
        )


@dataclass(frozen=True)
class Bill:
    """Lines in micro, positive where the participant pays, negative for income; ``total_micro`` is their sum."""

    supplier_energy: int
    local_energy: int
    network_energy: int
    network_power: int
    network_fixed: int
    levies: int
    vat: int
    feed_in_income: int
    local_income: int

    @property
    def total_micro(self) -> int:
        """Sum of all lines."""
        return sum(vars(self).values())


def _up(amount: int, divisor: int) -> int:
    return -(-amount // divisor)


def make_bill(metered: Metered, tariff: SupplyTariff) -> Bill:
    """Return the bill of a metered period under a tariff."""
    supplier = metered.booked_supplier_micro
    if supplier is None:
        prices = map(tariff.energy_price, metered.second_of_day)
        amount = sum(wh * price for wh, price in zip(metered.from_supplier_wh, prices, strict=True))
        supplier = _up(amount, _PER_KWH)
    income = metered.booked_feed_in_micro
    if income is None:
        income = sum(metered.to_supplier_wh) * tariff.feed_in_micro_per_kwh // _PER_KWH
    remote, local = sum(metered.from_supplier_wh), sum(metered.from_local_wh)
    full = _MILLION
    network = remote * full + local * (full - tariff.local_network_discount_ppm)
    levies = remote * full + local * (full - tariff.local_levy_discount_ppm)
    lines = {
        "supplier_energy": supplier,
        "network_energy": _up(network * tariff.network_micro_per_kwh, _PER_KWH * _MILLION),
        "network_power": _up(metered.peak_w * tariff.network_micro_per_kw, 1000),
        "network_fixed": metered.days * tariff.fixed_micro_per_day,
        "levies": _up(levies * tariff.levies_micro_per_kwh, _PER_KWH * _MILLION),
    }
    taxed = sum(lines.values()) + (metered.local_paid_micro if tariff.vat_on_local else 0)
    return Bill(
        **lines,
        local_energy=metered.local_paid_micro,
        vat=_up(taxed * tariff.vat_ppm, _MILLION),
        feed_in_income=-income,
        local_income=-metered.local_received_micro,
    )


@dataclass(frozen=True)
class BillRow:
    """One participant: what it pays with the supplier only, and under each mechanism (micro)."""

    participant: str
    supplier_only_micro: int
    paid_micro: Mapping[str, int]

    def saved_micro(self, mechanism: str) -> int:
        """Return how much less the participant pays than with the supplier only (negative: it lost)."""
        return self.supplier_only_micro - self.paid_micro[mechanism]


def bill_rows(supplier_only: Mapping[str, int], paid: Mapping[str, Mapping[str, int]]) -> list[BillRow]:
    """Return one row per participant, by id.

    Args:
        supplier_only: participant to bill in micro without a local market.
        paid: mechanism to participant to bill.

    Raises:
        BillingError: A mechanism does not bill exactly the same participants.
    """
    for mechanism, bills in paid.items():
        if set(bills) != set(supplier_only):
            odd = sorted(set(bills) ^ set(supplier_only))
            raise BillingError(f"bills of {mechanism}: participants differ: {', '.join(odd[:10])}")
    return [
        BillRow(p, supplier_only[p], {name: bills[p] for name, bills in paid.items()})
        for p in sorted(supplier_only)
    ]


def losers(rows: Sequence[BillRow], mechanism: str) -> list[tuple[str, int]]:
    """Return who pays more than with the supplier only, and by how much, the worst first."""
    lost = [(row.participant, -row.saved_micro(mechanism)) for row in rows if row.saved_micro(mechanism) < 0]
    return sorted(lost, key=lambda pair: (-pair[1], pair[0]))
