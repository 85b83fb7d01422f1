"""Grid engines: what a power flow costs, against pandapower's own run of the same states."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adapters.grid.compare import nominal_powers
from adapters.grid.engine import Engine
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.inverter_curves import PRESETS
from adapters.grid.inverter_fleet import InverterFleet, solve_with_inverters
from adapters.grid.source import load_feeder
from benchmarks import Row

STREET = "simbench:1-LV-semiurb4--2-sw"
EUROPEAN = "pandapower:ieee_european_lv_asymmetric"


def _best_s(call: Callable[[], object], repeats: int, batches: int = 9) -> float:
    """Least over batches of the mean processor time of a call: what else the machine does only adds to it."""
    call()
    found = []
    for _ in range(batches):
        start = time.process_time()
        for _ in range(repeats):
            call()
        found.append((time.process_time() - start) / repeats)
    return min(found)


def _solving(engine: Engine, feeder: Feeder, k: int) -> Callable[[], object]:
    p, q = nominal_powers(feeder)
    factor = np.linspace(0.2, 1.0, k)[:, None]
    powers = p * factor, q * factor
    return lambda: engine.solve(*powers)


def run() -> list[Row]:
    """Measure; about fifteen seconds."""
    street = load_feeder(STREET, Path())
    reference = make_engine(street, "pandapower")
    pandapower_us = _best_s(_solving(reference, street, 1), 3, 5) * 1e6
    fast = make_engine(street, "power_grid_model")
    rows = [
        _row("two scenarios of the 44-bus street", _solving(fast, street, 2), 300, 2 * pandapower_us, 250),
        _row(
            "a power flow of the 44-bus street, of 10,000 in batch",
            _solving(fast, street, 10_000),
            1,
            pandapower_us,
            50,
            share=10_000,
        ),
        _row(
            "a power flow of the 44-bus street in OpenDSS",
            _solving(make_engine(street, "opendss"), street, 20),
            1,
            pandapower_us,
            share=20,
        ),
        _row(
            "volt-var on every second house, of 100 in batch",
            _volt_var(fast, street),
            1,
            pandapower_us,
            share=100,
        ),
    ]
    european = load_feeder(EUROPEAN, Path())
    three_phase_us = _best_s(_solving(make_engine(european, "pandapower"), european, 1), 1, 2) * 1e6
    for name, engine, target in (
        ("the 907-bus European feeder per phase, of 10 in batch", "power_grid_model", 3000),
        ("the 907-bus European feeder per phase in OpenDSS, of 10", "opendss", None),
    ):
        solving = _solving(make_engine(european, engine), european, 10)
        rows.append(_row(name, solving, 1, three_phase_us, target, share=10))
    return rows


def _volt_var(engine: Engine, feeder: Feeder) -> Callable[[], object]:
    p, q = nominal_powers(feeder)
    factor = np.linspace(0.05, 0.3, 100)[:, None]
    points = np.arange(0, len(feeder.points), 2)
    fleet = InverterFleet(PRESETS["ieee_1547_b"], points, np.full(len(points), 10_000.0))
    available = np.linspace(0.2, 1.0, 100)[:, None] * fleet.s_rated_va
    return lambda: solve_with_inverters(engine, p * factor, q * factor, fleet, available)


def _row(
    name: str,
    call: Callable[[], object],
    repeats: int,
    reference_us: float,
    target_us: float | None = None,
    share: int = 1,
) -> Row:
    value = _best_s(call, repeats) * 1e6 / share
    return Row(
        name=name,
        value=value,
        unit="us",
        reference="pandapower",
        reference_value=reference_us,
        ratio=reference_us / value,
        target="" if target_us is None else f"<= {target_us:g} us",
        met=None if target_us is None else value <= target_us,
    )
