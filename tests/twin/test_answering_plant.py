"""Inverters and tap changers in a run: solved with the plant, metered, and only the plant moves the tap."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.feeder import FloatArray
from adapters.grid.inverter_curves import IEEE_1547_B_VOLT_VAR, IEEE_1547_VOLT_WATT
from twin import ScenarioError
from twin.answering_plant import AnsweringPlant
from twin.inverters import make_inverters, rating_problems
from twin.scenario.grid_section import InverterSection

SUNNY = {
    "start": "2016-01-18T11:00:00+01:00",
    "duration_days": 1 / 24,
    "participants": {
        "forecast": {"kind": "perfect"},
        "assets": [{"kind": "pv", "share_percent": 100, "p_max_w": 15000}],
    },
    "coordination": {"mode": "none"},
    "limits": {"voltage_min_pu": 0.9, "voltage_max_pu": 1.1, "line_loading_percent": 900,
               "transformer_loading_percent": 900},
}  # fmt: skip


def sunny(run_street, *, source_v_pu=1.05, **inverters):
    plant = {"source_voltage_pu": source_v_pu}
    if inverters:
        plant["inverters"] = inverters
    return run_street(**SUNNY, grid={"plant": plant})


@pytest.fixture(scope="module")
def passive(run_street):
    return sunny(run_street)


def rows(run) -> FloatArray:
    return run.table("participants").to_pandas()


def test_volt_var_lowers_the_voltage_by_what_the_curve_asks_for(run_street, passive):
    run = sunny(run_street, mode="volt_var", curve="ieee_1547_b")
    assert run.kpis["v_max_pu"] < passive.kpis["v_max_pu"] - 0.002
    found, before = rows(run), rows(passive)
    rated_va = 15000 * 1.1
    wanted = np.interp(found["v_pu"], IEEE_1547_B_VOLT_VAR.x, IEEE_1547_B_VOLT_VAR.y) * rated_va
    added = (found["q_gen_var"] - before["q_gen_var"]).to_numpy()
    assert added == pytest.approx(wanted, abs=2e-4 * rated_va) and added.min() < -0.1 * rated_va
    assert found["p_gen_w"].to_numpy() == pytest.approx(before["p_gen_w"].to_numpy(), abs=1e-6)


def test_what_volt_watt_takes_off_is_metered_billed_and_counted(run_street, passive):
    run = sunny(run_street, mode="volt_watt", source_v_pu=1.06)
    free = sunny(run_street, source_v_pu=1.06)
    lost_wh = run.kpis["pv_curtailed_wh"] - free.kpis["pv_curtailed_wh"]
    assert lost_wh > 100
    assert run.kpis["pv_wh"] == pytest.approx(free.kpis["pv_wh"] - lost_wh)
    table, other = rows(run), rows(free)
    assert other["metered_wh"].sum() - table["metered_wh"].sum() == pytest.approx(lost_wh, abs=len(table))
    assert run.kpis["bills_total_micro"] > free.kpis["bills_total_micro"], "less was sold"
    assert run.kpis["money_sum_micro"] == 0
    most = (
        np.interp(table["v_pu"], IEEE_1547_VOLT_WATT.x, IEEE_1547_VOLT_WATT.y) * 15000
    )  # of rated active power
    assert (table["p_gen_w"] <= most + 2e-4 * 16500).all(), "what the inverter gives, less the load"


def test_fixed_power_factor_and_the_german_curves_by_size(run_street, passive):
    run = sunny(run_street, mode="fixed_power_factor", power_factor=0.9, excitation="absorb")
    found, before = rows(run), rows(passive)
    share = (before["q_gen_var"] - found["q_gen_var"]).sum() / run.kpis["pv_wh"]
    assert share == pytest.approx(np.tan(np.arccos(0.9)) * 4, rel=1e-6)  # four quarters of an hour
    none = np.zeros(3)
    people = SimpleNamespace(
        names=("a", "b", "c"), pv_rated_w=np.array([3000.0, 0.0, 10_000.0]), battery_p_w=none, ev_p_w=none
    )
    section = InverterSection(mode="volt_var", curve="vde_ar_n_4105", rating_percent=100)
    fleet = make_inverters(section, people).fleet
    (large, _), (small, at) = fleet.others
    assert fleet.point.tolist() == [0, 2] and at.tolist() == [0]
    assert small.volt_var.y[0] == pytest.approx(np.sqrt(1 - 0.95**2))
    assert large.volt_var.y[0] == pytest.approx(np.sqrt(1 - 0.90**2))


def test_an_inverters_own_rating_wins_and_a_wrong_one_is_told():
    none = np.zeros(3)
    people = SimpleNamespace(
        names=("a", "b", "c"), pv_rated_w=np.array([3000.0, 0.0, 10_000.0]), battery_p_w=none, ev_p_w=none
    )
    section = InverterSection(mode="volt_watt", s_rated_va={"c.pv": 10_000.0})
    fleet = make_inverters(section, people).fleet
    assert fleet.s_rated_va.tolist() == pytest.approx([3300.0, 10_000.0])
    assert fleet.p_rated_w.tolist() == [3000.0, 10_000.0]
    section = InverterSection(mode="volt_var", s_rated_va={"c.pv": 9_999.0, "b.pv": 5e3})
    told = dict(rating_problems(section, people))
    assert "at least the rated power of the asset, 10000 W" in told["c.pv"]
    assert "no such inverter" in told["b.pv"] and "nearest" in told["b.pv"]


def test_a_fixed_point_that_is_not_found_is_an_inconclusive_interval(run_street, monkeypatch):
    import adapters.grid.inverter_fleet as module

    monkeypatch.setattr(module, "MAX_ITERATIONS", 1)
    run = sunny(run_street, mode="volt_var")
    assert run.verdict == "inconclusive" and run.kpis["inconclusive_count"] > 0
    assert not any(run.table("intervals")["plant_converged"].to_pylist())


RURAL = {
    "name": "taps", "start": "2016-06-18T10:00:00+02:00", "duration_days": 0.125, "seed": 1,
    "grid": {"source": "simbench:1-LV-rural1--2-sw", "plant": {"source_voltage_pu": 1.04}},
    "participants": {"assets": [{"kind": "pv", "share_percent": 60, "p_max_w": 9000}]},
    "limits": {"voltage_min_pu": 0.9, "voltage_max_pu": 1.1},
    "settlement": {"chain": "none"}, "outputs": {"report": False},
}  # fmt: skip


def tapped(tmp_path, **plant):
    import yaml

    from twin import load_scenario, run

    text = {**RURAL, "grid": {**RURAL["grid"], "plant": {**RURAL["grid"]["plant"], **plant}}}
    path = tmp_path / f"{len(plant)}.yaml"
    path.write_text(yaml.safe_dump(text))
    return run(load_scenario(path), tmp_path / f"out{len(plant)}")


def test_the_tap_holds_the_voltage_and_the_gate_follows_an_interval_later(tmp_path, monkeypatch):
    from adapters.grid.oltc import Following

    believed, moved = [], []
    solve, step = Following.solve, AnsweringPlant.step
    monkeypatch.setattr(
        Following, "solve", lambda self, p, q: (believed.append(self.positions), solve(self, p, q))[1]
    )

    def stepped(self, devices):
        solved = step(self, devices)
        moved.append(self.tap)
        return solved

    monkeypatch.setattr(AnsweringPlant, "step", stepped)
    still = tapped(tmp_path)
    held = tapped(tmp_path, tap_control={"v_set_pu": 1.0, "band_pu": 0.03})
    assert rows(held)["v_pu"].mean() < rows(still)["v_pu"].mean() - 0.01
    assert len(set(moved)) > 1 or moved[0] != believed[0], "the tap had to move"
    assert set(believed[1:]) <= {believed[0], *moved}
    first = believed.count(believed[0])
    assert believed[first:] and set(believed[first:]) <= set(moved), (
        "after the first interval it is the plant's"
    )


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (
            {"tap_control": {"band_pu": 0.001}},
            "tap control needs a transformer with a tap|narrower than a tap step",
        ),
        ({"inverters": {"mode": "volt_var"}}, "nobody has pv or battery"),
        ({"inverters": {"mode": "watt_var"}}, "watt_var has a default curve in vde_ar_n_4105 only"),
        (
            {"inverters": {"mode": "volt_watt", "curve": "vde_ar_n_4105"}},
            "vde_ar_n_4105 has no curve for volt_watt",
        ),
    ],
)
def test_what_the_plant_cannot_do_is_said_before_the_run(run_street, plant, says):
    with pytest.raises(ScenarioError, match=says):
        run_street(grid={"plant": plant}, participants={"assets": []})
