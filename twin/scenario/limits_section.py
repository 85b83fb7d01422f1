"""What the feeder is judged against, in a scenario file."""

from typing import Literal, Self

from pydantic import Field, model_validator

from twin.scenario.fields import Section, duplicates

Standard = Literal["en50160", "ansi_c84_1_a", "ansi_c84_1_b"]


class LimitsSection(Section):
    """What the feeder is judged against."""

    voltage_min_pu: float = Field(0.9, gt=0, lt=1.5, description="Lowest voltage, of the nominal.")
    voltage_max_pu: float = Field(1.1, gt=0, lt=1.5, description="Highest voltage, of the nominal.")
    line_loading_percent: float = Field(
        100, gt=0, le=1000, description="Highest current of a line, of its rating."
    )
    transformer_loading_percent: float = Field(
        100, gt=0, le=1000, description="Highest apparent power of a transformer, of its rating."
    )
    voltage_unbalance_percent: float | None = Field(
        None, gt=0, le=100, description="Highest negative-sequence voltage, of the positive (EN 50160: 2)."
    )
    voltage_rise_percent: float | None = Field(
        None, gt=0, le=100, description="Highest rise of a voltage by trades (VDE-AR-N 4105: 3)."
    )
    reverse_power_w: float | None = Field(
        None, ge=0, le=1e9, description="Most power that may flow into the upstream grid."
    )
    feeder_cap_w: float | None = Field(
        None, gt=0, le=1e9, description="Most active power through the feeder head, either way."
    )
    feeder_cap_va: float | None = Field(
        None, gt=0, le=1e9, description="Most apparent power through the feeder head."
    )
    line_short_time_loading_percent: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Highest current of a line at any moment; its mean keeps line_loading_percent.",
    )
    transformer_short_time_loading_percent: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Highest power of a transformer at any moment; its mean keeps transformer_loading_percent.",
    )
    loading_average_s: int | None = Field(
        None, ge=60, le=86400, description="Window of the moving mean that short-time ratings go with."
    )
    standards: list[Standard] = Field(
        default_factory=list,
        description="Voltage standards judged beside the band: docs/reference/limits.md has their clauses.",
    )

    @property
    def highest_line_loading_percent(self) -> float:
        """What a line may carry at any moment: the short-time rating where there is one."""
        return self.line_short_time_loading_percent or self.line_loading_percent

    @property
    def highest_transformer_loading_percent(self) -> float:
        """What a transformer may carry at any moment."""
        return self.transformer_short_time_loading_percent or self.transformer_loading_percent

    @model_validator(mode="after")
    def _short_time(self) -> Self:
        for kind in ("line", "transformer"):
            short, continuous = (
                getattr(self, f"{kind}_short_time_loading_percent"),
                getattr(self, f"{kind}_loading_percent"),
            )
            if short is None:
                continue
            if not short > continuous:
                raise ValueError(
                    f"{kind}_short_time_loading_percent ({short:.15g}) must be above "
                    f"{kind}_loading_percent ({continuous:.15g}), which its mean must keep"
                )
            if self.loading_average_s is None:
                raise ValueError(
                    f"{kind}_short_time_loading_percent needs loading_average_s: over which time must the mean "
                    f"keep {kind}_loading_percent?"
                )
        if self.loading_average_s is not None and self._without_short_time:
            raise ValueError(
                "loading_average_s needs a short-time rating (line_short_time_loading_percent or "
                "transformer_short_time_loading_percent): what never exceeds its rating has no mean that does"
            )
        if doubled := duplicates(list(self.standards)):
            raise ValueError(f"standards names {', '.join(doubled)} more than once")
        return self

    @property
    def _without_short_time(self) -> bool:
        return (
            self.line_short_time_loading_percent is None
            and self.transformer_short_time_loading_percent is None
        )

    @model_validator(mode="after")
    def _band(self) -> Self:
        if not self.voltage_min_pu < self.voltage_max_pu:
            raise ValueError(
                f"voltage_min_pu ({self.voltage_min_pu:.15g}) must be below "
                f"voltage_max_pu ({self.voltage_max_pu:.15g})"
            )
        return self
