"""The wiring in mosaik: simulators of third parties may attach, and a world that ends early is noticed."""

import mosaik_api_v3
import numpy as np
import pytest

from adapters.chain.factory import open_chain
from adapters.export.run_folder import RunFolder
from twin.chronicle import StopRequest
from twin.cli import main
from twin.organs import build
from twin.prepare import prepare
from twin.progress import silent
from twin.results import RunResult
from twin.scenario.load import load_scenario
from twin.tables import TABLES
from twin.world import run_world


class Listener(mosaik_api_v3.Simulator):
    """A simulator of a third party: hourly, reads buses and participants as any mosaik user would."""

    def __init__(self):
        attrs = ["Vm[pu]", "P_gen[W]", "Q_gen[var]"]
        super().__init__(
            {
                "api_version": "3.0",
                "type": "time-based",
                "models": {"Ear": {"public": True, "params": [], "attrs": attrs}},
            }
        )
        self.heard = []

    def init(self, sid, time_resolution=1.0, heard=None):
        self.heard = heard
        return self.meta

    def create(self, num, model):
        return [{"eid": "ear", "type": model}]

    def step(self, time, inputs, max_advance):
        self.heard.append((time, inputs.get("ear", {})))
        return time + 3600

    def get_data(self, outputs):
        return {}


@pytest.fixture
def street_file(tmp_path, street_text, write_day_profiles):
    write_day_profiles(tmp_path / "profiles.csv")
    path = tmp_path / "s.yaml"
    path.write_text(street_text(duration_days=0.125))
    return path


def test_a_simulator_of_a_third_party_hears_buses_and_participants(street_file, tmp_path):
    (prepared,) = prepare(load_scenario(street_file)).runs.values()
    folder = RunFolder.create(tmp_path / "out", {}, schemas=TABLES)
    organs = build(prepared, folder, open_chain("none", market_id="x", start_s=0), None)
    heard = []

    def attach(world, entities):
        world.sim_config["Ear"] = {"python": f"{__name__}:Listener"}
        ear = world.start("Ear", heard=heard).Ear()
        children = {c.eid: c for c in entities["field"].children}
        assert sum(c.type == "Bus" for c in children.values()) == prepared.feeder.n_bus
        world.connect(children["Bus-14"], ear, "Vm[pu]")
        world.connect(children["Participant-12"], ear, "P_gen[W]", "Q_gen[var]")

    run_world(organs.world(silent, StopRequest()), 900, 900, 12 * 900, attach)
    organs.recorder.write()
    folder.finish("finished")
    result = RunResult(tmp_path / "out")
    v = np.array(result.table("grid_states").to_pydict()["v_pu"])
    people = result.table("participants").to_pandas()
    mine = people[people["participant"] == "load 12"]
    assert [t for t, _ in heard] == [0, 3600, 7200]
    for time, given in heard:
        k = time // 900
        assert next(iter(given["Vm[pu]"].values())) == pytest.approx(v[k, 14], abs=1e-6)
        assert next(iter(given["P_gen[W]"].values())) == mine["p_gen_w"].iloc[k]
        assert next(iter(given["Q_gen[var]"].values())) == mine["q_gen_var"].iloc[k]


def test_a_world_that_ends_early_is_an_aborted_run(street_file, tmp_path, monkeypatch, capsys):
    """A remote simulator that dies ends a mosaik run without a word."""
    import twin.world

    def half(organs, interval_s, step_s, until_s, attach=None):
        run_world(organs, interval_s, step_s, until_s // 2, attach)

    monkeypatch.setattr(twin.world, "run_world", half)
    assert main(["run", str(street_file), "--out", str(tmp_path / "a")]) == 4
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "the run ended after interval 5, asked for 11" in out + err
    result = RunResult(tmp_path / "a")
    assert (result.verdict, result.exit_code, result.manifest["status"]) == ("aborted", 4, "failed")
    assert "IncompleteRunError" in result.manifest["failure"]
    assert result.table("intervals").num_rows == 6
    assert not (result.folder / "verdict.json").exists()


def test_an_error_inside_a_simulator_is_not_swallowed(street_file, tmp_path, monkeypatch, capsys):
    """A bug must not look like a result: the folder says failed, the exit code aborted."""
    import tempfile

    from twin.plant import Plant

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    step = Plant.step

    def broken(self, devices):
        if devices.step == 7:
            raise ZeroDivisionError("deep inside")
        return step(self, devices)

    monkeypatch.setattr(Plant, "step", broken)
    assert main(["run", str(street_file), "--out", str(tmp_path / "a")]) == 4
    err = capsys.readouterr().err
    assert "Traceback" not in err and "deep inside" in err and "Task" not in err
    result = RunResult(tmp_path / "a")
    assert result.manifest["status"] == "failed"
    assert result.table("intervals")["interval"].to_pylist() == list(range(7))
