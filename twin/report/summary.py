"""The first screen in words: verdict, margins, who is responsible, variants, quality of the data."""

from collections.abc import Callable
from typing import Any

from twin.check_names import CHECK_WORDS, check_words
from twin.report import words
from twin.report.series import at_a_moment
from twin.results import RunResult

Context = dict[str, Any]
SHOWN_PEOPLE = 6  # five who burden and one who relieves
MARKS = {
    "pass": ("pass", "✓", "Pass"),
    "fail": ("fail", "✕", "Fail"),
    "inconclusive": ("unknown", "?", "Inconclusive"),
    "aborted": ("unknown", "!", "Aborted"),
    "not_assessed": ("none", "–", "Not assessed"),
}
FORECASTS = {
    "perfect": "perfect: gate and plant agree by construction, so the gate was not put to the test",
    "noisy": "noisy: orders and gate saw forecasts with errors, devices drew the actual values",
    "persistence": "persistence: orders and gate saw the same time of the day before",
}


_ONLY_IF_ANY = (
    "pv_curtailed_wh",
    "coordination_efficiency_percent",
)
_NOT_EVERYWHERE = (
    "robust_cut_wh",
    "inverter_absorbed_varh",
    "inverter_injected_varh",
    "volt_watt_curtailed_wh",
    "tap_moves_count",
)
"""Null where the gate stands no failures, no inverter answers, no tap is controlled; elsewhere zero says something."""


def check_name(name: Any) -> str:
    """A check's name in words, capitalised; the name of a KPI is kept as it is."""
    text = check_words(str(name))
    return text if str(name).startswith("expect.") else text[:1].upper() + text[1:]


def _in_words(name: Any) -> Any:
    known = str(name).rpartition(".")[2] in CHECK_WORDS
    return check_words(str(name)) if known else name


def mark(verdict: Any) -> Context:
    """CSS class, sign and word of a verdict. A word that is not known is never green."""
    css, sign, word = MARKS.get(str(verdict), ("unknown", "?", str(verdict)))
    return {"css": css, "sign": sign, "word": word}


def first_screen(run: RunResult) -> Context:
    """Verdict, checks, margins and extremes of the judged variant."""
    record, currency = run.verdict_record, currency_of(run)
    sentence = record.get("sentence") if run.verdict != "aborted" else None
    return {
        **mark(run.verdict),
        "sentence": sentence or _sentence(run),
        "judge": record.get("judge"),
        "checks": [_check(check, currency) for check in run.checks],
        "not_assessed": [
            {**item, "name": _in_words(item.get("name"))} for item in record.get("not_assessed") or []
        ],
        "margin": _margin(record.get("smallest_margin"), currency),
        "bus": _extreme(record.get("worst_bus"), "v_pu", "pu"),
        "branch": _extreme(record.get("worst_branch"), "loading_percent", "%"),
    }


def currency_of(run: RunResult) -> str:
    """Currency of the scenario."""
    return str(run.manifest.get("currency") or run.manifest.get("scenario", {}).get("currency") or "EUR")


def _sentence(run: RunResult) -> str:
    status = run.manifest.get("status")
    if status == "running":
        return "The run did not end: it is still going on, or it was killed. What it had finished is shown."
    if status != "finished":
        return "The run was cut short. What it had finished is shown, and nothing is proven."
    counts = [check.get("name", "?") for check in run.checks if check.get("verdict") == run.verdict]
    listed = f": {', '.join(counts)}" if counts and run.verdict != "pass" else ""
    return f"The verdict is {run.verdict}{listed}."


def _check(check: Context, currency: str) -> Context:
    unit, limit = check.get("unit"), check.get("limit")
    facts = []
    if check.get("element"):
        facts.append(str(check["element"]))
    if check.get("count"):
        facts.append("once" if check["count"] == 1 else f"{words.number(check['count'])} times")
    if check.get("detail"):
        facts.append(str(check["detail"]))
    return {
        **mark(check.get("verdict")),
        "name": check_name(check.get("name", "unnamed check")),
        "judged": check.get("judged") is not False,
        "value": _or_dash(check.get("value"), unit, currency, limit),
        "limit": _or_dash(limit, unit, currency),
        "margin": "–"
        if check.get("margin") is None
        else words.difference(check["margin"], unit, currency=currency),
        "facts": " · ".join(facts),
    }


