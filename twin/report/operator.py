"""What operator and feeder did, in words: network charges, how a gated schedule fared, and what answered by itself."""

from typing import Any

import numpy as np

from twin.check_names import check_words
from twin.report import words
from twin.results import RunResult

Context = dict[str, Any]
SETTLED_PERCENT = 25
"""Congestion charges that change by less than this from one interval to the next are said to have settled."""


def operator_context(runs: dict[str, RunResult], titles: Context, currency: str) -> list[Context]:
    """A paragraph or two per variant that has a gate or charges; empty where none has."""
    found = []
    for name, run in runs.items():
        sentences = [
            *_gate(run.kpis),
            *_robust(run, currency),
            *_envelopes(run),
            *_charges(run.kpis, currency),
            *_answers(run.kpis),
            *_model(run),
        ]
        if sentences:
            found.append({"title": titles.get(name, name), "sentences": sentences})
    return found


def _gate(kpis: Context) -> list[str]:
    broken, intervals = kpis.get("gate_broken_intervals_count"), kpis.get("intervals_count")
    if not words.is_number(broken):
        return []
    if not broken:
        return [
            f"No schedule that the gate let pass broke a limit in the plant, in {words.number(intervals)} intervals."
        ]
    lacked = [
        words.quantity(kpis.get(f"gate_margin_needed_{key}"), unit)
        for key, unit in (("pu", "pu"), ("percent", "%"))
        if kpis.get(f"gate_margin_needed_{key}")
    ]
    return [
        f"A schedule that the gate let pass still broke a limit in the plant in {words.number(broken)} of "
        f"{words.number(intervals)} intervals: forecasts or the gate's model of the feeder were wrong. "
        f"A margin of {' and '.join(lacked)} would have prevented it, to first order."
    ]


def _robust(run: RunResult, currency: str) -> list[str]:
    """What it cost that trades stand failing deliveries."""
    price, changed = run.kpis.get("robust_price_micro"), run.kpis.get("robust_cut_intervals_count")
    if not words.is_number(price):
        return []
    k = (run.manifest.get("scenario", {}).get("coordination") or {}).get("robust")
    stands = f"any {words.number(k)} deliveries fail" if k != 1 else "any one delivery fails"
    if not changed:
        return [
            f"Accepted trades keep the limits also if {stands}. That cost nothing: the gate would have let pass no "
            "more without it."
        ]
    return [
        f"Accepted trades keep the limits also if {stands}. That cost {words.money(price, currency)} of trade value "
        f"and {words.energy(run.kpis.get('robust_cut_wh'))}: what the same gate without it would have let pass more "
        f"of the same orders, in {words.number(changed)} of {words.number(run.kpis.get('intervals_count'))} intervals."
    ]


def _envelopes(run: RunResult) -> list[str]:
    """What was published: how far connection points might depart from their baseline, and what bound them."""
    if (run.manifest.get("scenario", {}).get("coordination") or {}).get("mode") != "envelope":
        return []
    columns = ["interval", "import_w", "export_w", "binding_import", "binding_export"]
    table = run.table("envelopes", columns).to_pandas()
    if table.empty:
        return []
    told = []
    for what, side in (("draw", "import"), ("put in", "export")):
        least, mean, most = (words.power(f(table[f"{side}_w"])) for f in (min, np.mean, max))
        limits = table.drop_duplicates("interval")[f"binding_{side}"].dropna()
        kind, _, where = str(limits.mode()[0]).partition(" at ") if len(limits) else ("", "", "")
        bound = f", mostly bound by {check_words(kind)} at {where}" if kind else ", and nothing bound it"
        told.append(f"{what} {least} to {most} more than its baseline (mean {mean}){bound}")
    return [
        f"Envelopes were published for {words.number(table['interval'].nunique())} intervals: a connection point might "
        f"{', and '.join(told)}. envelopes.parquet has all of them; twin export writes them as CSV."
    ]


def _answers(kpis: Context) -> list[str]:
    """What inverters and taps did."""
    found = []
    absorbed, injected = kpis.get("inverter_absorbed_varh"), kpis.get("inverter_injected_varh")
    if words.is_number(absorbed):
        less, lost = kpis.get("volt_watt_curtailed_wh"), kpis.get("inverter_unsolved_steps_count")
        took = (
            f", and took {words.energy(less)} of active energy off where the voltage was high" if less else ""
        )
        drew, gave = words.reactive_energy(absorbed), words.reactive_energy(injected)
        found.append(
            f"Inverters drew {drew} and gave {gave} of reactive energy by themselves{took}. "
            + (
                f"In {words.number(lost)} steps no fixed point with the power flow was found: these are without value."
                if lost
                else "Inverters and power flow fit each other in every step, to "
                f"{kpis.get('inverter_residual_max_pu'):.1e} of rated power (allowed: 1e-4)."
            )
        )
    moves = kpis.get("tap_moves_count")
    if words.is_number(moves):
        end = kpis.get("tap_at_end_steps_count")
        further = f"; in {words.number(end)} steps the voltage stayed outside of its band" if end else ""
        found.append(f"Taps moved by {words.number(moves)} positions in all{further}.")
    return found


def _model(run: RunResult) -> list[str]:
    """Which model the operator computed with, where there is a choice."""
    notes = (run.manifest.get("engines") or {}).get("notes") or []
    told = [
        note.removeprefix("gate: ")
        for note in notes
        if note.startswith("gate: ") and " is used instead" not in note
    ]
    if not told or (run.manifest.get("scenario", {}).get("coordination") or {}).get("mode") == "none":
        return []
    return [" ".join(f"{text[0].upper()}{text[1:]}" for text in told)]


def _times(count: Any) -> str:
    return "once" if count == 1 else f"{words.number(count)} times"


def _charges(kpis: Context, currency: str) -> list[str]:
    received = kpis.get("network_charges_micro")
    if not words.is_number(received):
        return []
    money = (
        f"The network account {'paid out' if received < 0 else 'received'} "
        f"{words.money(abs(received), currency)} of network charges."
    )
    charged = kpis.get("congestion_charged_intervals_count")
    if not charged:
        return [money, "No limit was scarce, so no congestion was charged for."]
    swing, turns = (kpis.get(f"congestion_charge_{name}") for name in ("swing_percent", "reversals_count"))
    settled = words.is_number(swing) and swing <= SETTLED_PERCENT
    return [
        money,
        f"Congestion was charged for in {words.number(charged)} intervals, at most "
        f"{words.price(kpis.get('congestion_charge_max_micro_per_kwh'), currency)}. The charges "
        f"{'settled' if settled else 'did not settle'}: from one interval to the next they changed by "
        f"{words.quantity(swing, '%')} of their size (0{words.NBSP}%: constant; 100{words.NBSP}%: on and off), and "
        f"{f'fell again after a rise {_times(turns)}' if turns else 'never fell again after a rise'}.",
    ]
