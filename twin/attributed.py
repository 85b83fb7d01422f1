"""Who is behind: shares of every violation and of the worst moments, computed after the run in the plant's model."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import Feeder
from twin.extremes import LINE, MEASURES, TRAFO, V_MAX, V_MIN, Moment
from twin.gate.attribution import Shares, attribute, equivalent_of
from twin.gate.kinds import CLAUSES, SHORT_TIME, Kind, place_of
from twin.recorder import Recorder
from twin.violations import Episode, Snapshot

MOST_EPISODES = 200
"""Episodes attributed per status; the worst are taken, and verdict.json says how many were left out."""
ONE_BY_ONE = "pandapower"
"""The engine that solves one state at a time, in some ten milliseconds each instead of some microseconds."""
MOST_ONE_BY_ONE, TOLERANCE_ONE_BY_ONE = 10, 1e-3
"""With it fewer episodes are attributed, and to a part in a thousand: an episode takes hundreds of states, unless the
engine has the feeder's equivalent."""
MOST_ROWS = 20_000
"""Without one, so many bus rows in all episodes together: an OpenDSS file of 2,700 rows takes seconds for one."""
TOP = 5

KINDS: dict[int, Kind] = {
    V_MIN: "voltage_min",
    V_MAX: "voltage_max",
    LINE: "line_loading",
    TRAFO: "transformer_loading",
}


@dataclass(frozen=True)
class Subject:
    """The element of an attribution."""

    kind: Kind
    row: int
    limit: float


@dataclass(frozen=True)
class AttributedEpisode:
    """An episode with its shares (None where it was left out)."""

    episode: Episode
    status: str
    shares: Shares | None
    phase: str = "abc"


def shares_of(engine: Engine, snapshot: Snapshot, subject: Subject) -> Shares:
    """Shares of one element's change at one moment."""
    s, engine = snapshot, snapshot.engine or engine
    powers = (s.p_base_w, s.q_base_var, s.p_traded_w, s.q_traded_var)
    if engine.name == ONE_BY_ONE and equivalent_of(engine) is None:
        return attribute(engine, *powers, subject, TOLERANCE_ONE_BY_ONE)
    return attribute(engine, *powers, subject)


def attribute_episodes(plant: Engine, gate: Engine, recorder: Recorder) -> list[AttributedEpisode]:
    """Attribute the worst moment of each episode that trades caused: violated in the plant, averted in the gate."""
    done: list[AttributedEpisode] = []
    both = (("violated", recorder.violated, plant), ("averted", recorder.averted, gate))
    for status, log, engine in both:
        episodes = list(log.all())
        ranked = sorted((e for e in episodes if e.by_trades), key=_severity, reverse=True)
        chosen = {id(e) for e in ranked[: most_episodes(engine)]} if ranked else set()
        for e in episodes:
            subject = Subject(e.kind, e.row, e.limit)
            shares = shares_of(engine, e.snapshot, subject) if id(e) in chosen else None
            done.append(AttributedEpisode(e, status, shares, phase_of(engine.feeder, e)))
    return done


