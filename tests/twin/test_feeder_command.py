"""``twin feeder``: what is said, drawn and written, and that engines which disagree are an exit code."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from adapters.grid.engine import AS_PLANNED, ModelError
from twin import shipped_feeders
from twin.cli import main
from twin.commands.feeder import _lines

STREET = "pandapower:create_kerber_landnetz_freileitung_1"


def test_phases_limits_with_origin_and_engines_are_told(capsys):
    assert main(["feeder", STREET, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["phases"] == {"abc": 13} and facts["buses"] == facts["rows"]
    assert set(facts["engines"]) == {"power_grid_model", "pandapower", "opendss"}
    assert all(limit["origin"] == f"the case ({STREET})" for limit in facts["limits"])
    assert main(["feeder", STREET]) == 0
    printed = capsys.readouterr().out
    assert "limit: line rating" in printed and "OpenDSS is at most" in printed
    assert (
        facts["nominal_loading_max_element"] in printed and "losses" in printed and " elements" not in printed
    )


def test_a_case_without_ratings_has_none_in_json_and_in_words(capsys):
    assert main(["feeder", "pandapower:case33bw", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["limits"][0]["low"] is None and facts["limits"][0]["elements"] == 0
    assert "  limit: line rating: none of 32 has one" in _lines(facts, names=False)


def test_the_drawing_has_every_bus_and_branch_and_the_file_is_read_again(tmp_path, capsys):
    svg, dss = tmp_path / "a.svg", tmp_path / "a.dss"
    assert main(["feeder", STREET, "--svg", str(svg), "--dss", str(dss), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    root = ElementTree.parse(svg).getroot()
    marks = [e.tag.rpartition("}")[2] for e in root]
    assert marks.count("circle") == facts["buses"]
    assert marks.count("line") == facts["lines"] + facts["transformers"]
    at = np.array([[float(e.get("cx")), float(e.get("cy"))] for e in root if e.tag.endswith("circle")])
    assert (at >= 0).all() and (at <= (1000, 700)).all() and len(np.unique(at, axis=0)) > facts["buses"] / 2
    assert "read again it differs by at most" in facts["written"][1]
    assert main(["feeder", str(dss)]) == 0, "its own file is a feeder"


@pytest.fixture
def nothing_kept():
    """No feeder of this process is known before, and none is afterwards."""
    shipped_feeders.forget()
    yield
    shipped_feeders.forget()


@pytest.mark.usefixtures("nothing_kept")
def test_engines_that_disagree_are_named_and_exit_with_1(capsys, monkeypatch):
    import adapters.grid.compare as module

    made = module.make_engine

    def wrong(feeder, name, error=AS_PLANNED):
        return made(
            feeder, name, ModelError(line_impedance_factor=1.01) if name == "power_grid_model" else error
        )

    monkeypatch.setattr(module, "make_engine", wrong)
    assert main(["feeder", STREET]) == 1
    assert "DISAGREE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--dss", "x.txt"), "must end in .dss"), (("--dss", "no/such/x.dss"), "no such folder"),
     (("--svg", "no/such/x.svg"), "no such folder")],
)  # fmt: skip
def test_where_it_cannot_write_is_said(arguments, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["feeder", STREET, *arguments]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "code",
    [
        "LV-rural1--1",
        "MV-comm--0",
        "MVLV-rural-4.101-1",
        "HV-urban--0",
        "HVMV-mixed-1.105-0",
        "MVLV-urban-all-1",
    ],
)
def test_simbench_of_every_class_is_solved_by_engines_that_agree(code, capsys):
    """The last one has 10,464 buses; at twice its load Newton's method ends on a collapsed solution."""
    assert main(["feeder", f"simbench:1-{code}-sw", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["engines_agree"] and facts["buses"] > 10
    assert len(facts["agreement"]) >= 2 and not any("DISAGREE" in each for each in facts["agreement"])
    assert 0.85 < facts["nominal_v_min_pu"] < facts["nominal_v_max_pu"] < 1.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "why"), [("EHV-mixed--1", "dcline"), ("EHV-mixed--0", "voltage-controlled generators")]
)
def test_simbench_transmission_grids_are_refused_with_a_reason(code, why, capsys):
    assert main(["feeder", f"simbench:1-{code}-sw"]) == 2
    assert why in capsys.readouterr().err
