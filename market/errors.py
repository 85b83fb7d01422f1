"""Errors and refusals of the market core. The class says what the caller can do about it."""

from collections.abc import Sequence

_SHOWN = 20


class MarketError(Exception):
    """Base of every error of the market core; ``problems`` lists all that was found, not only the first."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        shown = list(self.problems[:_SHOWN])
        if len(self.problems) > _SHOWN:
            shown.append(f"... and {len(self.problems) - _SHOWN} more")
        super().__init__("\n".join(shown))


class OrderError(MarketError):
    """A book of orders is not valid: correct the orders. Nothing was cleared."""


class TariffError(MarketError):
    """The supplier's prices are not a band: correct the tariff."""


class ParameterError(MarketError):
    """A mechanism's name or parameter is unknown or out of range: correct the configuration.

    ``keys`` names the parameter of each problem, in the same order; empty where the problem is another.
    """

    def __init__(self, problems: str | Sequence[str], keys: Sequence[str] = ()) -> None:
        super().__init__(problems)
        self.keys = tuple(keys)


class RangeError(MarketError):
    """A number is outside the range in which the integer arithmetic is exact: use smaller amounts."""


class UnitError(MarketError):
    """A decimal is not a whole number of the smallest unit: round it where you know which way."""


class SettlementError(MarketError):
    """Entries do not form a balanced batch over known accounts: correct the ledger."""


class ContractError(MarketError):
    """A bilateral contract or preference is not valid: correct the contract."""


class BillingError(MarketError):
    """A tariff or a metered quantity cannot be billed: correct it."""


class AdmissionError(MarketError):
    """An asset registration is malformed: correct it (a refusal on the merits is data, not an error)."""


class PoolRefusalError(MarketError):
    """A pool refuses an operation and is unchanged.

    ``code`` is one of ``market.amm.REFUSALS``: a router may take the next venue, a study may count the codes.
    """

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(f"{code}: {text}")
