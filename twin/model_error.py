"""How the plant departs from what the operator believes: a robustness study's draws, from the scenario's seed."""

from dataclasses import replace

import numpy as np

from adapters.grid.engine import ModelError
from adapters.grid.feeder import ConnectionPoint, Feeder
from adapters.grid.phases import PHASES
from twin.scenario.schema import Scenario
from twin.streams import stream


def model_error(scenario: Scenario, feeder: Feeder) -> ModelError:
    """The scenario's departures; every line draws its own, so that a longer feeder leaves the others as they were."""
    plant = scenario.grid.plant
    factors: tuple[float, ...] = ()
    if plant.line_impedance_spread_percent:
        spread = plant.line_impedance_spread_percent / 100
        draws = (stream(scenario.seed, name, "impedance").uniform(-spread, spread) for name in _lines(feeder))
        factors = tuple(1.0 + float(draw) for draw in draws)
    return ModelError(plant.line_impedance_factor, plant.source_voltage_pu, plant.tap_pos, factors)


def _lines(feeder: Feeder) -> list[str]:
    names = [n for n, kind in zip(feeder.branch_names, feeder.branch_kind, strict=True) if kind == "line"]
    return names if feeder.balanced else [name.rpartition(".")[0] for name in names[::3]]


def plant_feeder(scenario: Scenario, feeder: Feeder) -> Feeder:
    """The feeder as it is: some single-phase houses are on another phase than the records say.

    Whom it hits and which phase it is are drawn with the seed.
    """
    percent = scenario.grid.plant.swapped_phases_percent
    single = [i for i, point in enumerate(feeder.points) if point.phases != "abc"]
    if not percent or not single:
        return feeder
    order = stream(scenario.seed, "feeder", "swapped").permutation(single)
    points = list(feeder.points)
    for i in order[: round(len(single) * percent / 100)]:
        points[i] = _moved(points[i], stream(scenario.seed, points[i].name, "phase"))
    return replace(feeder, points=tuple(points))


def _moved(point: ConnectionPoint, rng: np.random.Generator) -> ConnectionPoint:
    now = PHASES.index(point.phases)
    there = (now + int(rng.integers(1, 3))) % 3
    return replace(point, phases=PHASES[there], bus=point.bus - now + there)
