"""Writes houses.csv: two spring days of made-up houses and sun, the same bytes on every run.

Six house profiles: a base, a morning and an evening peak at a time of the house's own, and log-normal noise that
lasts about an hour; mean about 0.4 of the rated power. One PV profile: a clear sky's half sine from 6:15 to 18:30,
with passing clouds. Nothing was measured and nothing was taken from others, so there is no licence to heed.

    python scenarios/data/make_houses.py
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

STEP_H = 0.25
STEPS = 192
START = datetime(2026, 3, 21)
HOUSES = 6
SEED = 20260321


def main() -> None:
    """Write the file beside this script."""
    rng = np.random.default_rng(SEED)
    hour = np.arange(STEPS) * STEP_H % 24
    columns = {f"load:house_{i + 1}": house(hour, rng) for i in range(HOUSES)}
    columns["pv:roof"] = sun(hour, rng)
    lines = [",".join(("time", *columns))]
    for i in range(STEPS):
        time = (START + timedelta(hours=i * STEP_H)).isoformat()
        lines.append(",".join((time, *(f"{values[i]:.4f}" for values in columns.values()))))
    path = Path(__file__).with_name("houses.csv")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def house(hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Power of a house relative to its rated power; (steps,)."""
    morning, evening = rng.normal(7.25, 0.5), rng.normal(19.0, 0.75)
    shape = 0.25 + 0.35 * bump(hour, morning, 1.2) + 0.6 * bump(hour, evening, 2.0)
    noise = np.convolve(rng.normal(0, 0.3, len(hour) + 3), np.full(4, 0.5), "valid")
    return shape * np.exp(noise - 0.045)


def bump(hour: np.ndarray, at: float, width: float) -> np.ndarray:
    """A bell around an hour of the day."""
    return np.exp(-0.5 * ((hour - at) / width) ** 2)


def sun(hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """PV power relative to its rating; (steps,)."""
    clear = np.sin(np.pi * np.clip((hour - 6.25) / 12.25, 0, 1)) ** 1.3
    clouds = np.convolve(rng.uniform(0, 1, len(hour) + 3) < 0.15, np.full(4, 0.25), "valid")
    return 0.85 * clear * (1 - 0.7 * clouds)


if __name__ == "__main__":
    main()
