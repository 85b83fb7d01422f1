"""The feeder, the plant and the profiles in a scenario file."""

from typing import Literal, Self

from pydantic import Field, model_validator

from twin.scenario.fields import EngineName, Percent, Section

InverterAsset = Literal["pv", "battery", "ev"]


class InverterSection(Section):
    """What inverters do by themselves, besides what they are told: they answer to their voltage in every step."""

    mode: Literal["fixed_power_factor", "volt_var", "volt_watt", "volt_var_and_volt_watt", "watt_var"] = (
        Field(
            description="fixed_power_factor; volt_var and volt_watt: by the voltage; watt_var: by the output.",
        )
    )
    assets: list[InverterAsset] = Field(
        default=["pv", "battery"],
        min_length=1,
        description="Whose inverters. PV gives way to reactive power and is off without sun; batteries and chargers "
        "keep their active power, and only volt-watt takes from it. Roles of a bench have curves of their own.",
    )
    curve: Literal["ieee_1547_a", "ieee_1547_b", "vde_ar_n_4105"] = Field(
        "ieee_1547_b",
        description="Default curves of IEEE 1547-2018, category A or B, or of VDE-AR-N 4105:2018.",
    )
    power_factor: float = Field(0.95, gt=0.1, le=1, description="For fixed_power_factor.")
    excitation: Literal["absorb", "inject"] = Field(
        "absorb", description="For fixed_power_factor: whether reactive power lowers or raises the voltage."
    )
    rating_percent: float = Field(
        110,
        ge=100,
        le=300,
        description="Rated apparent power of an inverter, of the rated power of its asset.",
    )
    s_rated_va: dict[str, float] = Field(
        default_factory=dict,
        description="Rated apparent power of single inverters in VA, by role ('<participant>.pv', '.battery', '.ev'); "
        "at least the rated power of the asset, and less room for reactive power where it is just that.",
    )
    known_to_gate: bool = Field(
        True,
        description="The operator computes with these inverters; false: with none, to see what that costs.",
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        german = self.curve == "vde_ar_n_4105"
        if self.mode == "watt_var" and not german:
            raise ValueError("watt_var has a default curve in vde_ar_n_4105 only")
        if german and self.mode in ("volt_watt", "volt_var_and_volt_watt"):
            raise ValueError(f"vde_ar_n_4105 has no curve for {self.mode}; ieee_1547_a and ieee_1547_b have")
        return self


class TapSection(Section):
    """One transformer's tap changer."""

    name: str = Field(description="Name of the transformer.")
    v_set_pu: float = Field(1.0, gt=0.5, lt=1.5, description="Voltage to hold at the secondary side.")
    band_pu: float = Field(0.03, gt=0, le=0.2, description="Width of the band in which the tap rests.")


class TapControlSection(Section):
    """On-load tap changers, each holding the voltage of its own secondary. Only the plant moves them."""

    v_set_pu: float = Field(1.0, gt=0.5, lt=1.5, description="Voltage to hold at the secondary side.")
    band_pu: float = Field(0.03, gt=0, le=0.2, description="Width of the band in which the tap rests.")
    transformers: list[TapSection] = Field(
        default_factory=list,
        description="Those under control, each with its own set point; empty: all that have a tap.",
    )


class PlantSection(Section):
    """What the real feeder is, where it differs from what the operator's model says."""

    engine: EngineName | None = Field(None, description="Engine of the plant; default: grid.engine.")
    line_impedance_factor: float = Field(1.0, gt=0, le=10, description="Multiplies r and x of every line.")
    line_impedance_spread_percent: float = Field(
        0,
        ge=0,
        le=90,
        description="Besides, every line's r and x are off by its own draw, up to this either way.",
    )
    swapped_phases_percent: Percent = Field(
        0, description="Single-phase connection points that are on another phase than the records say."
    )
    source_voltage_pu: float | None = Field(None, gt=0.5, lt=1.5, description="Voltage of the upstream grid.")
    tap_pos: int | None = Field(None, ge=-50, le=50, description="Position of every transformer tap.")
    tap_control: TapControlSection | None = Field(
        None, description="The plant moves its taps to hold voltages; the gate believes the last positions."
    )
    inverters: InverterSection | None = Field(
        None, description="What inverters do by themselves; default: nothing."
    )


class GridSection(Section):
    """The feeder and the engines that solve it."""

    source: str = Field(
        description="'simbench:CODE', 'pandapower:FUNCTION' (of pandapower.networks), a pandapower JSON file "
        "or an OpenDSS .dss file (which only opendss solves)."
    )
    engine: EngineName = Field(
        "power_grid_model", description="Engine of the gate, and of the plant by default."
    )
    plant: PlantSection = Field(default_factory=PlantSection)


class ProfilesSection(Section):
    """Load and PV profiles. Columns are profile names, values per unit of the rated power."""

    source: str = Field("grid", description="'grid' (those of the SimBench case) or a CSV or Parquet file.")
    repeat_year: bool = Field(
        True, description="Map the scenario's dates onto the profile's year by month, day and time of day."
    )
