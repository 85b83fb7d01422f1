"""Every shipped scenario runs and keeps the story its header tells."""

import json
from pathlib import Path

import pytest

from twin.cli import main
from twin.results import RunResult

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
STORIES = {
    "winter_evening.yaml",
    "evening_rush_ungated.yaml",
    "evening_rush_gated.yaml",
    "inverters_and_taps.yaml",
    "heat_pumps.yaml",
}
"""Those that have a test of their own; of inverters and taps: ``test_inverters_scenario``."""
ABOUT_THE_CHAIN = {name for name in FILES if "chain" in (FOLDER / name).read_text()}
NO_CHAIN = ("--set", "settlement.chain=none")
"""A chain is a process that imports for two seconds: quick tests leave it out where a scenario is about other things."""


def run(name, out, capsys, *arguments):
    code = main(
        ["run", str(FOLDER / name), "--out", str(out), "--json", "--set", "outputs.report=false", *arguments]
    )
    printed, err = capsys.readouterr()
    assert err == "", err
    answer = json.loads(printed)
    assert answer["exit_code"] == code
    return code, RunResult(out)


@pytest.mark.parametrize("name", FILES)
def test_every_scenario_explains_itself(name):
    text = (FOLDER / name).read_text()
    assert text.startswith("# ") and f"twin run scenarios/{name}" in text
    assert f"name: {name.removesuffix('.yaml')}" in text


def test_the_list_of_scenarios_is_whole():
    listed = (FOLDER / "README.md").read_text()
    assert [name for name in FILES if name not in listed] == []


@pytest.mark.parametrize("name", sorted(set(FILES) - STORIES))
def test_every_scenario_runs(name, tmp_path, capsys):
    chain = () if name in ABOUT_THE_CHAIN else NO_CHAIN
    code, result = run(name, tmp_path / "out", capsys, "--set", "duration_days=0.25", *chain)
    assert code == 0, result.verdict_record.get("sentence")
    assert result.manifest["status"] == "finished"
    assert result.kpis["money_sum_micro"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(FILES) - ABOUT_THE_CHAIN))
def test_every_scenario_settles_on_the_chain_it_ships_with(name, tmp_path, capsys):
    code, result = run(name, tmp_path / "out", capsys, "--set", "duration_days=0.0625")
    assert code == 0, result.verdict_record.get("sentence")
    assert result.kpis["batches_count"] >= 1
    money = next(c for c in result.checks if c["name"] == "money")
    assert money["detail"] == "ledger and chain sum to zero and agree per account"


def test_the_evening_rush_fails_without_a_gate_and_names_who(tmp_path, capsys):
    code, result = run("evening_rush_ungated.yaml", tmp_path / "out", capsys, *NO_CHAIN)
    assert (code, result.verdict) == (1, "fail")
    assert "Fail: the trades of" in result.verdict_record["sentence"]
    violations, shares = (result.table(t).to_pandas() for t in ("violations", "shares"))
    assert (violations["cause"] == "trades").any() and (violations["status"] == "violated").all()
    assert (shares["share_of_excess"] > 0).any()
    assert (
        len(
            result.verdict_record["worst_bus"]["responsible"]
            + result.verdict_record["worst_branch"]["responsible"]
        )
        >= 3
    )
    cars = set(result.table("participants").to_pandas().query("ev_w > 0")["participant"])
    worst = (
        result.verdict_record["worst_bus"]["responsible"]
        + result.verdict_record["worst_branch"]["responsible"]
    )
    blamed = [r["participant"] for r in worst if r["share"] > 0]
    assert blamed and set(blamed) <= cars, "cars at the far end are behind it"
    assert sum(r["share"] < 0 for r in worst) <= 2, "at most one relief for the bus and one for the branch"


def test_the_gate_saves_the_evening_and_shows_its_price(tmp_path, capsys):
    code, result = run("evening_rush_gated.yaml", tmp_path / "out", capsys, *NO_CHAIN)
    assert (code, result.verdict) == (0, "pass")
    assert result.kpis["averted_count"] > 0 and result.kpis["cut_wh"] > 0
    assert result.kpis["violated_by_trades_count"] == 0
    violations = result.table("violations").to_pandas()
    assert (violations["status"] == "averted").any()


def test_one_winter_evening(tmp_path, capsys):
    code, result = run("winter_evening.yaml", tmp_path / "out", capsys)
    assert (code, result.verdict) == (0, "pass")
    supplier, local = result.variant("supplier"), result.variant("local")
    assert supplier.verdict == "fail"
    assert result.kpis["averted_count"] > 0 and result.kpis["cut_wh"] > 0
    # trades on the street relieve the transformer that the supplier's energy overloads
    loading = [
        r.table("intervals").to_pandas().iloc[24:40]["trafo_loading_max_percent"].max()
        for r in (supplier, local)
    ]
    assert loading[0] > 100 and loading[1] < loading[0]
    assert local.kpis["local_traded_wh"] > 0 == supplier.kpis["local_traded_wh"]
    # three devices behind sockets, all of them heard
    roles = result.manifest["devices"]["roles"]
    assert len(roles) == 3 and all(r["wire_samples"] == 96 and r["bad_samples"] == 0 for r in roles)
    money = next(c for c in result.checks if c["name"] == "money")
    assert (money["verdict"], money["detail"]) == (
        "pass",
        "ledger and chain sum to zero and agree per account",
    )
    assert result.kpis["batches_count"] == 1
    loads = [r.kpis["load_wh"] for r in (result, supplier, local)]
    assert loads[0] == loads[1] == loads[2], "the same houses on the same evening"


def test_heat_pumps_wait_store_and_are_cut_and_nobody_goes_without_heat(tmp_path, capsys):
    code, result = run("heat_pumps.yaml", tmp_path / "out", capsys, *NO_CHAIN)
    assert (code, result.verdict) == (0, "pass")
    free, gated = result.variant("free").kpis, result.kpis
    assert result.variant("free").verdict == "fail" and free["transformer_loading_max_percent"] > 120
    assert gated["cut_wh"] > 0 == free["cut_wh"] and gated["heat_pump_wh"] < free["heat_pump_wh"]
    assert gated["heat_unserved_wh"] == 0 < gated["heat_comfort_lost_h"] < 3, (
        "the cut costs comfort, not heat"
    )
    table = result.table("heat_pumps").to_pandas()
    assert set(table["sg_state"]) == {1, 2, 3, 4}
    roles = {r["role"].rpartition(".")[2]: r for r in result.manifest["devices"]["roles"]}
    assert set(roles) == {"heat_pump", "heat_meter"}
    assert all(r["wire_samples"] == 18 and r["bad_samples"] == 0 for r in roles.values())
