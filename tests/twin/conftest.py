"""Participants, scenarios and small streets for the tests of the twin's core."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twin.fleet import FleetState, SetPoints
from twin.participants import Participants

STREET = "pandapower:create_kerber_landnetz_freileitung_1"  # 13 houses on two overhead lines
HOUSES = tuple(f"load {i}" for i in range(13))


def _table(n: int, **columns: Any) -> Participants:
    full = {
        "load_p_rated_w": 1.0,
        "load_q_rated_var": 0.0,
        "pv_rated_w": 0.0,
        "battery_p_w": 0.0,
        "battery_wh": 0.0,
        "battery_efficiency": 1.0,
        "soc_initial": 0.5,
        "soc_min": 0.0,
        "soc_max": 1.0,
        "ev_p_w": 0.0,
        "ev_efficiency": 1.0,
        "house_bid_share": 0.0,
    }
    whole = dict.fromkeys(("load_profile", "pv_profile", "battery_ask_micro"), 0)
    whole |= {
        "sell_from_s": 17 * 3600,
        "sell_to_s": 22 * 3600,
        "recharge_from_s": 3600,
        "recharge_to_s": 18000,
    }
    flags = {"trades": True, "battery_sells": False, "ev_cheap": False}
    made: dict[str, Any] = {"names": tuple(f"h{i}" for i in range(n)), "firm_import_w": 4200.0}
    made |= {"firm_export_w": 5000.0, "curtails": False, "ev_sessions": ()}
    for kind, defaults in ((np.float64, full), (np.int64, whole), (np.bool_, flags)):
        for name, default in defaults.items():
            made[name] = np.broadcast_to(np.asarray(columns.pop(name, default), dtype=kind), (n,)).copy()
    return Participants(**(made | columns))


@pytest.fixture(scope="session")
def make_people():
    """Participants of ``n`` rows; a column is given by name, as a number or one per row."""
    return _table


@pytest.fixture(scope="session")
def make_state():
    """A device state of all participants at second 0."""

    def make(people: Participants, **columns: Any) -> FleetState:
        n = people.n
        state = FleetState(
            0, people.soc_initial.copy(), np.zeros(n, bool), np.zeros(n), np.zeros(n, dtype=np.int64)
        )
        return replace(state, **{
            k: v if k == "time_s" else np.broadcast_to(np.asarray(v), (n,)).astype(getattr(state, k).dtype)
            for k, v in columns.items()
        })  # fmt: skip

    return make


@pytest.fixture(scope="session")
def make_points():
    """Set points of ``n`` rows: nothing but what is given."""

    def make(n: int, **columns: Any) -> SetPoints:
        zero = dict.fromkeys(("ev_base_w", "ev_extra_w", "battery_extra_w", "pv_extra_w"), 0.0)
        full = {
            k: np.broadcast_to(np.asarray(columns.pop(k, v), float), (n,)).copy() for k, v in zero.items()
        }
        idle = np.broadcast_to(np.asarray(columns.pop("battery_idle", False)), (n,)).copy()
        assert not columns
        return SetPoints(battery_idle=idle, **full)

    return make


def _day_profiles(path: Path, days: int = 2, start: datetime = datetime(2016, 1, 18)) -> Path:
    """Two load shapes and a sun, quarter-hourly: an evening peak of 1.0 and a noon of 0.8."""
    lines = ["time,load:a,load:b,load_q:a,load_q:b,pv:sun"]
    for k in range(days * 96):
        at = start + timedelta(minutes=15 * k)
        h = at.hour + at.minute / 60
        a = 0.03 + 0.07 * np.exp(-(((h - 19) / 2.5) ** 2))
        b = 0.03 + 0.05 * np.exp(-(((h - 12) / 2) ** 2)) + 0.02 * (k % 3)
        sun = max(0.0, 0.8 * np.sin(np.pi * (h - 8) / 9)) if 8 < h < 17 else 0.0
        lines.append(f"{at.isoformat()},{a:.5f},{b:.5f},{a / 4:.5f},{b / 4:.5f},{sun:.5f}")
    path.write_text("\n".join(lines) + "\n")
    return path


STREET_SCENARIO = {
    "name": "street",
    "start": "2016-01-18T16:00:00+01:00",
    "duration_days": 0.25,
    "seed": 7,
    "grid": {"source": STREET},
    "profiles": {"source": "profiles.csv"},
    "participants": {
        "forecast": {"kind": "noisy"},
        "assets": [
            {"kind": "ev", "at": list(HOUSES[7:12]), "p_max_w": 11000, "arrival_h": 17, "spread_h": 0.5,
             "energy_need_wh": 15000},
            {"kind": "battery", "at": list(HOUSES[0:5]), "p_max_w": 8000, "capacity_wh": 20000, "soc_initial": 0.9},
            {"kind": "pv", "at": list(HOUSES[3:7]), "p_max_w": 6000},
        ],
    },
    "coordination": {"mode": "gate"},
    "limits": {"voltage_min_pu": 0.975},
    "settlement": {"chain": "none"},
    "outputs": {"report": False},
}  # fmt: skip


def _merge(base: dict, more: dict) -> dict:
    out = dict(base)
    for key, value in more.items():
        out[key] = (
            _merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
        )
    return out


@pytest.fixture(scope="session")
def street_text():
    """The street's scenario as YAML text, with nested overrides."""
    return lambda **overrides: yaml.safe_dump(_merge(STREET_SCENARIO, overrides), sort_keys=False)


@pytest.fixture(scope="session")
def write_day_profiles():
    """Writes the street's profile file."""
    return _day_profiles


@pytest.fixture(scope="session")
def run_street(tmp_path_factory, street_text):
    """Runs the street's scenario with overrides in a folder of its own; returns its ``RunResult``."""
    from twin import load_scenario, run

    def go(profiles: str | None = None, bench: Path | None = None, **overrides: Any):
        folder = tmp_path_factory.mktemp("street")
        _day_profiles(folder / "profiles.csv")
        if profiles is not None:
            (folder / "profiles.csv").write_text(profiles)
        (folder / "s.yaml").write_text(street_text(**overrides))
        return run(load_scenario(folder / "s.yaml"), folder / "out", bench=bench)

    return go


@pytest.fixture(scope="session")
def gated(run_street):
    """The street's evening with the gate."""
    return run_street()


@pytest.fixture(scope="session")
def ungated(run_street):
    """The same evening, trades only judged."""
    return run_street(coordination={"mode": "none"})
