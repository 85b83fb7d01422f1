"""A run folder made by hand: a radial street solved with the linear DistFlow equations, one folder per variant.

Deterministic and physically plausible (arms of a street, an evening peak, cars at the far ends), so that what a
reader would notice in a real report can be looked at and tested without running anything.
"""

from datetime import datetime, timedelta, timezone

import numpy as np

from adapters.export.run_folder import RunFolder
from twin.tables import TABLES

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


class Street:
    """Arms of buses behind one transformer; bus 0 is the medium-voltage side, bus 1 the bus bar."""

    def __init__(self, arms=4, depth=10, name="LV1 Bus {}"):
        self.n_bus = 2 + arms * depth
        self.bus = ["MV1 Bus 1", *(name.format(i) for i in range(1, self.n_bus))]
        self.parent = [-1, 0] + [1 if i % depth == 0 else i + 1 for i in range(arms * depth)]
        self.branch = ["MV1-LV1-Trafo 1", *(f"LV1 Line {i}" for i in range(1, self.n_bus - 1))]
        self.kind = ["trafo", *["line"] * (self.n_bus - 2)]
        self.xy = np.zeros((self.n_bus, 2))
        for i in range(2, self.n_bus):
            arm, k = divmod(i - 2, depth)
            angle = 0.6 * arm + 0.12 * np.sin(k)
            self.xy[i] = 0.0008 * (k + 1) * np.array([np.cos(angle), np.sin(angle)])
        self.xy += [11.41, 53.64]
        self.point = [f"LV1 Load {i}" for i in range(1, self.n_bus - 1)]
        # below[b, j]: house j (at bus j + 2) is fed through branch b (which ends at bus b + 1)
        self.below = np.zeros((self.n_bus - 1, self.n_bus - 2), dtype=bool)
        for j in range(self.n_bus - 2):
            bus = j + 2
            while bus > 0:
                self.below[bus - 1, j] = True
                bus = self.parent[bus]

    def solve(self, p_gen_w):
        """Voltage (k, bus) and loading (k, branch) for powers (k, house): linear, lossless."""
        flow_w = p_gen_w @ self.below.T
        drop = np.full(self.n_bus - 1, 0.028 / 400**2)
        drop[0] = 0.008 / 400**2
        v = np.ones((len(p_gen_w), self.n_bus)) * 1.02
        for branch in np.argsort([self._depth(b + 1) for b in range(self.n_bus - 1)]):
            v[:, branch + 1] = v[:, self.parent[branch + 1]] + flow_w[:, branch] * drop[branch]
        rated = np.full(self.n_bus - 1, 60e3)
        rated[0] = 160e3
        return v, 100 * np.abs(flow_w) / rated

    def _depth(self, bus):
        return 0 if self.parent[bus] < 0 else 1 + self._depth(self.parent[bus])


def powers(street, n, variant, seed):
    """Load, PV, battery and EV powers (n, houses), all >= 0 but the battery (+ discharge)."""
    rng = np.random.default_rng(seed)
    houses = len(street.point)
    hour = (12 + np.arange(n)[:, None] / 4) % 24
    evening = np.exp(-(((hour - 19) / 2.2) ** 2))
    load = (350 + 900 * evening) * rng.uniform(0.5, 1.6, houses) * rng.uniform(0.8, 1.2, (n, houses))
    pv = np.clip(np.cos((hour - 12.5) / 4.2 * np.pi / 2), 0, None) * np.where(
        np.arange(houses) % 7 == 3, 2500, 0
    )
    ev = np.where((hour > 17.5) & (hour < 21.5), 1.0, 0.0) * np.where(np.arange(houses) % 4 == 3, 11e3, 0)
    battery = np.zeros((n, houses))
    if variant != "supplier":
        battery = np.where((hour > 17.25) & (hour < 21), 1.0, 0) * np.where(
            np.arange(houses) % 5 == 1, 6e3, 0
        )
    if variant == "gated":
        ev = ev * 0.7
    return load, pv * np.ones((n, houses)), battery, ev


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
        path, _manifest(street, entry, variants, manifest), schemas=TABLES, flush_rows=40
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
        return
    _violations(folder, street, v, loading, gated)
    kpis = _kpis(entry, load, pv, battery, ev, v, loading)
    folder.write_json("kpis.json", kpis)
    folder.write_json("verdict.json", _verdict(entry, street, v, loading, kpis))
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


def _kpis(entry, load, pv, battery, ev, v, loading):
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


def _verdict(entry, street, v, loading, kpis):
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


def _manifest(street, entry, variants, more):
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
