"""``report.html``: one file that opens offline. Text comes from templates, pictures from packed arrays."""

import base64
import hashlib
import json
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from adapters.export.files import to_json, write_text_atomically
from twin.report import words
from twin.report.devices import devices_context
from twin.report.feeder import feeder_payload
from twin.report.heat_pumps import heat_pumps_context
from twin.report.market import market_context
from twin.report.mechanisms import mechanisms_context, mechanisms_payload
from twin.report.operator import operator_context
from twin.report.oracles import oracles_context
from twin.report.people import people_context, people_of
from twin.report.series import (
    at_a_moment,
    power_payload,
    series_payload,
    slots_of,
    states_payload,
    use_percent,
)
from twin.report.settlement import settlement_context
from twin.report.summary import currency_of, first_screen, mark, quality, variant_rows
from twin.report.violations import violations_context
from twin.results import RunResult

STATE_VALUES = 700_000  # over all variants: 1.9 MB as base64
SCRIPTS = ("uplot.min.js", "data.js", "feeder.js", "charts.js", "mechanisms.js", "strips.js", "app.js")
STYLES = ("uplot.min.css", "report.css")
Context = dict[str, Any]


class _Lenient(dict[str, Any]):
    """A mapping for templates in which a key that was not recorded is None, at any depth."""

    def __missing__(self, key: str) -> None:
        return None

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return _Lenient(value) if isinstance(value, dict) else value


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder: finished, failed or killed; what is missing is said to be.

    Raises:
        NotARunFolderError: the folder holds no run.
        DamagedRunError: a file of it cannot be read.
    """
    run = RunResult(folder)
    path = run.folder / "report.html"
    write_text_atomically(path, _page(run))
    return path


def _page(run: RunResult) -> str:
    environment = Environment(
        loader=PackageLoader("twin.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "\n".join(_asset(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        **_context(run),
        script=Markup(script),
        script_hash=digest,
        style=Markup("\n".join(_asset(name) for name in STYLES)),
        chart_licence=_asset("uplot.LICENSE"),
    )


def _asset(name: str) -> str:
    return files("twin.report").joinpath("assets", name).read_text(encoding="utf-8")


def _variants(run: RunResult) -> dict[str, RunResult]:
    """Name to results, in the scenario's order; one that has no folder (a run cut short) is left out."""
    found = {}
    for entry in run.manifest.get("variants") or []:
        name = str(entry["name"])
        if entry.get("judged") or (run.folder / "variants" / name / "manifest.json").is_file():
            found[name] = run.variant(name)
    return found or {str(run.manifest.get("variant") or run.manifest.get("name") or "run"): run}


def _context(run: RunResult) -> Context:
    runs = _variants(run)
    manifest, currency = run.manifest, currency_of(run)
    titles: Context = dict.fromkeys(runs, "This run")
    titles |= {str(v.get("name")): v.get("title") or v.get("name") for v in manifest.get("variants") or []}
    payload, times = _payload(run, runs, titles)
    payload["judged"] = [one is run for one in runs.values()].index(True)
    sums = {name: people_of(one) for name, one in runs.items()}
    judged = next(name for name, one in runs.items() if one is run)
    reference = next((name for name in runs if name != judged), None)
    start = manifest.get("start") or (times[0] if times else None)
    return {
        "manifest": _Lenient(manifest),
        "manifest_json": to_json(manifest),
        "title": manifest.get("title") or manifest.get("name") or "Run",
        "start": words.moment(start),
        "zone": words.zone(start),
        "length": words.duration(len(times) * (manifest.get("interval_s") or 900)),
        "intervals": words.number(len(times)),
        "first": first_screen(run),
        "variants": [
            {
                "name": name,
                "title": titles.get(name, name),
                "mark": mark(one.verdict),
                "judged": one is run,
                "violations": violations_context(one, times, currency),
            }
            for name, one in runs.items()
        ],
        "rows": variant_rows(runs, currency),
        "quality": quality(run),
        "judged": titles.get(judged, judged),
        "people": people_context(sums[judged], sums.get(reference or ""), currency),
        "reference": titles.get(reference or "", reference),
        "settlement": settlement_context(run, start),
        "oracles": oracles_context(run, times, currency),
        "mechanisms": mechanisms_context(run, currency),
        "market": market_context(run, currency),
        "devices": devices_context(run),
        "heat_pumps": heat_pumps_context(run, runs, titles),
        "operator": operator_context(runs, titles, currency),
        "payload": payload,
        "command": _command(manifest),
        "ended": words.moment(manifest.get("ended_utc")),
        "currency": currency,
        "words": words,
    }


def _payload(run: RunResult, runs: dict[str, RunResult], titles: dict[str, Any]) -> tuple[Context, list[str]]:
    """What the pictures are drawn from, and the ISO time of every interval of the judged variant."""
    feeder = feeder_payload(run)
    n_bus = len(feeder["buses"]) if feeder else 0
    n_branch = len(feeder["branches"]) if feeder else 0
    n_points = int((run.manifest.get("feeder") or {}).get("n_points") or n_bus)
    max_slots = STATE_VALUES // max(1, len(runs) * (n_bus + n_branch + n_points))
    limits = at_a_moment(run.manifest.get("scenario", {}).get("limits") or {})
    variants: list[Context] = []
    times: list[str] = []
    for name, one in runs.items():
        table = one.table("intervals")
        times = times or table["time"].to_pylist()
        use = use_percent(table, limits)
        slots = slots_of(use, max_slots)
        variants.append(
            {
                "name": name,
                "title": titles.get(name, name),
                "series": series_payload(table, use),
                "states": states_payload(one, table, slots, n_bus, n_branch),
                "power": power_payload(one, slots),
                "intervals": table.num_rows,
            }
        )
    payload = {
        "start_s": _local_seconds(times),
        "interval_s": run.manifest.get("interval_s") or 900,
        "currency": currency_of(run),
        "limits": limits,
        "feeder": feeder,
        "variants": variants,
        "mechanisms": mechanisms_payload(run),
    }
    return json.loads(to_json(payload)), times


def _local_seconds(times: list[str]) -> float:
    """Start as seconds on the clock of the scenario's zone: the browser shows it as if it were UTC."""
    if not times:
        return 0.0
    start = datetime.fromisoformat(times[0])
    offset = start.utcoffset()
    return start.timestamp() + (offset.total_seconds() if offset else 0.0)


def _command(manifest: Context) -> str:
    command = manifest.get("command")
    if isinstance(command, list):
        return " ".join(str(word) for word in command)
    return str(command or f"twin run {manifest.get('scenario_file') or words.NOT_RECORDED}")
