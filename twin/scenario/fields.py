"""The units and the base that all sections of a scenario share."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


def _exact(value: Any) -> Any:
    """Turn a number of the file into the decimal that was written (a float's text is exact to 15 digits)."""
    return Decimal(str(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Watt = Annotated[float, Field(ge=0, le=1e8)]
Percent = Annotated[float, Field(ge=0, le=100)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Hour = Annotated[float, Field(ge=0, lt=24)]
Price = Annotated[
    Decimal,
    Field(strict=False, ge=-100, le=1000, max_digits=10, decimal_places=6),
    BeforeValidator(_exact),
    WithJsonSchema(
        {
            "type": "number",
            "minimum": -100,
            "maximum": 1000,
            "words": "a price from -100 to 1000, with at most 6 decimals",
        }
    ),
]
Deposit = Annotated[
    Decimal,
    Field(strict=False, ge=0, le=1000, max_digits=10, decimal_places=6),
    BeforeValidator(_exact),
    WithJsonSchema(
        {
            "type": "number",
            "minimum": 0,
            "maximum": 1000,
            "words": "an amount from 0 to 1000, with at most 6 decimals",
        }
    ),
]
"""Money that somebody puts up: never negative."""
ExactPercent = Annotated[
    Decimal,
    Field(strict=False, ge=0, le=100, decimal_places=4),
    BeforeValidator(_exact),
    WithJsonSchema(
        {
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "words": "a number from 0 to 100, with at most 4 decimals",
        }
    ),
]
"""A share that decides about money, exact to a millionth."""
EngineName = Literal["power_grid_model", "pandapower", "opendss"]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, nothing converted (a quoted number is text)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def duplicates(names: list[str]) -> list[str]:
    """Return the names that occur more than once, in order."""
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
