"""Admission to the asset pool: proven rights, a location of its own, and a condition. Refusals are data.

The signature is checked by a function that the caller passes in (a chain's wallet, a PKI): this package knows no
cryptography but hashes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from market.errors import AdmissionError

Verify = Callable[[bytes, bytes, str], bool]
"""(message, signature, owner) to whether the owner signed the message."""

CODES = (
    "not_signed",
    "location_taken",
    "asset_known",
    "stake_too_low",
    "outside_window",
    "after_the_end",  # of whoever keeps the register: given by ``twin.admission``
)


@dataclass(frozen=True)
class Registration:
    """What an owner declares and signs about an asset."""

    asset_id: str
    owner: str
    meter_point: str
    kind: str
    p_max_w: int
    stake_micro: int
    signature: bytes

    def __post_init__(self) -> None:
        problems = [
            f"registration: {name} must be a text without control characters, got {text!r}"
            for name, text in self._texts()
            if not text or not text.isprintable()
        ]
        if self.p_max_w <= 0 or self.stake_micro < 0:
            problems.append(
                f"registration {self.asset_id}: p_max_w {self.p_max_w} must be > 0, stake {self.stake_micro} >= 0"
            )
        if problems:
            raise AdmissionError(problems)

    def _texts(self) -> tuple[tuple[str, str], ...]:
        names = ("asset_id", "owner", "meter_point", "kind")
        return tuple((name, getattr(self, name)) for name in names)

    def message(self) -> bytes:
        """Return the bytes that the owner signs: every declared field on its own line."""
        lines = ["p2p asset registration"] + [f"{name}: {text}" for name, text in self._texts()]
        return "\n".join(
            [*lines, f"p_max_w: {self.p_max_w}", f"stake_micro: {self.stake_micro}", ""]
        ).encode()


@dataclass(frozen=True)
class Condition:
    """What a pool asks of an asset: nothing ('open'), a least stake, or registration within a time window."""

    kind: Literal["open", "stake", "window"] = "open"
    stake_micro: int = 0
    from_s: int = 0
    to_s: int = 0


@dataclass(frozen=True)
class Reason:
    """Why an asset was refused: one of ``CODES``, and words."""

    code: str
    text: str


@dataclass(frozen=True)
class Decision:
    """Admitted where there is no reason against it; otherwise every reason."""

    asset_id: str
    reasons: tuple[Reason, ...]

    @property
    def admitted(self) -> bool:
        """Whether the asset is in the pool now."""
        return not self.reasons


class AssetPool:
    """The register of admitted assets: one per meter point."""

    def __init__(self, condition: Condition, verify: Verify) -> None:
        self._condition = condition
        self._verify = verify
        self._by_asset: dict[str, Registration] = {}
        self._by_location: dict[str, str] = {}

    @property
    def assets(self) -> tuple[Registration, ...]:
        """Admitted assets, by id."""
        return tuple(self._by_asset[key] for key in sorted(self._by_asset))

    def admit(self, registration: Registration, at_s: int) -> Decision:
        """Decide on a registration at a time; an admitted asset takes its meter point."""
        reasons = tuple(self._reasons(registration, at_s))
        if not reasons:
            self._by_asset[registration.asset_id] = registration
            self._by_location[registration.meter_point] = registration.asset_id
        return Decision(registration.asset_id, reasons)

    def withdraw(self, asset_id: str) -> Registration:
        """Take an asset out and free its meter point. Raises ``AdmissionError`` if it is not in the pool."""
        if asset_id not in self._by_asset:
            raise AdmissionError(f"asset {asset_id}: is not in the pool")
        registration = self._by_asset.pop(asset_id)
        del self._by_location[registration.meter_point]
        return registration

    def _reasons(self, new: Registration, at_s: int) -> list[Reason]:
        reasons = []
        if not self._verify(new.message(), new.signature, new.owner):
            reasons.append(Reason("not_signed", f"the registration is not signed by {new.owner}"))
        if new.asset_id in self._by_asset:
            reasons.append(Reason("asset_known", f"{new.asset_id} is in the pool already"))
        taken = self._by_location.get(new.meter_point)
        if taken is not None and taken != new.asset_id:
            reasons.append(Reason("location_taken", f"{new.meter_point} is the location of {taken}"))
        return reasons + self._condition_reasons(new, at_s)

    def _condition_reasons(self, new: Registration, at_s: int) -> list[Reason]:
        wanted = self._condition
        if wanted.kind == "stake" and new.stake_micro < wanted.stake_micro:
            text = f"stake is {new.stake_micro} micro, at least {wanted.stake_micro} is asked for"
            return [Reason("stake_too_low", text)]
        if wanted.kind == "window" and not wanted.from_s <= at_s < wanted.to_s:
            text = f"registered at {at_s} s, the window is {wanted.from_s} to {wanted.to_s} s"
            return [Reason("outside_window", text)]
        return []