def _or_dash(value: Any, unit: Any, currency: str, apart_from: Any = None) -> str:
    shown = words.quantity(value, unit, apart_from=apart_from, currency=currency)
    return "–" if shown == words.NOT_RECORDED else shown


def _margin(margin: Context | None, currency: str) -> Context | None:
    if not margin:
        return None
    value = margin.get("margin")
    return {
        "text": words.difference(value, margin.get("unit"), currency=currency).replace(
            "pp", "percentage points"
        ),
        "beyond": words.is_number(value) and not value >= 0,
        "name": check_name(margin.get("name")),
        "element": margin.get("element"),
        "time": words.moment(margin.get("time"), str(margin.get("time") or "")),
    }


def _extreme(item: Context | None, key: str, unit: str) -> Context | None:
    if not item:
        return None
    people = _worth_naming(item.get("responsible") or [])
    units = {
        "percentage points" if p.get("unit") in ("percent", "%") else p.get("unit") or unit for p in people
    }
    return {
        "name": item.get("name"),
        "value": words.quantity(item.get(key), unit, apart_from=item.get("limit")),
        "limit": words.quantity(item.get("limit"), unit) if words.is_number(item.get("limit")) else None,
        "without": words.quantity(item.get("without_trades"), unit),
        "interval": item.get("interval"),
        "time": words.moment(item.get("time")),
        "duration": words.duration(item.get("duration_s")) if item.get("duration_s") else None,
        "people": [
            {
                "name": person.get("participant"),
                "share": words.difference(person.get("share"), person.get("unit") or unit).split(words.NBSP)[
                    0
                ],
                "relief": words.is_number(person.get("share")) and person["share"] < 0,
            }
            for person in people[:SHOWN_PEOPLE]
        ],
        "share_unit": ", ".join(sorted(units)),
        "more": max(0, len(people) - SHOWN_PEOPLE),
    }


def _worth_naming(people: list[Context]) -> list[Context]:
    """Without those whose share is less than a hundredth of the largest: it would be shown as 0.0."""
    shares = [abs(p["share"]) for p in people if words.is_number(p.get("share"))]
    least = 0.01 * max(shares, default=0.0)
    return [p for p in people if not words.is_number(p.get("share")) or abs(p["share"]) >= least]


def variant_rows(runs: dict[str, RunResult], currency: str) -> list[Context]:
    """The table of variants: a row per quantity, a cell per variant; what is beyond its limit is marked."""
    limits = {
        name: at_a_moment(run.manifest.get("scenario", {}).get("limits") or {}) for name, run in runs.items()
    }
    rows = []
    for label, key, shown, limit_key, sign in _quantities(currency):
        if key in _ONLY_IF_ANY and not any(run.kpis.get(key) for run in runs.values()):
            continue
        if key in _NOT_EVERYWHERE and not any(words.is_number(run.kpis.get(key)) for run in runs.values()):
            continue
        cells = []
        for name, run in runs.items():
            value, limit = run.kpis.get(key), limits[name].get(limit_key)
            beyond = words.is_number(limit) and words.is_number(value) and not sign * value <= sign * limit
            absent = "–" if key in _NOT_EVERYWHERE else words.NOT_RECORDED
            text = shown(run.kpis) if words.is_number(value) else absent
            cells.append({"text": text, "beyond": beyond, "missing": text == absent})
        rows.append({"label": label, "key": key, "cells": cells})
    return rows


Quantity = tuple[str, str, Callable[[Context], str], str, int]


def _row(label: str, key: str, show: Callable[[Any], str], limit: str = "", sign: int = 1) -> Quantity:
    return (label, key, lambda kpis: show(kpis.get(key)), limit, sign)


def _count(label: str, key: str, beside: str, join: str, show: Callable[[Any], str]) -> Quantity:
    """A number with a second one beside it, where there is one."""

    def shown(kpis: Context) -> str:
        more = kpis.get(beside)
        return words.number(kpis.get(key)) + (f"{join}{show(more)}" if words.is_number(more) and more else "")

    return (label, key, shown, "", 1)


