"""A whole day in which some inverters answer in the plant and others are devices behind sockets."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from adapters.grid.inverter_curves import IEEE_1547_B_VOLT_VAR
from twin import load_scenario, run

STREET = Path(__file__).parents[2] / "scenarios" / "inverters_and_taps.yaml"
ON_BENCH = ("LV2.101 Load 66.pv", "LV2.101 Load 78.pv", "LV2.101 Load 5.battery")


def a_day(folder, name, *, answering, bench=False):
    """The shipped street for a day, without its variants."""
    text = yaml.safe_load(STREET.read_text())
    text = {k: v for k, v in text.items() if k not in ("variants", "start")}
    text |= {
        "name": name,
        "duration_days": 1.0,
        "start": "2016-05-24T00:00:00+02:00",
        "outputs": {"report": False},
    }
    if answering:
        text["grid"]["plant"] = {"inverters": {"mode": "volt_var_and_volt_watt"}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(text))
    devices = {role: {"driver": "emulated", "mode": "armed", "safe": {"p_set_w": 0}, "reversion_s": 7200} for role in ON_BENCH}  # fmt: skip
    file = folder / "bench.yaml"
    file.write_text(yaml.safe_dump({
        "bench": "day", "description": "Three of them on sockets.", "features": ["battery", "pv"],
        "coupling": "quasi_static", "devices": devices,
        "ac_source": {"driver": "emulated", "feeds": list(ON_BENCH), "v_pu": [0.85, 1.15]},
    }))  # fmt: skip
    return run(load_scenario(path), folder / f"{name}.run", bench=file if bench else None)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_day_of_inverters_beside_a_bench(tmp_path):
    passive, native, wired = (
        a_day(tmp_path, name, answering=name != "passive", bench=name == "wired")
        for name in ("passive", "native", "wired")
    )
    k = wired.kpis
    assert wired.verdict == native.verdict == "pass"
    assert (k["wire_samples_count"], k["bad_samples_count"]) == (3 * 96, 0)
    assert (k["inverter_unsolved_steps_count"], k["inconclusive_count"], k["money_sum_micro"]) == (0, 0, 0)
    assert 0 < k["inverter_residual_max_pu"] <= 1e-4
    at_rest, beside, day = (
        r.table("participants").to_pandas().set_index(["participant", "interval"])
        for r in (passive, native, wired)
    )
    assert np.isfinite(day[["p_gen_w", "q_gen_var", "v_pu"]].to_numpy()).all()
    # a device answers for itself: as it is delivered, without volt-var; what is left is the house's own
    for role in ON_BENCH[:2]:
        who = role.rpartition(".")[0]
        own = day.loc[who].q_gen_var - at_rest.loc[who].q_gen_var
        assert own.abs().max() < 1.0 and day.loc[who].wire.all()
        assert (beside.loc[who].q_gen_var - at_rest.loc[who].q_gen_var).min() < -500.0
        assert np.abs(day.loc[who].p_gen_w - beside.loc[who].p_gen_w).max() < 300
    # everybody else follows the curve at the voltage that was recorded, by day
    drawn = (day.q_gen_var - at_rest.q_gen_var)[day.soc.isna()].groupby("participant").sum()
    roof = day.loc[drawn.idxmin()]  # without a battery, where the voltage is highest
    q = roof.q_gen_var - at_rest.loc[drawn.idxmin()].q_gen_var
    asked = np.interp(roof.v_pu, IEEE_1547_B_VOLT_VAR.x, IEEE_1547_B_VOLT_VAR.y)
    sunny = roof.p_gen_w > 1000
    rated_va = (q / asked)[sunny & (asked < -0.02)].median()  # the street has roofs of its own besides
    assert rated_va > 1.1 * (roof.p_gen_w.max() - 500)
    assert sunny.sum() > 30 and not roof.wire.any()
    assert (q - asked * rated_va)[sunny].abs().max() <= 2e-4 * rated_va
    assert q.iloc[:12].abs().max() < 1.0, "no sun until three, no reactive power"
    # three inverters less that draw reactive power leave a little less room
    assert k["inverter_absorbed_varh"] < native.kpis["inverter_absorbed_varh"]
    assert k["cut_wh"] >= native.kpis["cut_wh"]
