"""Who may trade in the local market: registered assets, under a condition."""

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from twin.scenario.fields import Deposit, Section


class RegistrationSection(Section):
    """What is different about one asset's registration."""

    participant: str = Field(description="Connection point.")
    device: Literal["pv", "battery", "ev", "heat_pump"] = Field(description="Which of its assets.")
    at_h: float = Field(0, ge=0, le=1e6, description="When it registers, in hours after the start.")
    stake_eur: Deposit | None = Field(
        None, description="What it puts up; default: admission.default_stake_eur."
    )
    meter_point: str | None = Field(
        None, min_length=1, description="Location it states; default: its own, participant/device."
    )
    signed_by: str | None = Field(None, description="Connection point whose key signs; default: the owner's.")

    @field_validator("meter_point")
    @classmethod
    def _one_line(cls, stated: str | None) -> str | None:
        """What is signed has a line per field, so no field may break a line."""
        if stated is not None and not stated.isprintable():
            raise ValueError("has control characters; it must be printable text on one line")
        return stated


class AdmissionSection(Section):
    """Condition for the local market. Every asset is registered, signed by its owner; houses need no admission."""

    condition: Literal["open", "stake", "window"] = Field(
        "open", description="open: signed and on a meter point of its own; stake, window: and that besides."
    )
    stake_eur: Deposit = Field(Decimal(0), description="Least stake (condition stake).")
    from_h: float = Field(0, ge=0, le=1e6, description="Begin of the window, in hours after the start.")
    to_h: float = Field(1e6, ge=0, le=1e6, description="End of the window (excluded).")
    default_stake_eur: Deposit = Field(Decimal(0), description="What owners put up unless stated otherwise.")
    registrations: list[RegistrationSection] = Field(
        default_factory=list, description="Assets whose registration differs from the rule."
    )

    @model_validator(mode="after")
    def _window(self) -> Self:
        if not self.from_h < self.to_h:
            raise ValueError(f"from_h ({self.from_h:.15g}) must be before to_h ({self.to_h:.15g})")
        seen = [(entry.participant, entry.device) for entry in self.registrations]
        twice = next((pair for pair in seen if seen.count(pair) > 1), None)
        if twice is not None:
            raise ValueError(f"registrations name {twice[0]!r} {twice[1]} twice")
        return self
