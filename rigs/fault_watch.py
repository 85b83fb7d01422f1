"""Follows a bench through its scheduled faults: when each was noticed, what was done, whether all is well again.

Only a test bench can judge this: an emulated device also tells, beside its registers, what really flowed.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rigs.device import Quality, Sample
from rigs.faults import Fault, FaultFinding

_WRONG_W, _WRONG_SHARE = 25.0, 0.05  # a good sample further from the truth was believed wrongly
_ENDPOINT = re.compile(r"\w+://\S+ unit \d+: ")
_GRACE_STEPS = 2  # to come back: the step in which the fault ends, and one to find the device again


def owner_of(role: str) -> str:
    """Return the participant of a role ('house_1' of 'house_1.battery'); devices of one owner share a meter."""
    return role.rpartition(".")[0]


@dataclass
class _Story:
    noticed_after_s: float | None = None
    notice: str = ""
    recovered_after_s: float | None = None
    seen: int = 0
    bad: int = 0
    believed_wrong: int = 0
    last_s: float = -math.inf
    did: Counter[str] = field(default_factory=Counter)


class FaultWatch:
    """Books every sample and every entry of the journal that falls into a scheduled fault."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        self._stories = {fault: _Story() for fault in faults}
        self._now_s = 0.0
        self._step_s = 0.0

    def heard(self, kind: str, content: Mapping[str, Any]) -> None:
        """Book what the harness did: an entry of the journal."""
        if not self.faults or kind not in ("joined", "decision", "latch"):
            return
        deed = _deed(kind, content)
        for fault in self.faults if deed else ():
            if (
                fault.role == content.get("role")
                and fault.from_s <= self._now_s < fault.until_s + self._step_s
            ):
                self._stories[fault].did[deed] += 1

    def begins(self, now_s: float, step_s: float) -> None:
        """Say that a step begins."""
        self._now_s, self._step_s = now_s, step_s

    def explains(self, role: str, now_s: float) -> bool:
        """Tell whether a scheduled fault explains a bad sample of a step that ended at ``now_s``."""
        owner = owner_of(role)
        return any(
            (fault.role == role or (owner and owner_of(fault.role) == owner))
            and fault.from_s <= now_s < fault.until_s + _GRACE_STEPS * self._step_s
            for fault in self.faults
        )

    def saw(self, role: str, now_s: float, sample: Sample, true_w: float | None) -> None:
        """Book the sample of a step that ended at ``now_s``; ``true_w`` is what really flowed, if anyone knows."""
        good = sample.quality is Quality.GOOD
        for fault in self.faults:
            if fault.role != role or not fault.from_s <= now_s:
                continue
            story = self._stories[fault]
            story.last_s = now_s
            if not now_s - self._step_s < fault.until_s + self._step_s:
                if good and story.recovered_after_s is None:
                    story.recovered_after_s = now_s - fault.until_s
                continue
            story.seen += 1
            if not good:
                story.bad += 1
                story.recovered_after_s = None
                if story.noticed_after_s is None:
                    story.noticed_after_s, story.notice = now_s - fault.from_s, _without_endpoint(sample.note)
                continue
            if true_w is not None and not _right(sample.p_gen_w, true_w):
                story.believed_wrong += 1
            if now_s >= fault.until_s and story.recovered_after_s is None:
                story.recovered_after_s = now_s - fault.until_s

    def findings(self) -> tuple[FaultFinding, ...]:
        """Return one finding per fault, in their order."""
        return tuple(self._finding(fault, self._stories[fault]) for fault in self.faults)

    def _finding(self, fault: Fault, story: _Story) -> FaultFinding:
        why = []
        if not story.seen:
            why.append("no sample was taken while it lasted")
        if story.believed_wrong:
            why.append(f"{story.believed_wrong} wrong values were taken for good")
        grace_s = _GRACE_STEPS * self._step_s
        expected_back = story.last_s >= fault.until_s + grace_s
        back_s = story.recovered_after_s
        if expected_back and (back_s is None or not back_s <= grace_s):
            when = "not at all" if back_s is None else f"only after {back_s:g} s"
            why.append(f"good values came back {when}")
        unnoticed = "every value was right" if not story.believed_wrong else "not noticed"
        return FaultFinding(
            fault,
            story.noticed_after_s,
            story.notice or unnoticed,
            _deeds(story),
            back_s,
            story.believed_wrong,
            not why,
            "; ".join(why),
        )


def _without_endpoint(note: str) -> str:
    """Ports of emulated devices differ from run to run, and what a run writes must not."""
    return "; ".join(dict.fromkeys(_ENDPOINT.sub("", part) for part in note.split("; ")))


def _right(p_w: float, true_w: float) -> bool:
    return abs(p_w - true_w) <= _WRONG_W + _WRONG_SHARE * abs(true_w)


def _deed(kind: str, content: Mapping[str, Any]) -> str:
    if kind == "joined":
        return "link brought back, identity checked"
    if kind == "latch":
        return "latched until a person resets it"
    outcome, reason = content.get("outcome"), str(content.get("reason", ""))
    if reason == "make safe":
        return "made safe"
    if outcome == "unknown":
        return "write taken as unknown, all points to be written anew"
    if outcome == "held" and "meter" in reason:
        return "set point held, left to the device's own timer"
    if outcome == "sent" and reason == "written anew":
        return "set point written anew"
    return ""


def _deeds(story: _Story) -> str:
    parts = []
    if story.bad:
        word = "sample" if story.bad == 1 else "samples"
        parts.append(f"{story.bad} {word} marked bad, the model stood in, counters carried on")
    parts += [f"{deed} ({count}×)" if count > 1 else deed for deed, count in story.did.items()]
    return "; ".join(parts) or "nothing needed"
