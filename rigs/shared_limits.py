"""Limits of all roles together, reserved before anything is sent: on wall-clock time every device is written by a poll
loop of its own, and two orders that are good together may not even for a moment be too much together.

What a device may be doing is a range: one value once it has read back, more while a write is under way or unknown. A
role reserves the value that it is about to write; check and reservation are one piece of code without a pause, so no
other poll loop comes between.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

NO_ROOM = "no room yet"
Stored = tuple[float, float]
"""State of charge 0..1 and capacity in Wh."""


def soc_breach(window: tuple[float, float] | None, flow_w: float, stored: list[Stored]) -> str:
    """Return why batteries together may not give (``flow_w`` > 0) or take that power, empty where they may."""
    if window is None or not stored or flow_w == 0:
        return ""
    soc = sum(share * wh for share, wh in stored) / sum(wh for _, wh in stored)
    if flow_w > 0 and not soc > window[0]:
        return f"discharging all batteries together at a state of charge of {soc:.3g}, least is {window[0]}"
    if flow_w < 0 and not soc < window[1]:
        return f"charging all batteries together at a state of charge of {soc:.3g}, most is {window[1]}"
    return ""


@dataclass(frozen=True)
class Member:
    """One role: what it falls back to by itself, its battery (None: it has none), and how to latch it."""

    falls_to_w: tuple[float, float]
    stored: Callable[[], Stored] | None
    latch: Callable[[str], None]


@dataclass
class SharedLimits:
    """What all set points together may be, in W into the grid, and all batteries' common window of charge.

    ``others_w`` is what roles without a gate are ordered.
    """

    p_gen_w: tuple[float, float] | None = None
    soc: tuple[float, float] | None = None
    others_w: float = 0.0
    _members: dict[str, Member] = field(default_factory=dict)
    _ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def join(self, role: str, member: Member, now_w: tuple[float, float]) -> None:
        """Take a role in; ``now_w`` is least and most that it may be doing now."""
        self._members[role] = member
        self._ranges[role] = now_w

    def no_room(self, role: str, value_w: float) -> str:
        """Return why a set point cannot be sent yet, empty where it fits whatever the others are doing meanwhile.

        A value inside what the role may be doing already makes nothing worse and always fits.
        """
        if self.p_gen_w is None or role not in self._ranges:
            return ""
        least_w, most_w = self._ranges[role]
        others = [r for name, r in self._ranges.items() if name != role]
        high_w = self.others_w + value_w + sum(high for _, high in others)
        low_w = self.others_w + value_w + sum(low for low, _ in others)
        if value_w > most_w and not high_w <= self.p_gen_w[1]:
            return f"{NO_ROOM}: with what others may do the sum could be {high_w:g} W, most is {self.p_gen_w[1]} W"
        if value_w < least_w and not low_w >= self.p_gen_w[0]:
            return f"{NO_ROOM}: with what others may do the sum could be {low_w:g} W, least is {self.p_gen_w[0]} W"
        return ""

    def drained(self, role: str, value_w: float) -> str:
        """Return why a battery's set point breaks the common window of charge, empty where it does not."""
        batteries = {name: m.stored() for name, m in self._members.items() if m.stored is not None}
        if role not in batteries:
            return ""
        known = {
            name: self._ranges[name][0]
            for name in batteries
            if self._ranges[name][0] == self._ranges[name][1]
        }
        return soc_breach(self.soc, sum((known | {role: value_w}).values()), list(batteries.values()))

    def latch_all(self, reason: str) -> None:
        """Latch every role: a breach of what they share."""
        for member in self._members.values():
            member.latch(reason)

    def reserve(self, role: str, value_w: float) -> None:
        """Count a value that is about to be written beside what the role may be doing now."""
        if role in self._ranges:
            least_w, most_w = self._ranges[role]
            self._ranges[role] = min(least_w, value_w), max(most_w, value_w)

    def settle(self, role: str, value_w: float) -> None:
        """The device has the value, and nothing else."""
        if role in self._ranges:
            self._ranges[role] = value_w, value_w

    def lose(self, role: str) -> None:
        """It is not known what the device does: it may also have fallen back by itself."""
        if role in self._ranges:
            for value_w in self._members[role].falls_to_w:
                self.reserve(role, value_w)
