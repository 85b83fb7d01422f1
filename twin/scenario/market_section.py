"""The market of a scenario: mechanism, supplier, agreements and preferences."""

from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from twin.scenario.admission_section import AdmissionSection
from twin.scenario.ahead_section import AheadSection
from twin.scenario.fields import ExactPercent, Hour, Price, Section


class SupplierSection(Section):
    """The supplier's prices; a local price lies between them."""

    retail_price_eur_per_kwh: Price = Field(
        Decimal("0.32"), description="What a participant pays; all in, unless market.bill adds to it."
    )
    feed_in_price_eur_per_kwh: Price = Field(
        Decimal("0.08"), description="What a participant gets for export."
    )
    night_price_eur_per_kwh: Price | None = Field(
        None, description="Retail price from night_from_h to night_to_h."
    )
    night_from_h: Hour = Field(0, description="Begin of the night price, local time.")
    night_to_h: Hour = Field(6, description="End of the night price, local time.")

    @model_validator(mode="after")
    def _band(self) -> Self:
        for key in ("retail_price_eur_per_kwh", "night_price_eur_per_kwh"):
            value = getattr(self, key)
            if value is not None and value < self.feed_in_price_eur_per_kwh:
                raise ValueError(
                    f"{key} ({value}) must not be below "
                    f"feed_in_price_eur_per_kwh ({self.feed_in_price_eur_per_kwh})"
                )
        return self


class BillSection(Section):
    """What a bill holds besides energy. With it the supplier's prices are those of the energy alone."""

    network_eur_per_kwh: Price = Field(Decimal(0), description="Network charge on metered import.")
    network_eur_per_kw: Price = Field(
        Decimal(0), description="Network charge on the highest import of an interval, once for the run."
    )
    fixed_eur_per_day: Price = Field(
        Decimal(0), description="Fixed network charge; a day that has begun counts."
    )
    levies_eur_per_kwh: Price = Field(Decimal(0), description="Levies on metered import.")
    vat_percent: ExactPercent = Field(
        Decimal(0), description="Value added tax on everything that is paid, not on income."
    )
    local_network_discount_percent: ExactPercent = Field(
        Decimal(0), description="Less network charge per kWh on import that local trades cover."
    )
    local_levy_discount_percent: ExactPercent = Field(
        Decimal(0), description="Fewer levies on import that local trades cover."
    )
    vat_on_local: bool = Field(True, description="Local purchases carry value added tax.")
    losses: Literal["use", "exchange"] = Field(
        "use",
        description="Who bears the feeder's losses: by energy drawn, or by energy drawn and fed in.",
    )


class IndexSection(Section):
    """A price that follows the local market's last one: index * factor + premium, within floor and cap."""

    factor: Price = Field(Decimal(1), description="Share of the index.")
    premium_eur_per_kwh: Price = Field(Decimal(0), description="Added to the share of the index.")
    floor_eur_per_kwh: Price = Field(Decimal(0), description="Least price.")
    cap_eur_per_kwh: Price = Field(Decimal(1), description="Greatest price.")


class AgreementSection(Section):
    """A power purchase agreement between two participants, delivered before the market opens."""

    seller: str = Field(description="Connection point.")
    buyer: str = Field(description="Connection point.")
    max_wh: int = Field(gt=0, description="Most energy per interval.")
    take_or_pay_wh: int = Field(
        0, ge=0, description="Energy per interval that is paid also if it is not taken."
    )
    price_eur_per_kwh: Price | None = Field(None, description="A fixed price ...")
    index: IndexSection | None = Field(None, description="... or one that follows the local market.")

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.price_eur_per_kwh is None) == (self.index is None):
            raise ValueError("give exactly one of price_eur_per_kwh and index")
        return self


class PreferenceSection(Section):
    """What a buyer wants before the anonymous market: a neighbour, green energy, a short way. All given must hold."""

    buyer: str = Field(description="Connection point.")
    neighbour: str | None = Field(None, description="Connection point to buy from.")
    green: bool = Field(False, description="Only energy from PV.")
    max_distance_ohm: float | None = Field(
        None, ge=0, description="Greatest electrical distance to the seller."
    )


class PoolStudySection(Section):
    """Three pools beside the run that trade the scenario's orders over slots, and change nothing (pools.parquet)."""

    capacity_wh: int = Field(
        20000, ge=100, le=10**9, description="Energy of a pool whose price is at feed-in."
    )
    fee_percent: ExactPercent = Field(Decimal("0.1"), gt=0, lt=100, description="Fee on the money.")
    slot_s: int = Field(7200, gt=0, description="Length of a pool's delivery slot; a multiple of interval_s.")
    self_discharge_percent_per_h: ExactPercent = Field(
        Decimal(1), description="What the pools' devices lose."
    )
    arbitrage_wh: int = Field(
        5000, ge=0, le=10**9, description="Most energy that an arbitrageur moves per interval."
    )


class MarketSection(Section):
    """How local trades come about."""

    mechanism: str = Field("call_auction", description="'none' (supplier only) or the name of a mechanism.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="The mechanism's own parameters.")
    shadow: list[str] = Field(
        default_factory=list, description="Mechanisms that clear the same orders beside the one that settles."
    )
    shadow_parameters: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Parameters of the shadow mechanisms, by name."
    )
    agreements: list[AgreementSection] = Field(default_factory=list, description="Served before the market.")
    preferences: list[PreferenceSection] = Field(
        default_factory=list, description="Served after the agreements."
    )
    index: Literal["mid_market", "constant_product", "supply_demand"] | None = Field(
        None,
        description="Publish a dynamic price per interval: p(u) at u = energy on offer / energy asked for.",
    )
    ahead: AheadSection | None = Field(None, description="Open slots before their interval.")
    admission: AdmissionSection | None = Field(None, description="Only admitted assets trade locally.")
    pool_study: PoolStudySection | None = Field(
        None, description="Compare a dissipative, a naive and an expiring pool beside the run."
    )
    supplier: SupplierSection = Field(default_factory=SupplierSection)
    bill: BillSection = Field(default_factory=BillSection)
