"""What the oracles found: who was outvoted or held, why, and how long a fault stayed unseen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twin.fault_plan import MeterFault
from twin.oracles.behind import BALANCE_SAYS_NO, BALANCE_UNCLEAR, MODEL_SAYS_NO, UNUSABLE
from twin.oracles.consensus import HELD, METER, NOBODY, RANGE, REASONS, SOURCES, UNCLEAR, Agreement
from twin.oracles.meter import BROKEN, GAP, OK, REPLAYED, SILENT
from twin.oracles.output_model import Band

NOT_CERTIFIED = "not certified"
REFUSED = {
    UNUSABLE: "nothing that continues the meter's chain",
    MODEL_SAYS_NO: "beyond what sun or battery allow",
    BALANCE_SAYS_NO: "does not balance with the connection point",
    BALANCE_UNCLEAR: "the connection point cannot tell which of the two",
}
WORDS = {SILENT: "silent", REPLAYED: "replaying", BROKEN: "tampered", GAP: "gap"}
NAMED_AS = {
    "meter_lie": "lying",
    "meter_frozen": "frozen",
    "meter_silent": "silent",
    "meter_replay": "replaying",
}


@dataclass
class Finding:
    """One participant and interval on which the sources did not simply agree. Energies in whole Wh."""

    interval: int
    row: int
    status: str  # outvoted | held | not certified
    named: str
    finding: str
    reason: str
    meter_wh: int | None
    log_wh: int | None
    low_wh: int
    high_wh: int
    value_wh: int | None  # settled; None while held
    fault: str | None
    log_admitted: bool = False  # by the model: else the log's value never stands by rule
    resolved_interval: int | None = None
    resolved_by: str | None = None
    withheld_micro: int = 0
    rest_micro: int | None = None


@dataclass
class Seen:
    """When a fault of a meter was named, and as what."""

    fault: MeterFault
    after_s: float | None = None
    named_as: str | None = None
    held: int = 0
    outvoted: int = 0


@dataclass
class Findings:
    """Collected over a run."""

    seen: list[Seen]
    rows: list[Finding] = field(default_factory=list)
    behind: list[Finding] = field(
        default_factory=list
    )  # of meters behind connection points: no bill waits for them
    agreed_count: int = 0
    readings_count: int = 0
    false_alarms: int = 0

    def look(
        self, interval: int, start_s: int, end_s: int, made: Agreement, meter: tuple[Any, Any], band: Band
    ) -> None:
        """Take an interval; ``meter`` is (energy, what is wrong with the reading), (n,) each."""
        self.readings_count += len(made.status)
        odd = made.status.nonzero()[0]
        self.agreed_count += len(made.status) - len(odd)
        for row in odd.tolist():
            self.rows.append(self._finding(interval, row, start_s, end_s, made, meter, band))

    def look_behind(
        self,
        interval: int,
        span: tuple[int, int],
        n: int,
        meters: tuple[Any, Any],
        judged: tuple[Any, Any, Any],
    ) -> None:
        """Take what was found of the meters behind connection points, of an interval [begin, end) of ``span``.

        ``meters`` is (energy, what is wrong with the reading) of all meters, the first ``n`` at connection points;
        ``judged`` what ``Behind.judge`` returned.
        """
        verdict, low, high = judged
        for at in verdict.nonzero()[0].tolist():
            row, why = n + at, int(verdict[at])
            energy, state = int(meters[0][row]), int(meters[1][row])
            named = why != BALANCE_UNCLEAR
            word = "unclear" if not named else WORDS.get(state) or ("frozen" if energy == 0 else "lying")
            active = self._active(row, *span)
            self._name(active, span[1], word, named)
            self.behind.append(
                Finding(
                    interval, row, NOT_CERTIFIED, SOURCES[METER if named else NOBODY], word, REFUSED[why],
                    energy if state == OK else None, None, int(low[at]), int(high[at]), None,
                    active[0].fault.kind if active else None,
                )
            )  # fmt: skip

    def _active(self, row: int, start_s: int, end_s: int) -> list[Seen]:
        """The faults of a meter in [start_s, end_s)."""
        return [
            s
            for s in self.seen
            if s.fault.row == row and s.fault.from_s < end_s and start_s < s.fault.until_s
        ]

    def _name(self, active: list[Seen], end_s: int, word: str, named: bool) -> None:
        """Note that a meter was named, at the end of an interval, and whether for nothing."""
        for seen in active:
            if named and (seen.after_s is None or seen.named_as == "gap"):
                seen.after_s, seen.named_as = end_s - seen.fault.from_s, word
        if named and not active and word != "gap":
            self.false_alarms += 1

    def _finding(
        self, interval: int, row: int, start_s: int, end_s: int, made: Agreement, meter: Any, band: Band
    ) -> Finding:
        energy, state = int(meter[0][row]), int(meter[1][row])
        named, held = int(made.named[row]), made.status[row] == HELD
        if made.reason[row] == RANGE:
            word = "out of range"
        elif named == METER:
            word = WORDS.get(state) or ("frozen" if energy == 0 else "lying")
        else:
            word = "unclear" if made.reason[row] == UNCLEAR else "off"
        active = self._active(row, start_s, end_s)
        for seen in active:
            seen.held += int(held)
            seen.outvoted += int(not held)
        self._name(active, end_s, word, named == METER)
        return Finding(
            interval, row, "held" if held else "outvoted", SOURCES[named], word, REASONS[made.reason[row]],
            energy if state == OK else None, int(made.log_wh[row]) if made.log_known[row] else None,
            int(band.low_wh[row]), int(band.high_wh[row]), None if held else int(made.value_wh[row]),
            active[0].fault.kind if active else None, bool(made.log_admitted[row]),
        )  # fmt: skip

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Columns of oracles.parquet; ``names`` are those of all meters."""
        rows = sorted(self.rows + self.behind, key=lambda r: r.interval) if self.behind else self.rows
        if not rows:
            return {}
        return {
            "interval": [r.interval for r in rows],
            "participant": [names[r.row] for r in rows],
            "status": [r.status for r in rows],
            "named": [r.named for r in rows],
            "finding": [r.finding for r in rows],
            "reason": [r.reason for r in rows],
            "meter_wh": [r.meter_wh for r in rows],
            "grid_log_wh": [r.log_wh for r in rows],
            "model_low_wh": [r.low_wh for r in rows],
            "model_high_wh": [r.high_wh for r in rows],
            "settled_wh": [r.value_wh for r in rows],
            "resolved_interval": [r.resolved_interval for r in rows],
            "resolved_by": [r.resolved_by for r in rows],
            "withheld_micro": [r.withheld_micro for r in rows],
            "rest_micro": [r.rest_micro for r in rows],
            "fault": [r.fault for r in rows],
        }

    def kpis(self) -> dict[str, Any]:
        """Numbers of the run, named ``oracle_...``."""
        held = [r for r in self.rows if r.status == "held"]
        times = [s.after_s for s in self.seen if s.after_s is not None]
        return {
            "oracle_readings_count": self.readings_count,
            "oracle_agreed_count": self.agreed_count,
            "oracle_outvoted_count": len(self.rows) - len(held),
            "oracle_held_count": len(held),
            "oracle_resolved_count": sum(r.resolved_by is not None for r in held),
            "oracle_open_count": sum(r.resolved_by is None for r in held),
            "oracle_not_certified_count": len(self.behind),
            "oracle_faults_count": len(self.seen),
            "oracle_faults_named_count": len(times),
            "oracle_false_alarms_count": self.false_alarms,
            "oracle_detection_max_s": max(times, default=None),
        }

    def record(self) -> list[dict[str, Any]]:
        """Every fault of a meter, and what became of it; for verdict.json."""
        return [
            {
                "participant": s.fault.participant,
                "kind": s.fault.kind,
                "from_s": s.fault.from_s,
                "until_s": s.fault.until_s,
                "named_as": s.named_as,
                "named_right": s.named_as == NAMED_AS[s.fault.kind],
                "after_s": s.after_s,
                "held_count": s.held,
                "outvoted_count": s.outvoted,
            }
            for s in self.seen
        ]
