"""Devices on a wire, in a scenario file."""

from pydantic import Field

from twin.scenario.fields import Section


class DevicesSection(Section):
    """Which roles are served by a device on a wire instead of the native fleet."""

    bench: str | None = Field(None, description="Bench file, relative to the scenario; --bench overrides it.")
    requires: list[str] = Field(
        default_factory=list,
        description="Features that the bench must list under features; a run without them is refused.",
    )
