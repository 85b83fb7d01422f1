"""The KPIs: flat name to number, units in the names. Only what is reproducible; timing is in the manifest."""

from typing import Any

import numpy as np

from adapters.chain.port import BatchReceipt
from twin.charge_tally import NO_CHARGES
from twin.devices import Devices
from twin.heat_log import NO_HEAT
from twin.prepare import PreparedRun
from twin.recorder import Recorder
from twin.robust_price import NO_PRICE
from twin.scenario.coordination_section import CoordinationSection
from twin.violations import steps_of_any

BAND_AND_LOADING = ("voltage_min", "voltage_max", "line_loading", "transformer_loading")


def kpis(
    run: PreparedRun, recorder: Recorder, devices: Devices, receipts: list[BatchReceipt]
) -> dict[str, Any]:
    """All KPIs of a finished variant; a number that cannot be had is None."""
    n, garage = recorder.totals.numbers, devices.garage
    heat = NO_HEAT if devices.heat_log is None else devices.heat_log.kpis()
    stored = (devices.state.soc - run.people.soc_initial) * run.people.battery_wh
    out: dict[str, Any] = {
        **_energy(n | {"heat_pump_wh": heat["heat_pump_wh"] or 0.0}),
        **heat,
        **_market(n),
        "battery_stored_change_wh": float(stored.sum()),
        "ev_sessions_count": garage.left,
        "ev_short_count": garage.left_short,
        "ev_short_wh": round(garage.short_wh, 3),
        "energy_not_served_wh": round(garage.short_wh, 3),
        **_grid(recorder),
        **gate_study(run.scenario.coordination, recorder),
        **(NO_PRICE if recorder.robust is None else recorder.robust.kpis()),
        **_money(recorder),
        **(NO_CHARGES if recorder.charges is None else recorder.charges.kpis()),
        "batches_count": len(receipts),
        "gas_total": sum(receipt.gas for receipt in receipts),
        "intervals_count": recorder.last_interval + 1,
        "inconclusive_count": len(recorder.unsolved) + int(n.get("gate_inconclusive", 0)),
        "engine_difference_pu": _number(run.comparison.voltage.value if run.comparison.voltage else None),
        "t_model_difference_pu": _number(run.comparison.t_model.value if run.comparison.t_model else None),
        "wire_samples_count": int(n.get("wire_samples", 0)),
        "bad_samples_count": int(n.get("bad_samples", 0)),
        "bad_samples_by_fault_count": devices.bad_by_fault,
        "forecast_mae_w": _number(n.get("forecast_error_w", 0) / max(1, recorder.last_interval + 1)),
    }
    return out


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _energy(n: dict[str, float]) -> dict[str, Any]:
    consumption = n.get("load_wh", 0) + n.get("ev_wh", 0) + n.get("heat_pump_wh", 0)
    pv, imported, exported = n.get("pv_wh", 0), n.get("import_wh", 0), n.get("export_wh", 0)
    sufficiency = 100 * (1 - imported / consumption) if consumption > 0 else None
    return {
        "load_wh": n.get("load_wh", 0),
        "ev_wh": n.get("ev_wh", 0),
        "pv_wh": pv,
        "pv_curtailed_wh": n.get("pv_curtailed_wh", 0),
        "import_wh": imported,
        "export_wh": exported,
        "loss_wh": n.get("loss_wh", 0),
        "self_sufficiency_percent": None if sufficiency is None else max(0.0, sufficiency),
        "self_consumption_percent": 100 * max(0.0, 1 - exported / pv) if pv > 0 else None,
    }


def _market(n: dict[str, float]) -> dict[str, Any]:
    traded, priced = int(n.get("local_accepted_wh", 0)), int(n.get("priced_wh", 0))
    return {
        "local_cleared_wh": int(n.get("local_cleared_wh", 0)),
        "local_traded_wh": traded,
        "supplier_flexible_wh": int(n.get("supplier_flexible_accepted_wh", 0)),
        "cut_wh": int(n.get("cut_wh", 0)),
        "delivered_wh": int(n.get("delivered_wh", 0)),
        "settled_wh": int(n.get("settled_wh", 0)),
        "not_delivered_wh": int(n.get("accepted_wh", 0) - n.get("delivered_wh", 0)),
        "local_price_mean_micro_per_kwh": int(n.get("price_times_wh", 0)) // priced if priced else None,
        "coordination_efficiency_percent": _efficiency(n),
        "gate_cut_intervals_count": int(n.get("gate_cut", 0) + n.get("gate_blocked", 0)),
    }


def _efficiency(n: dict[str, float]) -> float | None:
    """Welfare of what was accepted, of the best schedule that keeps the limits; above 100 only by breaking them."""
    best = n.get("central_welfare_micro", 0)
    return 100 * n["welfare_micro"] / best if best > 0 else None


def _grid(recorder: Recorder) -> dict[str, Any]:
    totals, step_s = recorder.totals.extremes, recorder.step_s
    violated, averted = list(recorder.violated.all()), list(recorder.averted.all())
    lasting, lasting_by_trades = recorder.lasting.counts()
    keys = ("v_min_pu", "v_max_pu", "line_loading_max_percent", "transformer_loading_max_percent")
    return {
        **{key: _number(totals.get(key)) for key in keys},
        "violations_count": len(violated) + lasting,
        "violated_by_trades_count": sum(episode.by_trades for episode in violated) + lasting_by_trades,
        "violated_s": sum(episode.steps for episode in violated) * step_s,
        "violated_any_s": steps_of_any(violated) * step_s,
        "averted_count": len(averted),
    }


def gate_study(section: CoordinationSection, recorder: Recorder) -> dict[str, Any]:
    """How often a schedule that the gate let pass still broke a limit in the plant, and the margin it lacked.

    The needed margin is the gate's own plus the largest excess that trades made or worsened in the plant; zero
    where they broke nothing in that unit. To first order: a smaller schedule also changes the flows. ``None``
    without a gate.
    """
    keys = ("gate_broken_intervals_count", "gate_margin_needed_pu", "gate_margin_needed_percent")
    if section.mode != "gate":
        return dict.fromkeys(keys)
    worst = {"pu": 0.0, "percent": 0.0}
    for episode in recorder.violated.all():
        if episode.by_trades and episode.kind in BAND_AND_LOADING:  # what the margins are taken from
            worst[episode.unit] = max(worst[episode.unit], episode.worst_excess)
    margins = {"pu": section.margin_v_pu, "percent": section.margin_loading_percent}
    needed = [margins[unit] + excess if excess > 0 else 0.0 for unit, excess in worst.items()]
    return dict(zip(keys, (len(recorder.broken_by_trades), *needed), strict=True))


def _money(recorder: Recorder) -> dict[str, Any]:
    totals = recorder.totals
    bills, saved = np.asarray(totals.bills_micro), np.asarray(totals.saved_micro)
    return {
        "bills_total_micro": int(bills.sum()),
        "bill_mean_micro": int(bills.sum()) // max(1, bills.size),
        "bill_saving_total_micro": int(saved.sum()),
        "participants_worse_off_count": int((saved < 0).sum()),
        "supplier_income_micro": int(totals.numbers.get("supplier_micro", 0)),
        "money_sum_micro": int(totals.numbers.get("money_sum_micro", 0)),
    }
