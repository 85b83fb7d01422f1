"""A run folder made by hand: a radial street solved with the linear DistFlow equations, one folder per variant.

Deterministic and physically plausible (arms of a street, an evening peak, cars at the far ends), so that what a
reader would notice in a real report can be looked at and tested without running anything.
"""

from datetime import timedelta

import numpy as np
from report_records import LIMITS, START, VARIANTS, kpis_of, manifest_of, verdict_of  # noqa: F401
from report_street import Street, powers

from adapters.export.run_folder import RunFolder
from twin.tables import TABLES


def build(
    path, *, days=1.0, arms=4, depth=10, variants=VARIANTS, house="LV1 Bus {}", status="finished", **manifest
):
    """Write the whole folder; returns its path. ``status=None`` leaves it as a killed run would."""
    street = Street(arms, depth, house)
    n = round(days * 96)
    judged = [v for v in variants if v["judged"]]
    for entry in judged + [v for v in variants if not v["judged"]]:
        folder = path if entry["judged"] else path / "variants" / entry["name"]
        _one(folder, street, n, entry, variants, status, manifest)
    return path


def _one(path, street, n, entry, variants, status, manifest):
    folder = RunFolder.create(
        path, manifest_of(street, entry, variants, manifest), schemas=TABLES, flush_rows=40
    )
    load, pv, battery, ev = powers(street, n, entry["name"], seed=7)
    v, loading = street.solve(pv + battery - load - ev)
    v0, loading0 = street.solve(pv - load - np.minimum(ev, 4200))
    gated = entry["name"] == "gated"
    folder.append(
        "feeder_buses",
        {
            "bus": street.bus,
            "x": street.xy[:, 0],
            "y": street.xy[:, 1],
            "vn_v": [20000.0] + [400.0] * (street.n_bus - 1),
            "participants": [[], [], *([p] for p in street.point)],
        },
    )
    folder.append(
        "feeder_branches",
        {
            "branch": street.branch,
            "kind": street.kind,
            "from_bus": [street.bus[p] for p in street.parent[1:]],
            "to_bus": street.bus[1:],
        },
    )
    for k in range(n):
        row = _interval(
            k, street, entry, load[k], pv[k], battery[k], ev[k], v[k], loading[k], v0[k], loading0[k]
        )
        folder.append("intervals", {name: [value] for name, value in row.items()})
        folder.append(
            "grid_states", {"interval": [k], "v_pu": v[k : k + 1], "loading_percent": loading[k : k + 1]}
        )
        _rows(folder, k, street, entry, pv[k] + battery[k] - load[k] - ev[k], v[k])
    if status is None:
        folder.wait()  # killed later: what was flushed had reached the disk
        return
    _violations(folder, street, v, loading, gated)
    kpis = kpis_of(entry, load, pv, battery, ev, v, loading)
    folder.write_json("kpis.json", kpis)
    folder.write_json("verdict.json", verdict_of(entry, street, v, loading, kpis))
    for day in range(n // 96):
        start_s = START.timestamp() + 86400 * day
        folder.append("settlement", {
            "period_start_s": [int(start_s)], "period_end_s": [int(start_s) + 86400], "digest": ["ab" * 32],
            "root": ["cd" * 32], "transaction": ["0x" + "ef" * 32], "block_number": [12 + day], "gas": [412_345],
            "status": ["final"], "positions": [40], "gross_energy_wh": [168_000],
        })  # fmt: skip
    ended = {"ended_utc": "2026-11-22T00:10:00+00:00", "wall_s": 12.3}
    folder.finish(status, ended)


def _interval(k, street, entry, load, pv, battery, ev, v, loading, v0, loading0):
    local = int(battery.sum() / 4)
    cut = int(max(0, 11e3 * 10 - ev.sum()) / 4) if entry["name"] == "gated" and ev.any() else 0
    return {
        "interval": k,
        "time": (START + timedelta(minutes=15 * k)).isoformat(),
        "price_micro_per_kwh": 187_500 + 500 * (k % 7) if local else None,
        "local_cleared_wh": local,
        "local_accepted_wh": local,
        "supplier_flexible_accepted_wh": int(ev.sum() / 4) - local if ev.any() else 0,
        "cut_wh": cut,
        "gate_status": ("cut" if cut else "accepted" if ev.any() else "idle")
        if entry["name"] == "gated"
        else "off",
        "binding": street.branch[1] if cut else None,
        "v_min_pu": v.min(),
        "v_max_pu": v.max(),
        "line_loading_max_percent": loading[1:].max(),
        "trafo_loading_max_percent": loading[0],
        "base_v_min_pu": v0.min(),
        "base_v_max_pu": v0.max(),
        "base_line_loading_max_percent": loading0[1:].max(),
        "base_trafo_loading_max_percent": loading0[0],
        "p_slack_w": load.sum() + ev.sum() - pv.sum() - battery.sum(),
        "loss_w": 0.0,
        "load_w": load.sum(),
        "pv_w": pv.sum(),
        "pv_curtailed_w": 0.0,
        "battery_w": battery.sum(),
        "ev_w": ev.sum(),
        "plant_converged": True,
        "money_sum_micro": 0,
        "step_ms": 1.0,
    }


def _rows(folder, k, street, entry, p_w, v):
    houses = len(street.point)
    wh = np.rint(p_w / 4).astype(np.int64)
    price = {"supplier": 320, "local": 290, "gated": 295}[entry["name"]] if entry["name"] != "run" else 320
    folder.append(
        "participants",
        {
            "interval": np.full(houses, k),
            "participant": tuple(street.point),
            "p_gen_w": p_w,
            "q_gen_var": np.zeros(houses),
            "v_pu": v[2:],
            "metered_wh": wh,
            "bill_micro": -wh * np.where(wh < 0, price, 80),
            "wire": np.arange(houses) == 2,
        },
    )
    if entry["name"] != "supplier" and k % 96 in range(22, 36):
        folder.append(
            "trades",
            {
                "interval": [k, k],
                "order_id": [1, 2],
                "participant": [street.point[1], street.point[3]],
                "side": ["sell", "buy"],
                "counterparty": ["pool", "pool"],
                "cleared_wh": [1500, 1500],
                "accepted_wh": [1500, 1400 if entry["name"] == "gated" else 1500],
            },
        )


def _violations(folder, street, v, loading, gated):
    status = "averted" if gated else "violated"
    found = []
    for bus in range(1, street.n_bus):
        found += _episodes(
            v[:, bus] + (-0.045 if gated else 0), 0.94, -1, street.bus[bus], "voltage_min", "pu"
        )
    for b, kind in enumerate(street.kind):
        name = "transformer_loading" if kind == "trafo" else "line_loading"
        found += _episodes(loading[:, b] * (1.6 if gated else 1), 100.0, 1, street.branch[b], name, "percent")
    rng = np.random.default_rng(1)
    for row in found:
        folder.append(
            "violations", {**{k: [x] for k, x in row.items()}, "status": [status], "cause": ["trades"]}
        )
        size = 0.06 if row["unit"] == "pu" else 60
        share = np.sort(rng.normal(0.1, 0.2, 14) * size)
        folder.append(
            "shares",
            {
                "interval": [row["worst_interval"]] * 14,
                "element": [row["element"]] * 14,
                "kind": [row["kind"]] * 14,
                "status": [status] * 14,
                "participant": street.point[:14],
                "change_p_w": -1e5 * share,
                "share_of_change": share,
                "share_of_excess": share / 3,
                "unit": [row["unit"]] * 14,
                "residual": [2e-9] * 14,
            },
        )


def _episodes(values, limit, sign, element, kind, unit):
    beyond = np.flatnonzero(sign * values > sign * limit)
    for run in np.split(beyond, np.flatnonzero(np.diff(beyond) > 1) + 1):
        if len(run):
            worst = run[np.argmax(sign * values[run])]
            yield {
                "interval": int(run[0]),
                "element": element,
                "kind": kind,
                "value": float(values[worst]),
                "worst_interval": int(worst),
                "limit": limit,
                "unit": unit,
                "duration_s": 900 * len(run),
            }
