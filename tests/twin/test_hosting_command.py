"""`twin hosting` from the command line: numbers that a placement-by-placement power flow confirms."""

import json

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from twin.cli import main
from twin.commands.hosting import baseline
from twin.gate.limits import Limits
from twin.prepare import prepare
from twin.scenario.load import load_scenario


@pytest.fixture
def street(tmp_path, street_text, write_day_profiles):
    write_day_profiles(tmp_path / "profiles.csv")
    path = tmp_path / "s.yaml"
    path.write_text(street_text())
    return path


def test_chargers_hosted_are_what_pandapower_says_too(street, capsys):
    arguments = ["hosting", str(street), "--what", "ev", "--power-w", "11000", "--placements", "20"]
    assert main([*arguments, "--gate-placements", "0", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    found = record["without_gate"]
    low, high = found["mean_ci95_w"]
    assert low < found["mean_w"] < high
    assert found["hosted_by_95_percent_w"] <= found["mean_w"] < found["most_w"]
    assert sum(found["binding"].values()) == 20 - found["all_hosted_count"]

    run = prepare(load_scenario(street)).runs["main"]

    class Asked:
        what, at = "ev", record["interval"]

    _, p_w, q_var = baseline(run, Asked)
    engine = make_engine(run.feeder, "pandapower")
    limits = Limits.from_section(run.feeder, run.scenario.limits)
    n = len(p_w)
    hosted = []
    rng = np.random.default_rng(1)
    for _ in range(20):
        order, count = rng.permutation(n), 0
        for number in range(1, n + 1):
            loaded = p_w.copy()
            loaded[order[:number]] -= 11000
            if not limits.within(engine.solve(loaded[None], q_var[None]))[0]:
                break
            count = number
        hosted.append(count * 11000.0)
    # other placements, another engine: the means agree within what twenty placements allow
    spread = 3 * np.std(hosted) / np.sqrt(20) + (high - low)
    assert np.mean(hosted) == pytest.approx(found["mean_w"], abs=max(spread, 11000 / 2))


def test_the_hardest_interval_is_taken_unless_one_is_asked_for(street):
    run = prepare(load_scenario(street)).runs["main"]

    class Asked:
        what, at = "ev", None

    class Second(Asked):
        at = 2

    hardest, p_w, _ = baseline(run, Asked)
    assert baseline(run, Second)[0] == 2
    assert all(
        p_w.sum() <= baseline(run, type("K", (Asked,), {"at": k}))[1].sum()
        for k in range(run.scenario.n_intervals)
    )
    assert hardest == int(
        np.argmin([baseline(run, type("K", (Asked,), {"at": k}))[1].sum() for k in range(24)])
    )


@pytest.mark.parametrize("wrong", [["--power-w", "0"], ["--placements", "-1"], ["--at", "9999"]])
def test_wrong_numbers_are_refused(street, capsys, wrong):
    assert main(["hosting", str(street), *wrong]) == 2
    assert wrong[0] in capsys.readouterr().err


def test_the_table_shows_both_with_and_without_the_gate(street, capsys):
    assert main(["hosting", str(street), "--placements", "10", "--gate-placements", "2"]) == 0
    text = capsys.readouterr().out
    assert "without the gate: 10 placements" in text and "with the gate: 2 placements" in text
