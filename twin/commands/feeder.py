"""``twin feeder``: what a feeder holds, what was assumed on loading, and whether the engines agree on it."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.errors import WrongInputError

if TYPE_CHECKING:
    from adapters.grid.compare import EngineComparison
    from adapters.grid.feeder import Feeder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin feeder`` understands."""
    parser.add_argument("source", help="as grid.source: simbench:CODE, pandapower:FUNCTION or a JSON file")
    parser.add_argument("--names", action="store_true", help="also list the connection points by name")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def execute(arguments: argparse.Namespace) -> int:
    """Load and compare; return 1 where the engines disagree by more than the stated tolerance."""
    from adapters.grid.compare import compare_engines
    from adapters.grid.errors import GridError
    from adapters.grid.source import load_feeder

    try:
        feeder = load_feeder(arguments.source, Path.cwd())
        comparison = compare_engines(feeder)
    except GridError as error:
        raise WrongInputError(str(error)) from None
    facts = _facts(feeder, comparison)
    if arguments.json:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(facts, arguments.names)) + "\n")
    return 0 if comparison.agrees else 1


def _facts(feeder: "Feeder", comparison: "EngineComparison") -> dict[str, Any]:
    line = np.array([kind == "line" for kind in feeder.branch_kind], dtype=bool)
    rating = np.where(line, feeder.branch_rated_a, feeder.branch_rated_va)
    missing = [n for n, value in zip(feeder.branch_names, rating, strict=True) if not np.isfinite(value)]
    return {
        "source": feeder.source,
        "buses": feeder.n_bus,
        "voltage_levels_v": sorted({float(v) for v in feeder.bus_vn_v}),
        "lines": int(line.sum()),
        "transformers": int((~line).sum()),
        "transformer_rating_va": [float(v) for v in feeder.branch_rated_va[~line]],
        "connection_points": [point.name for point in feeder.points],
        "rated_load_w": float(sum(point.p_rated_w for point in feeder.points)),
        "assets": {kind: sum(a.kind == kind for a in feeder.assets) for kind in ("pv", "battery")},
        "branches_without_rating": missing,
        "notes": list(feeder.notes),
        "nominal_v_min_pu": comparison.v_min_pu,
        "nominal_v_max_pu": comparison.v_max_pu,
        "engines_agree": comparison.agrees,
        "agreement": list(comparison.sentences()),
    }


def _lines(facts: dict[str, Any], names: bool) -> list[str]:
    levels = " / ".join(f"{v / 1000:g} kV" for v in facts["voltage_levels_v"])
    ratings = ", ".join(f"{v / 1000:g} kVA" for v in facts["transformer_rating_va"])
    points, missing = facts["connection_points"], facts["branches_without_rating"]
    lines = [
        f"{facts['source']}",
        f"  {facts['buses']} buses ({levels}), {facts['lines']} lines, "
        f"{facts['transformers']} transformer{'s' if facts['transformers'] != 1 else ''}"
        + (f" ({ratings})" if ratings else ""),
        f"  {len(points)} connection points with {facts['rated_load_w'] / 1000:.6g} kW rated load, "
        f"{facts['assets']['pv']} PV plants, {facts['assets']['battery']} batteries",
        f"  at nominal load: {facts['nominal_v_min_pu']:.4f} to {facts['nominal_v_max_pu']:.4f} pu",
    ]
    if missing:
        lines.append(f"  without rating, so never judged by loading: {', '.join(missing[:10])}")
    lines += [f"  {sentence}" for sentence in facts["agreement"]]
    lines += [f"  note: {note}" for note in facts["notes"]]
    return lines + [f"  point: {name}" for name in points if names]
