"""Parameters of a mechanism: declared once, parsed exactly, all problems reported together."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from market.errors import ParameterError, UnitError

MILLION = 1_000_000


def whole_micro(value: Any, what: str = "value") -> int:
    """Return a decimal number as whole millionths, exactly.

    Args:
        value: int, str, Decimal, or a float as a YAML file gives it (read by its shortest decimal text).
        what: name used in the message.

    Raises:
        UnitError: Not a finite decimal, or not a whole number of millionths.
    """
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        if not number.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise UnitError(f"{what}: got {value!r}; must be a decimal number, e.g. 0.25") from None
    scaled = number.scaleb(6)
    if scaled != scaled.to_integral_value():
        raise UnitError(f"{what}: got {value}; must have at most 6 decimals (a whole number of millionths)")
    return int(scaled)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a mechanism.

    ``kind`` is 'int' (as it is), 'micro' (a decimal, read as whole millionths: shares and prices), 'choice'
    or 'flag'. ``low`` and ``high`` bound the value as the user writes it; ``argument`` names the
    constructor's.
    """

    argument: str
    kind: str
    default: Any
    text: str
    low: str = "0"
    high: str = "1"
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        """Return what a user may write, in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "flag":
            return "true or false"
        return f"{self.low} to {self.high}" + (" (whole)" if self.kind == "int" else "")

    def parse(self, value: Any, where: str) -> Any:
        """Return the value for the constructor. Raises ``ParameterError`` with what is allowed."""
        refused = ParameterError(f"{where}: got {value!r}; allowed is {self.allowed()}")
        if self.kind == "choice":
            if value not in self.choices:
                raise refused
            return value
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise refused
            return value
        if self.kind == "int":
            if isinstance(value, bool) or not isinstance(value, int):
                raise refused
            if not int(self.low) <= value <= int(self.high):
                raise refused
            return value
        try:
            micro = whole_micro(value, where)
        except UnitError as error:
            raise ParameterError(error.problems) from None
        if not whole_micro(self.low) <= micro <= whole_micro(self.high):
            raise refused
        return micro


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Return ' (did you mean X?)' for a near miss, else an empty text."""
    close = get_close_matches(str(word), known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def parse_parameters(
    mechanism: str, given: Mapping[str, Any], known: Mapping[str, Parameter]
) -> dict[str, Any]:
    """Return constructor arguments for the given parameters, defaults included.

    Raises:
        ParameterError: With one problem per unknown name and per value out of range.
    """
    problems: list[str] = []
    keys: list[str] = []
    arguments: dict[str, Any] = {p.argument: p.default for p in known.values()}
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            hint = nearest(name, tuple(known))
            problems.append(f"{mechanism}: unknown parameter {name!r}{hint}; allowed: {allowed}")
            keys.append(name)
            continue
        try:
            arguments[known[name].argument] = known[name].parse(value, f"{mechanism}.{name}")
        except ParameterError as error:
            problems.extend(error.problems)
            keys += [name] * len(error.problems)
    if problems:
        raise ParameterError(problems, keys)
    return arguments
