"""What the feeder is judged against, in a scenario file."""

from typing import Self

from pydantic import Field, model_validator

from twin.scenario.fields import Section


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

    @model_validator(mode="after")
    def _band(self) -> Self:
        if not self.voltage_min_pu < self.voltage_max_pu:
            raise ValueError(
                f"voltage_min_pu ({self.voltage_min_pu:.15g}) must be below "
                f"voltage_max_pu ({self.voltage_max_pu:.15g})"
            )
        return self
