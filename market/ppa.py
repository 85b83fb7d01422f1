"""Bilateral power purchase agreements: fixed or indexed price, take-or-pay, a text that is the contract.

Ricardian: the contract is a human-readable text; the program reads its terms from that text, and the SHA-256 of the
text is the contract's id. Nothing that binds the parties stands outside it.

Source: I. Grigg, "The Ricardian contract", IEEE Workshop on Electronic Contracting 2004.
"""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from market.errors import ContractError, UnitError
from market.parameters import whole_micro
from market.validate import MAX_ENERGY_WH, MAX_PRICE

_TEMPLATE = """POWER PURCHASE AGREEMENT

1. {seller} sells and {buyer} buys electrical energy.
2. Delivery: in every market interval from number {first} to number {last}, both included.
3. Quantity: at most {max_wh} Wh in each interval, as far as the seller offers and the buyer asks for it.
4. Price: {price}.
5. Take or pay: the buyer pays for at least {take_wh} Wh in each interval in which the seller offered as much.
6. The identity of this agreement is the SHA-256 of this text.
"""
_FIXED = "{price} per kWh, fixed"
_INDEXED = (
    "the published price of the interval times {factor} plus {premium} per kWh, "
    "not below {floor} and not above {cap} per kWh"
)


def _decimal(micro: int) -> str:
    return f"{Decimal(micro).scaleb(-6):.6f}"


@dataclass(frozen=True)
class FixedPrice:
    """One price for the whole term, in micro per kWh."""

    price_micro_per_kwh: int

    def price(self, index_micro_per_kwh: int | None) -> int:
        """Return the price; the index does not matter."""
        return self.price_micro_per_kwh

    def text(self) -> str:
        """Return the price clause."""
        return _FIXED.format(price=_decimal(self.price_micro_per_kwh))


@dataclass(frozen=True)
class IndexedPrice:
    """index * factor + premium, within a floor and a cap; all in micro (per kWh), the factor in millionths."""

    factor_ppm: int
    premium_micro_per_kwh: int
    floor_micro_per_kwh: int
    cap_micro_per_kwh: int

    def price(self, index_micro_per_kwh: int | None) -> int:
        """Return the price, rounded down. Raises ``ContractError`` where no index was published."""
        if index_micro_per_kwh is None:
            raise ContractError(
                "agreement: its price is indexed, but no index was published for the interval"
            )
        price = index_micro_per_kwh * self.factor_ppm // 1_000_000 + self.premium_micro_per_kwh
        return min(max(price, self.floor_micro_per_kwh), self.cap_micro_per_kwh)

    def text(self) -> str:
        """Return the price clause."""
        return _INDEXED.format(
            factor=_decimal(self.factor_ppm),
            premium=_decimal(self.premium_micro_per_kwh),
            floor=_decimal(self.floor_micro_per_kwh),
            cap=_decimal(self.cap_micro_per_kwh),
        )


@dataclass(frozen=True)
class Agreement:
    """A power purchase agreement between two participants (ids as text), over intervals first to last."""

    seller: str
    buyer: str
    first_interval: int
    last_interval: int
    max_wh: int
    price: FixedPrice | IndexedPrice
    take_or_pay_wh: int = 0

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ContractError(problems)

    def text(self) -> str:
        """Return the agreement as the parties sign it."""
        return _TEMPLATE.format(
            seller=self.seller,
            buyer=self.buyer,
            first=self.first_interval,
            last=self.last_interval,
            max_wh=self.max_wh,
            price=self.price.text(),
            take_wh=self.take_or_pay_wh,
        )

    @property
    def contract_id(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return sha256(self.text().encode()).hexdigest()

    def covers(self, interval: int) -> bool:
        """Return whether the agreement delivers in an interval."""
        return self.first_interval <= interval <= self.last_interval

    def _problems(self) -> list[str]:
        problems = []
        for name in (self.seller, self.buyer):
            if not name or any(c.isspace() for c in name):
                problems.append(f"agreement: party {name!r} must be an id without blanks")
        if self.seller == self.buyer:
            problems.append(f"agreement: {self.seller} cannot sell to itself")
        if not 0 <= self.first_interval <= self.last_interval:
            problems.append(
                f"agreement: intervals {self.first_interval} to {self.last_interval} are no period"
            )
        if not 0 < self.max_wh <= MAX_ENERGY_WH:
            problems.append(f"agreement: max_wh is {self.max_wh}; allowed is 1 to {MAX_ENERGY_WH}")
        if not 0 <= self.take_or_pay_wh <= self.max_wh:
            problems.append(
                f"agreement: take_or_pay_wh is {self.take_or_pay_wh}; allowed is 0 to {self.max_wh}"
            )
        return problems + _price_problems(self.price)


def _price_problems(price: FixedPrice | IndexedPrice) -> list[str]:
    if isinstance(price, FixedPrice):
        ok = -MAX_PRICE <= price.price_micro_per_kwh <= MAX_PRICE
    else:
        ok = -MAX_PRICE <= price.floor_micro_per_kwh <= price.cap_micro_per_kwh <= MAX_PRICE
        ok = ok and 0 <= price.factor_ppm <= 10**9 and abs(price.premium_micro_per_kwh) <= MAX_PRICE
    return [] if ok else [f"agreement: {price} is out of range; floor <= cap, |prices| <= {MAX_PRICE}"]


def _terms(template: str, text: str) -> dict[str, str] | None:
    """Return the fields of a text that was made from a template, nothing if it was not."""
    first, *parts = template.split("{")
    if not text.startswith(first):
        return None
    text, terms = text[len(first) :], {}
    for part in parts:
        name, literal = part.split("}", 1)
        end = text.find(literal) if literal else len(text)
        if end < 1:
            return None
        terms[name], text = text[:end], text[end + len(literal) :]
    return None if text else terms


def read_agreement(text: str) -> Agreement:
    """Return the agreement that a text states; writing it again gives the same text, or it is refused.

    Raises:
        ContractError: The text is not of this form, or a term is out of range.
    """
    terms = _terms(_TEMPLATE, text)
    if terms is None:
        raise ContractError("agreement: the text does not have the form of a power purchase agreement")
    try:
        agreement = Agreement(
            seller=terms["seller"],
            buyer=terms["buyer"],
            first_interval=int(terms["first"]),
            last_interval=int(terms["last"]),
            max_wh=int(terms["max_wh"]),
            price=_read_price(terms["price"]),
            take_or_pay_wh=int(terms["take_wh"]),
        )
    except (ValueError, UnitError) as error:
        raise ContractError(f"agreement: {error}") from None
    if agreement.text() != text:
        raise ContractError("agreement: the text is not in the canonical form (numbers, blanks)")
    return agreement


def _read_price(clause: str) -> FixedPrice | IndexedPrice:
    fixed = _terms(_FIXED, clause)
    if fixed:
        return FixedPrice(whole_micro(fixed["price"], "price"))
    indexed = _terms(_INDEXED, clause)
    if indexed:
        names = ("factor", "premium", "floor", "cap")
        return IndexedPrice(*(whole_micro(indexed[name], name) for name in names))
    raise ContractError(f"agreement: the price clause {clause!r} is neither fixed nor indexed")
