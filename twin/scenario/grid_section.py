"""The feeder, the plant and the profiles in a scenario file."""

from pydantic import Field

from twin.scenario.fields import EngineName, Section


class PlantSection(Section):
    """What the real feeder is, where it differs from what the operator's model says."""

    engine: EngineName | None = Field(None, description="Engine of the plant; default: grid.engine.")
    line_impedance_factor: float = Field(1.0, gt=0, le=10, description="Multiplies r and x of every line.")
    source_voltage_pu: float | None = Field(None, gt=0.5, lt=1.5, description="Voltage of the upstream grid.")
    tap_pos: int | None = Field(None, ge=-50, le=50, description="Position of every transformer tap.")


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
