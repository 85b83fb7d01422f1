"""What the feeder did by itself in a run: reactive power and curtailment of inverters, and moves of taps."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adapters.grid.inverter_fleet import InverterSolution

KPIS = (
    "inverter_absorbed_varh",
    "inverter_injected_varh",
    "inverter_residual_max_pu",
    "inverter_unsolved_steps_count",
    "tap_at_end_steps_count",
    "tap_moves_count",
    "volt_watt_curtailed_wh",
)
Positions = tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """One step, with trades.

    ``q_var``: sum of the inverters' reactive power into the grid, and ``absorbed_var``, ``injected_var`` its two
    signs summed apart. ``less_w``: active power that they took off. ``residual_pu`` and ``solved`` of the fixed point
    (both rows), ``positions`` of the taps after ``moves`` moves; ``at_end``: one wanted to go on and could not.
    """

    step: int
    absorbed_var: float = 0.0
    injected_var: float = 0.0
    less_w: float = 0.0
    residual_pu: float = 0.0
    solved: bool = True
    positions: Positions = ()
    moves: int = 0
    at_end: bool = False


@dataclass
class AnswerLog:
    """All steps of a run."""

    inverters: bool
    taps: tuple[str, ...]
    answers: list[Answer] = field(default_factory=list)

    def kpis(self, step_s: int) -> dict[str, Any]:
        """Sums over the run; None where the plant has no inverters, or no taps under control."""
        hours, seen = step_s / 3600, self.answers
        out: dict[str, Any] = dict.fromkeys(KPIS)
        if self.inverters:
            out |= {
                "inverter_absorbed_varh": sum(a.absorbed_var for a in seen) * hours,
                "inverter_injected_varh": sum(a.injected_var for a in seen) * hours,
                "inverter_residual_max_pu": max((a.residual_pu for a in seen if a.solved), default=0.0),
                "inverter_unsolved_steps_count": sum(not a.solved for a in seen),
                "volt_watt_curtailed_wh": sum(a.less_w for a in seen) * hours,
            }
        if self.taps:
            out |= {
                "tap_at_end_steps_count": sum(a.at_end for a in seen),
                "tap_moves_count": sum(a.moves for a in seen),
            }
        return out

    def columns(self, start: datetime, step_s: int) -> dict[str, list[Any]]:
        """Rows of answers.parquet, one per step."""
        return {
            "step": [a.step for a in self.answers],
            "time": [(start + timedelta(seconds=a.step * step_s)).isoformat() for a in self.answers],
            "inverter_q_var": [
                a.injected_var - a.absorbed_var if self.inverters else None for a in self.answers
            ],
            "curtailed_w": [a.less_w if self.inverters else None for a in self.answers],
            "residual_pu": [a.residual_pu if self.inverters else None for a in self.answers],
            "solved": [a.solved for a in self.answers],
            "tap_positions": [list(a.positions) for a in self.answers],
            "tap_moves": [a.moves for a in self.answers],
        }


def no_answers() -> dict[str, Any]:
    """The KPIs of a plant in which nothing answers."""
    return dict.fromkeys(KPIS)


def inverter_part(found: InverterSolution, available_w: Any) -> dict[str, Any]:
    """What an ``Answer`` says of a solved step's inverters; ``available_w`` (2, m)."""
    with_trades = 0
    q, residual = found.q_var[with_trades], float(found.residual_pu.max(initial=0.0))
    return {
        "absorbed_var": float(-q[q < 0].sum()),
        "injected_var": float(q[q > 0].sum()),
        "less_w": float((available_w[with_trades] - found.p_w[with_trades]).sum()),
        "residual_pu": residual,
        "solved": bool(found.converged.all()),
    }
