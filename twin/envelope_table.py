"""Published operating envelopes as rows of a run's tables."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np

from adapters.grid.feeder import Feeder
from twin.blocks import Recorded


def envelope_columns(
    recorded: list[Recorded], feeder: Feeder, at: Callable[[int], datetime]
) -> dict[str, Any]:
    """Rows of envelopes.parquet, one per connection point and published envelope; empty where none was published.

    An envelope is published an interval ahead: what was decided in interval k is a row of interval k + 1. ``at`` tells
    when an interval begins.
    """
    found = [(r.interval + 1, r.decided.envelope) for r in recorded if r.decided.envelope is not None]
    if not found:
        return {}
    n = len(feeder.points)
    names, buses = [p.name for p in feeder.points], [feeder.bus_names[p.bus] for p in feeder.points]
    return {
        "interval": np.repeat([interval for interval, _ in found], n),
        "time": [at(interval).isoformat() for interval, _ in found for _ in range(n)],
        "participant": names * len(found),
        "bus": buses * len(found),
        "export_w": np.concatenate([envelope.export_w for _, envelope in found]),
        "import_w": np.concatenate([envelope.import_w for _, envelope in found]),
        "binding_export": [envelope.binding_export for _, envelope in found for _ in range(n)],
        "binding_import": [envelope.binding_import for _, envelope in found for _ in range(n)],
    }
