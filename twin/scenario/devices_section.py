"""Devices on a wire, in a scenario file."""

from typing import Literal

from pydantic import Field

from twin.scenario.fields import Section


class DevicesSection(Section):
    """Which roles are served by a device on a wire instead of the native fleet."""

    bench: str | None = Field(None, description="Bench file, relative to the scenario; --bench overrides it.")
    time: Literal["simulated", "wall_clock"] = Field(
        "simulated",
        description="simulated: emulated devices advance in lockstep, as fast as it goes; wall_clock: a step takes as "
        "long as it says (substep_s), and devices are polled meanwhile. Real devices need wall_clock.",
    )
    record: bool | None = Field(
        None,
        description="Write every decision and frame to bench.log in the run folder; none: with real devices.",
    )
    requires: list[str] = Field(
        default_factory=list,
        description="Features that the bench must list under features; a run without them is refused.",
    )
