"""What a run says about itself: manifest, KPIs and verdict of the street made by hand."""

from datetime import datetime, timedelta, timezone

import numpy as np

START = datetime(2016, 1, 18, 12, 0, tzinfo=timezone(timedelta(hours=1)))
LIMITS = {
    "voltage_min_pu": 0.94,
    "voltage_max_pu": 1.06,
    "line_loading_percent": 100.0,
    "transformer_loading_percent": 100.0,
}
VARIANTS = [
    {"name": "supplier", "title": "Cars buy from the supplier", "judged": False},
    {"name": "local", "title": "Neighbours trade freely", "judged": False},
    {"name": "gated", "title": "Trades pass the gate", "judged": True},
]


def kpis_of(entry, load, pv, battery, ev, v, loading):
    wh = {name: round(float(x.sum() / 4)) for name, x in (("load_wh", load), ("pv_wh", pv))}
    short = {"supplier": 0, "local": 0, "gated": 2}.get(entry["name"], 0)
    return {
        **wh,
        "v_min_pu": v.min(),
        "v_max_pu": v.max(),
        "line_loading_max_percent": loading[:, 1:].max(),
        "transformer_loading_max_percent": loading[:, 0].max(),
        "violations_count": 0 if entry["name"] == "gated" else 7,
        "violated_s": 0 if entry["name"] == "gated" else 6300,
        "violated_any_s": 0 if entry["name"] == "gated" else 2700,
        "averted_count": 9 if entry["name"] == "gated" else 0,
        "local_traded_wh": round(float(battery.sum() / 4)),
        "cut_wh": 22_300 if entry["name"] == "gated" else 0,
        "energy_not_served_wh": 20_100 if entry["name"] == "gated" else 0,
        "ev_sessions_count": 10,
        "ev_short_count": short,
        "pv_curtailed_wh": 0,
        "self_sufficiency_percent": 31.25,
        "bill_mean_micro": 4_321_987,
        "bills_total_micro": 172_879_480,
        "engine_difference_pu": 3.2e-10,
        "t_model_difference_pu": 4.1e-5,
        "forecast_mae_w": 118.0,
        "wire_samples_count": 288,
        "bad_samples_count": 0,
        "gas_total": 412_345,
        "money_sum_micro": 0,
        "inconclusive_count": 0,
        "not_delivered_wh": 1250,
    }


def verdict_of(entry, street, v, loading, kpis):
    bus = int(np.unravel_index(v[:, 1:].argmin(), v[:, 1:].shape)[1]) + 1
    k = int(v[:, bus].argmin())
    line = int(loading[:, 1:].max(axis=0).argmax()) + 1
    kl = int(loading[:, line].argmax())
    low, high = float(v[k, bus]), float(loading[kl, line])
    checks = [
        _check("voltage_min", low, 0.94, "pu", low - 0.94, street.bus[bus]),
        _check("voltage_max", float(v.max()), 1.06, "pu", 1.06 - float(v.max()), street.bus[0]),
        _check("line_loading", high, 100.0, "percent", 100 - high, street.branch[line]),
        _check(
            "transformer_loading",
            kpis["transformer_loading_max_percent"],
            100.0,
            "percent",
            100 - kpis["transformer_loading_max_percent"],
            street.branch[0],
        ),
        {
            "name": "money_sums_to_zero",
            "verdict": "pass",
            "value": 0,
            "limit": 0,
            "unit": "micro",
            "margin": None,
        },
    ]
    verdict = "fail" if any(c["verdict"] == "fail" for c in checks) else "pass"
    time = (START + timedelta(minutes=15 * k)).isoformat()
    people = [
        {"participant": street.point[i], "share": share, "unit": "pu"}
        for i, share in ((3, 0.018), (7, 0.011), (11, 0.004), (1, -0.006), (5, -0.001))
    ]
    return {
        "verdict": verdict,
        "judge": "trades",
        "checks": checks,
        "not_assessed": [
            {"name": "protection and fault levels", "why": "steady-state power flows cannot show them"},
            {"name": "EN 50160", "why": "needs means of 10 minutes or less over a week or more"},
        ],
        "smallest_margin": {
            "name": "voltage_min",
            "margin": low - 0.94,
            "unit": "pu",
            "element": street.bus[bus],
            "time": time,
        },
        "worst_bus": {
            "name": street.bus[bus],
            "v_pu": low,
            "interval": k,
            "time": time,
            "duration_s": 2700,
            "responsible": people,
        },
        "worst_branch": {
            "name": street.branch[line],
            "kind": "line",
            "loading_percent": high,
            "interval": kl,
            "time": (START + timedelta(minutes=15 * kl)).isoformat(),
            "duration_s": 0,
            "responsible": [],
        },
    }


def _check(name, value, limit, unit, margin, element):
    return {
        "name": name,
        "verdict": "pass" if margin >= 0 else "fail",
        "value": value,
        "limit": limit,
        "unit": unit,
        "margin": margin,
        "element": element,
        "first_interval": None,
        "count": 0,
    }


def manifest_of(street, entry, variants, more):
    return {
        "schema_version": 1,
        "name": "synthetic_street",
        "title": "A street made by hand",
        "description": "A winter evening on four arms of a street.",
        "scenario": {"name": "synthetic_street", "limits": LIMITS, "currency": "EUR"},
        "scenario_sha256": "0" * 64,
        "seed": 7,
        "versions": {"python": "3.11.7"},
        "git_commit": "0123456789abcdef",
        "command": ["twin", "run", "scenarios/synthetic_street.yaml", "--seed", "7"],
        "variants": variants if len(variants) > 1 else [],
        "variant": entry["name"],
        "interval_s": 900,
        "step_s": 900,
        "start": START.isoformat(),
        "currency": "EUR",
        "forecast": "noisy",
        "feeder": {
            "source": "by hand",
            "n_bus": street.n_bus,
            "n_branch": street.n_bus - 1,
            "n_points": street.n_bus - 2,
            "notes": ["Tap of MV1-LV1-Trafo 1 honoured: position -1."],
        },
        "engines": {"gate": "power_grid_model", "plant": "power_grid_model", "agreement": {"states": 4}},
        "devices": {
            "roles": [
                {"role": "house_02.inverter", "driver": "emulated", "wire_samples": 96, "bad_samples": 0}
            ]
        },
        **more,
    }
