"""What all sections of a bench file share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Mode = Literal["observe", "shadow", "armed"]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def must_rise(self, *names: str) -> None:
        """Raise ``ValueError`` where the first of a pair exceeds the second, or either is no number."""
        for name in names:
            pair = getattr(self, name)
            if pair is not None and not pair[0] <= pair[1]:
                raise ValueError(f"{name}: the first of the two must not exceed the second")


class IdentitySection(Section):
    """Who must answer (SunSpec model 1); checked before arming and whenever the link returns."""

    maker: str
    model: str
    serial: str

    def says(self, idn: str) -> bool:
        """Tell whether an answer to ``*IDN?`` (maker, model, serial, firmware; IEEE 488.2) is of this instrument."""
        return [part.strip() for part in idn.split(",")][:3] == [self.maker, self.model, self.serial]
