"""The sections of a bench file about the rig as a whole: interlock, AC source, limits of all roles together."""

from typing import Literal

from pydantic import Field, model_validator

from rigs.section_base import IdentitySection, Port, Section


class InterlockSection(Section):
    """The hard-wired interlock as an input: read before anything is armed, and before every write. It is the
    protection; this only looks at it. Whatever cannot be read counts as open."""

    driver: Literal["emulated", "modbus"]
    host: str | None = Field(None, description="Address of the input module (driver modbus).")
    port: Port = 502
    unit_id: int = Field(1, ge=0, le=255)
    table: Literal["holding", "input"] = "input"
    address: int = Field(0, ge=0, le=65535, description="Register of the input, 0-based; read only.")
    bit: int = Field(0, ge=0, le=15, description="Bit of the register, 0 is the least significant.")
    closed: Literal[0, 1] = Field(1, description="Value of the bit while the interlock is closed.")
    every_s: float = Field(0.5, gt=0, le=10, description="Wall-clock time: how often it is read.")
    timeout_s: float = Field(1.0, gt=0, le=60)

    @model_validator(mode="after")
    def _fits_driver(self) -> "InterlockSection":
        if (self.driver == "modbus") != (self.host is not None):
            raise ValueError("driver modbus needs host, driver emulated has none")
        return self


class AcSourceSection(Section):
    """A grid simulator: sets the voltage that devices see, by SCPI over a socket. With it a bench may be coupled
    to the plant (coupling: quasi_static)."""

    driver: Literal["emulated", "scpi"]
    host: str | None = Field(None, description="Address of the source (driver scpi).")
    port: Port = Field(5025, description="Port of SCPI over TCP; an emulated source takes a free one.")
    v_nominal_v: float = Field(230.0, gt=0, le=1000)
    f_nominal_hz: float = Field(50.0, gt=0, le=400)
    v_pu: tuple[float, float] = Field(
        (0.85, 1.15),
        description="Least and most voltage; beyond it nothing is sent and the bench is made safe.",
    )
    identity: IdentitySection | None = Field(
        None, description="Who must answer *IDN?; arming needs it. Another instrument is never set."
    )
    feeds: list[str] = Field(default_factory=list, description="Roles at its terminals; none: all devices.")

    @model_validator(mode="after")
    def _fits(self) -> "AcSourceSection":
        if (self.driver == "scpi") != (self.host is not None):
            raise ValueError("driver scpi needs host, driver emulated has none")
        if not 0 <= self.v_pu[0] <= 1 <= self.v_pu[1] <= 2:
            raise ValueError("v_pu: the first must lie in 0..1, the second in 1..2")
        return self


class AggregateSection(Section):
    """Limits of all roles together. A breach is rejected and latched for all of them."""

    p_gen_w: tuple[float, float] | None = Field(None, description="Least and most sum of the set points.")
    soc: tuple[float, float] | None = Field(
        None,
        description="Window of the state of charge of all batteries together, 0..1, weighted by their capacity.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "AggregateSection":
        if self.p_gen_w is None and self.soc is None:
            raise ValueError("give p_gen_w, soc or both")
        for name in ("p_gen_w", "soc"):
            pair = getattr(self, name)
            if pair is not None and not pair[0] <= pair[1]:
                raise ValueError(f"{name}: the first of the two must not exceed the second")
        if self.soc is not None and not (self.soc[0] >= 0 and self.soc[1] <= 1):
            raise ValueError("soc: must lie in 0..1")
        return self