def _violations(kpis: Context) -> str:
    """How many, during how much of the run, and that times the elements it was of: the one is not the other."""
    text, lasted = words.number(kpis.get("violations_count")), kpis.get("violated_any_s")
    if words.is_number(lasted) and lasted:
        text += f", during {words.duration(lasted)}"
        if kpis.get("violated_s") != lasted:
            text += f" ({words.element_hours(kpis.get('violated_s'))})"
    return text


def _pu(value: Any) -> str:
    return words.quantity(value, "pu")


def _percent(value: Any) -> str:
    return words.quantity(value, "%")


def _quantities(currency: str) -> list[Quantity]:
    def cash(value: Any) -> str:
        return words.money(value, currency)

    return [
        _row("Lowest voltage", "v_min_pu", _pu, "voltage_min_pu", -1),
        _row("Highest voltage", "v_max_pu", _pu, "voltage_max_pu"),
        _row("Line loading, highest", "line_loading_max_percent", _percent, "line_loading_percent"),
        _row(
            "Transformer, highest",
            "transformer_loading_max_percent",
            _percent,
            "transformer_loading_percent",
        ),
        ("Violations, and for how long", "violations_count", _violations, "", 1),
        _row("Averted by the gate", "averted_count", words.number),
        _row("Traded locally", "local_traded_wh", words.energy),
        _row("Cut by the gate", "cut_wh", words.energy),
        _row("Of it, to stand failing deliveries", "robust_cut_wh", words.energy),
        _row("Welfare, of the best schedule within the limits", "coordination_efficiency_percent", _percent),
        _row("Energy not served", "energy_not_served_wh", words.energy),
        _count("Cars that left short", "ev_short_count", "ev_sessions_count", " of ", words.number),
        _row("PV curtailed", "pv_curtailed_wh", words.energy),
        _row("By volt-watt, roof and battery", "volt_watt_curtailed_wh", words.energy),
        _row("Reactive energy drawn by inverters", "inverter_absorbed_varh", words.reactive_energy),
        _row("Reactive energy given by inverters", "inverter_injected_varh", words.reactive_energy),
        _row("Tap steps moved", "tap_moves_count", words.number),
        _row("Stored at the end, more", "battery_stored_change_wh", words.energy),
        _row("Self-sufficiency", "self_sufficiency_percent", _percent),
        _row("Bills, mean", "bill_mean_micro", cash),
        _row("Bills, all", "bills_total_micro", cash),
        _row("Saved against supplier only", "bill_saving_total_micro", cash),
    ]


def _agreement(engines: Context, kpis: Context) -> str:
    """The engines that were compared, by name: which they are depends on the feeder."""
    told = (engines.get("agreement") or {}).get("sentences") or []
    return str(told[0]) if told else f"{words.small(kpis.get('engine_difference_pu'), 'pu')} apart"


def quality(run: RunResult) -> Context:
    """Engine agreement and data quality of the judged variant."""
    kpis, manifest = run.kpis, run.manifest
    engines = manifest.get("engines") or {}
    roles = (manifest.get("devices") or {}).get("roles") or []
    wired = [role for role in roles if role.get("driver") not in (None, "memory", "native")]
    t_model = kpis.get("t_model_difference_pu")
    return {
        "gate_engine": engines.get("gate") or words.NOT_RECORDED,
        "plant_engine": engines.get("plant") or words.NOT_RECORDED,
        "agreement": _agreement(engines, kpis),
        "notes": engines.get("notes") or [],
        "t_model": words.small(t_model, "pu") if words.is_number(t_model) and t_model != 0 else None,
        "t_model_warned": words.is_number(t_model) and not t_model <= 1e-4,
        "forecast": FORECASTS.get(
            str(manifest.get("forecast")), str(manifest.get("forecast") or words.NOT_RECORDED)
        ),
        "forecast_mae": words.power(kpis.get("forecast_mae_w")),
        "roles": wired,
        "wire_samples": words.number(kpis.get("wire_samples_count")),
        "bad_samples": words.number(kpis.get("bad_samples_count")),
        "bad": words.is_number(kpis.get("bad_samples_count")) and kpis["bad_samples_count"] > 0,
        "inconclusive": kpis.get("inconclusive_count"),
        "not_delivered": words.energy(kpis.get("not_delivered_wh")),
        "money_sum": kpis.get("money_sum_micro"),
    }
