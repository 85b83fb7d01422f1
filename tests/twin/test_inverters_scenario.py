"""The shipped scenario of inverters and taps keeps its point, and a run's own tables bear it out."""

from pathlib import Path

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from adapters.grid.inverter_curves import IEEE_1547_B_VOLT_VAR
from adapters.grid.source import load_feeder
from twin import load_scenario, run

SCENARIO = Path(__file__).parents[2] / "scenarios" / "inverters_and_taps.yaml"


@pytest.fixture(scope="module")
def noon(tmp_path_factory):
    """An hour of it."""
    out = tmp_path_factory.mktemp("inverters") / "out"
    return run(load_scenario(SCENARIO, [f"duration_days={1 / 24}"]), out)


def test_what_answers_makes_room_and_who_knows_it_uses_it(noon):
    passive, volt_watt, unforeseen, foreseen = (
        noon.variant(name).kpis for name in ("passive", "volt_watt", "unforeseen", "foreseen")
    )
    assert noon.verdict == "pass" and noon.variant("volt_watt").verdict == "fail"
    assert passive["cut_wh"] == unforeseen["cut_wh"] > 2 * foreseen["cut_wh"] > 5 * noon.kpis["cut_wh"]
    assert unforeseen["v_max_pu"] < passive["v_max_pu"] - 0.005, "cut for a voltage that nobody has"
    assert foreseen["v_max_pu"] <= 1.05 and foreseen["gate_broken_intervals_count"] == 0
    assert volt_watt["volt_watt_curtailed_wh"] > 1000 and foreseen["inverter_absorbed_varh"] > 10_000
    assert passive["inverter_absorbed_varh"] is None and passive["tap_moves_count"] is None
    assert noon.kpis["tap_moves_count"] >= 1
    assert (
        0 <= foreseen["inverter_residual_max_pu"] <= 1e-4 and foreseen["inverter_unsolved_steps_count"] == 0
    )


def test_the_recorded_reactive_power_is_what_the_curve_asks_for_at_the_recorded_voltage(noon):
    """Sign and size: beyond 1.02 pu an inverter draws reactive power, 44 % of its rating at 1.08 pu."""
    feeder = load_feeder("simbench:1-LV-rural2--0-sw", SCENARIO.parent)
    foreseen, passive = (
        noon.variant(name).table("participants").to_pandas() for name in ("foreseen", "passive")
    )
    added = foreseen["q_gen_var"] - passive["q_gen_var"]
    own = foreseen[(added < -1) & (foreseen["v_pu"] < 1.0599)]
    rated = (added[own.index] / np.interp(own["v_pu"], IEEE_1547_B_VOLT_VAR.x, IEEE_1547_B_VOLT_VAR.y)).round(
        -1
    )
    assert len(own) > 50 and (added <= 1).all()
    assert {16500.0, 5500.0} & set(rated), "of 15 kW roofs and 5 kW batteries, with 110 %"
    # and the plant's voltages are those of a plain power flow with these powers
    engine = make_engine(feeder, "pandapower")
    first = foreseen[foreseen["interval"] == 3].set_index("participant")
    names = [point.name for point in feeder.points]
    p, q = (first.loc[names, key].to_numpy()[None] for key in ("p_gen_w", "q_gen_var"))
    v = engine.solve(p, q).v_pu[0, [point.bus for point in feeder.points]]
    assert v == pytest.approx(first.loc[names, "v_pu"].to_numpy(), abs=1e-6)


def test_the_report_and_the_tables_say_so(noon):
    report = (noon.folder / "report.html").read_text()
    for text in (
        "reactive energy by themselves",
        "Inverters and power flow fit each other in every step",
        "The operator’s model has no inverters".replace("’", "&#39;"),
        "The operator’s model has the same inverters".replace("’", "&#39;"),
        "Taps moved by",
    ):
        assert text in report, text
    answers = noon.table("answers").to_pandas()
    assert len(answers) == 4 and answers["tap_moves"].sum() == noon.kpis["tap_moves_count"]
    assert answers["inverter_q_var"].sum() * 0.25 == pytest.approx(
        noon.kpis["inverter_injected_varh"] - noon.kpis["inverter_absorbed_varh"]
    )
    notes = noon.manifest["engines"]["notes"]
    assert any(note.startswith("gate: the operator's model has the same inverters") for note in notes)