def most_episodes(engine: Engine) -> int:
    """How many episodes are attributed with an engine; few where each takes hundreds of slow power flows."""
    if equivalent_of(engine) is not None:
        return MOST_EPISODES
    if engine.name == ONE_BY_ONE:
        return MOST_ONE_BY_ONE
    return max(MOST_ONE_BY_ONE, min(MOST_EPISODES, MOST_ROWS // engine.feeder.n_bus))


def phase_of(feeder: Feeder, episode: Episode) -> str:
    """Phase of an episode's bus or branch row; 'abc' on a balanced feeder, and of what all phases make together."""
    place = place_of(episode.kind)
    if place == "head" or episode.kind == "voltage_unbalance":
        return "abc"
    return (feeder.bus_phase if place == "bus" else feeder.branch_phase)[episode.row]


def _severity(episode: Episode) -> float:
    """Excess in comparable terms: one percent of loading, or of a cap, weighs as much as 0.001 pu of voltage."""
    if place_of(episode.kind) == "head":
        return 100 * episode.worst_excess / max(episode.limit, 1.0)
    return episode.worst_excess * (1000 if episode.unit == "pu" else 1)


def violation_rows(
    done: list[AttributedEpisode], step_s: int, interval_s: int, short_time: tuple[str, ...] = ()
) -> dict[str, list[Any]]:
    """Rows of violations.parquet; ``short_time``: kinds whose limit in the plant is a short-time rating."""
    rows: dict[str, list[Any]] = {}
    for item in done:
        e = item.episode
        # what the gate averted is counted in intervals, what the plant shows in steps
        unit_s = step_s if item.status == "violated" else interval_s
        row = {
            "interval": e.first_step * unit_s // interval_s,
            "element": e.element,
            "kind": e.kind,
            "phase": item.phase,
            "value": e.worst_value,
            "worst_interval": e.worst_step * unit_s // interval_s,
            "limit": e.limit,
            "unit": e.unit,
            "duration_s": e.steps * unit_s,
            "cause": "trades" if e.by_trades else "feeder",
            "status": item.status,
            "clause": (SHORT_TIME if e.kind in short_time and item.status == "violated" else CLAUSES)[e.kind],
        }
        for key, value in row.items():
            rows.setdefault(key, []).append(value)
    return rows


def share_rows(
    done: list[AttributedEpisode], names: tuple[str, ...], step_s: int, interval_s: int
) -> dict[str, list[Any]]:
    """Rows of shares.parquet: every participant whose power, active or reactive, trades changed."""
    rows: dict[str, list[Any]] = {}
    for item in done:
        if item.shares is None:
            continue
        e, shares = item.episode, item.shares
        unit_s = step_s if item.status == "violated" else interval_s
        # an inverter may answer, and relieve, where nobody trades
        for i in np.flatnonzero((shares.change_p_w != 0) | (shares.share_of_change != 0)):
            row = {
                "interval": e.worst_step * unit_s // interval_s,
                "element": e.element,
                "kind": e.kind,
                "status": item.status,
                "participant": names[i],
                "change_p_w": shares.change_p_w[i],
                "share_of_change": shares.share_of_change[i],
                "share_of_excess": shares.share_of_excess[i],
                "unit": e.unit,
                "residual": shares.residual,
            }
            for key, value in row.items():
                rows.setdefault(key, []).append(value)
    return rows


def responsible(shares: Shares, names: tuple[str, ...], unit: str) -> list[dict[str, Any]]:
    """The participants with the largest adverse shares of a change, and the one that relieved it most (negative)."""
    share = shares.share_of_change
    order = np.argsort(-share, kind="stable")
    chosen = [i for i in order[:TOP] if share[i] > 0] + [i for i in order[-1:] if share[i] < 0]
    return [{"participant": names[i], "share": float(share[i]), "unit": unit} for i in chosen]


def worst_moment(
    recorder: Recorder, measures: tuple[int, ...], limits: dict[int, float]
) -> tuple[int, Moment] | None:
    """The measure and moment nearest to (or farthest beyond) its limit, relative to that limit's room."""
    best: tuple[float, int, Moment] | None = None
    for measure in measures:
        moment = recorder.watch.worst[measure]
        if moment is None:
            continue
        limit = limits[measure]
        room = abs(1 - limit) if measure in (V_MIN, V_MAX) else limit
        margin = moment.reading.value - limit if measure == V_MIN else limit - moment.reading.value
        score = margin / max(room, 1e-3)
        if best is None or score < best[0]:
            best = (score, measure, moment)
    return None if best is None else (best[1], best[2])


def describe_moment(
    engine: Engine, recorder: Recorder, measure: int, moment: Moment, limit: float, names: tuple[str, ...]
) -> dict[str, Any]:
    """A worst bus or branch as verdict.json names it, but for its time."""
    kind, voltage = KINDS[measure], measure in (V_MIN, V_MAX)
    row = moment.reading.row
    shares = shares_of(engine, moment.snapshot, Subject(kind, row, limit))
    lasting = [
        e
        for e in recorder.violated.all()
        if e.kind == kind and e.row == row and e.first_step <= moment.step <= e.last_step
    ]
    record: dict[str, Any] = {
        "name": recorder.element(measure, row),
        "kind": kind,
        "measure": MEASURES[measure],
        "limit": limit,
        "without_trades": moment.reading.base,
        "step": moment.step,
        "duration_s": lasting[0].steps * recorder.step_s if lasting else 0,
        "responsible": responsible(shares, names, "pu" if voltage else "percent"),
    }
    record["v_pu" if voltage else "loading_percent"] = moment.reading.value
    return record
