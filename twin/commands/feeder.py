"""``twin feeder``: what a feeder holds, what was assumed on loading, and whether the engines agree on it."""

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.errors import WrongInputError

if TYPE_CHECKING:
    from adapters.grid.compare import EngineComparison
    from adapters.grid.describe import FeederDescription
    from adapters.grid.feeder import Feeder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin feeder`` understands."""
    parser.add_argument(
        "source", help="as grid.source: simbench:CODE, pandapower:FUNCTION, a JSON file or a .dss file"
    )
    parser.add_argument("--names", action="store_true", help="also list the connection points by name")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the feeder")
    parser.add_argument(
        "--dss",
        type=Path,
        metavar="FILE",
        help="write the feeder as an OpenDSS file, and read it again to check",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def execute(arguments: argparse.Namespace) -> int:
    """Load, describe and compare; return 1 where engines disagree by more than the stated tolerance."""
    from adapters.grid.describe import describe_feeder
    from adapters.grid.errors import GridError
    from twin.shipped_feeders import compared_feeder

    try:
        feeder, comparison = compared_feeder(arguments.source, Path.cwd(), every=True)
        facts = _facts(feeder, describe_feeder(feeder), comparison)
        facts["written"] = _written(feeder, arguments)
    except GridError as error:
        raise WrongInputError(str(error)) from None
    if arguments.json:
        sys.stdout.write(json.dumps(_known(facts), allow_nan=False) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(facts, arguments.names)) + "\n")
    return 0 if comparison.agrees else 1


def _written(feeder: "Feeder", arguments: argparse.Namespace) -> list[str]:
    """Write what was asked for; a sentence about each file."""
    from adapters.grid.opendss_write import write_dss
    from twin.feeder_drawing import feeder_svg

    said = []
    for path in (arguments.svg, arguments.dss):
        if path is not None and not path.resolve().parent.is_dir():
            raise WrongInputError(f"{path}: there is no such folder to write it to")
    if arguments.svg is not None:
        arguments.svg.write_text(feeder_svg(feeder), encoding="utf-8")
        said.append(f"drawn: {arguments.svg}")
    if arguments.dss is not None:
        worst = write_dss(feeder, arguments.dss)
        said.append(
            f"written: {arguments.dss}; read again it differs by at most {worst:.1e} pu at nominal load"
        )
    return said


def _facts(
    feeder: "Feeder", described: "FeederDescription", comparison: "EngineComparison"
) -> dict[str, Any]:
    line = np.array([kind == "line" for kind in feeder.branch_kind], dtype=bool)
    rating = np.where(line, feeder.branch_rated_a, feeder.branch_rated_va)
    missing = [n for n, value in zip(feeder.branch_names, rating, strict=True) if not np.isfinite(value)]
    return {
        "source": feeder.source,
        "buses": described.places,
        "rows": described.bus_rows,
        "phases": dict(described.phases),
        "voltage_levels_v": sorted({float(v) for v in feeder.bus_vn_v}),
        "lines": described.lines,
        "transformers": described.transformers,
        "taps": [asdict(tap) for tap in described.taps],
        "limits": [asdict(limit) for limit in described.limits],
        "engines": dict(described.engines),
        "transformer_rating_va": _transformer_ratings(feeder),
        "connection_points": [point.name for point in feeder.points],
        "rated_load_w": float(sum(point.p_rated_w for point in feeder.points)),
        "assets": {kind: sum(a.kind == kind for a in feeder.assets) for kind in ("pv", "battery")},
        "branches_without_rating": missing,
        "notes": list(feeder.notes),
        "nominal_v_min_pu": comparison.v_min_pu,
        "nominal_v_max_pu": comparison.v_max_pu,
        "nominal_loading_max_percent": comparison.highest and comparison.highest.value,
        "nominal_loading_max_element": comparison.highest and comparison.highest.element,
        "nominal_loss_w": comparison.loss_w,
        "engines_agree": comparison.agrees,
        "agreement": list(comparison.sentences()),
    }


def _lines(facts: dict[str, Any], names: bool) -> list[str]:
    levels = " / ".join(f"{v / 1000:g} kV" for v in facts["voltage_levels_v"])
    ratings = ", ".join(
        (f"{n} x " if n > 1 else "") + f"{kva:g} kVA"
        for kva, n in Counter(round(v / 1000, 1) for v in facts["transformer_rating_va"]).items()
    )
    points, missing = facts["connection_points"], facts["branches_without_rating"]
    lines = [
        f"{facts['source']}",
        f"  {facts['buses']} buses ({levels}"
        + (f"; {facts['rows']} rows, one per phase" if facts["rows"] != facts["buses"] else "")
        + f"), {facts['lines']} lines, "
        f"{facts['transformers']} transformer{'s' if facts['transformers'] != 1 else ''}"
        + (f" ({ratings})" if ratings else ""),
        f"  {len(points)} connection points with {facts['rated_load_w'] / 1000:.6g} kW rated load, "
        f"{facts['assets']['pv']} PV plants, {facts['assets']['battery']} batteries",
        f"  at nominal load: {facts['nominal_v_min_pu']:.4f} to {facts['nominal_v_max_pu']:.4f} pu, "
        + _highest(facts)
        + f"losses {facts['nominal_loss_w'] / 1000:.4g} kW",
    ]
    single = {phase: n for phase, n in facts["phases"].items() if phase != "abc"}
    if single:
        listed = ", ".join(f"{n} on phase {phase}" for phase, n in single.items())
        lines.append(f"  single-phase connection points: {listed}")
    lines += [f"  tap: {_tap(tap)}" for tap in facts["taps"]]
    phased = " phase" if facts["rows"] != facts["buses"] else ""
    lines += [f"  limit: {_limit(limit, phased)}" for limit in facts["limits"]]
    lines += [f"  {name}: {ability.removeprefix(name + ' ')}" for name, ability in facts["engines"].items()]
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        lines.append(f"  without rating, so never judged by loading: {', '.join(missing[:10])}{more}")
    lines += [f"  {sentence}" for sentence in facts["agreement"]]
    lines += [f"  note: {note}" for note in facts["notes"]]
    lines += [f"  {said}" for said in facts["written"]]
    return lines + [f"  point: {name}" for name in points if names]


def _known(value: Any) -> Any:
    """The same with null for numbers that the case does not state."""
    if isinstance(value, dict):
        return {key: _known(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_known(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _tap(tap: dict[str, Any]) -> str:
    return (
        f"{tap['transformer']}, {tap['side']} side, at {tap['position']:g} of {tap['low']:g} to {tap['high']:g}, "
        f"{tap['step_percent']:g} % a step"
    )


def _limit(limit: dict[str, Any], phased: str = "") -> str:
    low, high, unit = limit["low"], limit["high"], limit["unit"]
    if not limit["elements"]:
        return f"{limit['quantity']}: none of {limit['without']} has one"
    if unit == "VA":
        low, high, unit = low / 1000, high / 1000, "kVA"
    span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    rest = f", {limit['without']} have none" if limit["without"] else ""
    where = (
        "line" if "line" in limit["quantity"] else "transformer" if "trafo" in limit["quantity"] else "bus"
    )
    where += "" if where == "bus" else phased
    places = f"{limit['elements']} {where}{'' if limit['elements'] == 1 else 'es' if where == 'bus' else 's'}"
    quantity = limit["quantity"].replace("trafo", "transformer")
    return f"{quantity} {span} {unit} at {places}{rest}; origin: {limit['origin']}"


def _highest(facts: dict[str, Any]) -> str:
    if facts["nominal_loading_max_percent"] is None:
        return "no loading known, "
    return f"loading up to {facts['nominal_loading_max_percent']:.1f} % ({facts['nominal_loading_max_element']}), "


def _transformer_ratings(feeder: "Feeder") -> list[float]:
    """Rated power of every transformer in VA, over all its phases."""
    total: dict[str, float] = {}
    for name, kind, rated_va in zip(
        feeder.branch_names, feeder.branch_kind, feeder.branch_rated_va, strict=True
    ):
        if kind == "trafo":
            whole = name if feeder.balanced else name.rpartition(".")[0]
            total[whole] = total.get(whole, 0.0) + float(rated_va)
    return list(total.values())
