"""Oracles in whole runs: honest meters change nothing, each fault is named, and money follows the truth."""

import json

import pytest

from adapters.chain.reconcile import reconcile
from twin import load_scenario
from twin.cli import main
from twin.prepare import prepare
from twin.report import words
from twin.report.oracles import oracles_context
from twin.report.render import write_report
from twin.scenario.problems import ScenarioError

SELLER = "load 2"  # has a battery that sells in the evening
BEGIN, LENGTH = 3600, 7200


def fault(kind, **keys):
    return {"target": f"{SELLER}.meter", "kind": kind, "at_s": BEGIN, "for_s": LENGTH, **keys}


def bills(result):
    people = result.table("participants").to_pandas()
    return people.groupby("participant")["bill_micro"].sum()


def test_honest_meters_are_agreed_with_and_nothing_else_changes(run_street, gated):
    result = run_street(settlement={"chain": "none", "oracles": {}})
    changed = {k for k, v in result.kpis.items() if v != gated.kpis[k]}
    assert {k for k in changed if not k.startswith("oracle_")} == set()
    assert result.kpis["oracle_agreed_count"] == result.kpis["oracle_readings_count"] == 24 * 13
    assert result.kpis["oracle_false_alarms_count"] == 0 and result.table("oracles").num_rows == 0
    assert (bills(result) == bills(gated)).all()
    check = next(c for c in result.checks if c["name"] == "oracles")
    assert (check["verdict"], check["judged"]) == ("pass", False)


@pytest.mark.parametrize(
    ("kind", "keys", "named", "rows"),
    [
        ("meter_lie", {"factor": 3.0}, "lying", 8),
        ("meter_frozen", {}, "frozen", 8),
        ("meter_silent", {}, "silent", 9),
        ("meter_replay", {"lag_s": 1800}, "replaying", 9),
    ],
)
def test_a_fault_is_named_within_an_interval_and_every_trade_settled_once(
    run_street, gated, kind, keys, named, rows
):
    chain = "embedded" if kind == "meter_lie" else "none"  # the chain sees no difference between faults
    result = run_street(
        faults=[fault(kind, **keys)],
        settlement={"chain": chain, "batch_s": 3600, "oracles": {"resolve_after_h": 1}},
    )
    (record,) = result.verdict_record["oracles"]["faults"]
    assert (record["named_as"], record["named_right"], record["after_s"]) == (named, True, 900)
    table = result.table("oracles").to_pandas()
    assert len(table) == rows and (table["status"] == "held").all() and (table["participant"] == SELLER).all()
    assert (table["interval"].iloc[:8] == range(4, 12)).all() and (
        table["resolved_interval"] - table["interval"] == 4
    ).all()
    assert result.kpis["oracle_open_count"] == result.kpis["oracle_false_alarms_count"] == 0
    assert result.kpis["money_sum_micro"] == 0
    # what the log says is the truth but for its noise; a few Wh of supplier energy per interval
    apart = (bills(result) - bills(gated)).abs()
    assert 0 < apart[SELLER] < rows * 30 * 320 and apart.drop(SELLER).max() == 0
    if chain == "embedded":
        findings = reconcile(result.folder)
        assert all(f.agrees for f in findings), findings
        assert f"{rows} readings were held and decided" in findings[-1].detail
        signed = next(f.detail for f in findings if "devices signed" in f.what)
        # 13 connection points and two more meters at each of the two with PV and a battery, in six batches
        assert signed == f"{6 * (13 + 4)} signatures"
        told_in_the_report(result, table)


def told_in_the_report(result, table):
    times = result.table("intervals")["time"].to_pylist()
    told = oracles_context(result, times, "EUR")
    assert told["faults"] == [
        {
            "participant": SELLER, "what": "lies", "from": words.duration(BEGIN), "length": words.duration(LENGTH),
            "after": words.duration(900), "named": "lying", "good": True, "held": "8", "outvoted": "0",
        }
    ]  # fmt: skip
    assert [row["status"] for row in told["rows"]] == ["held"] * 8 and told["open"] == 0
    first = told["rows"][0]
    assert first["decided"].endswith("rule: grid log") and first["settled"] == words.energy(
        int(table["settled_wh"][0])
    )
    assert told["trades"]["accepted"] == told["trades"]["chain"], "every sale came to the chain"
    page = write_report(result.folder).read_text()
    assert "Whose meters were believed" in page and "Meters that went wrong" in page


def test_without_oracles_money_follows_the_lie(run_street, gated):
    result = run_street(faults=[fault("meter_lie", factor=3.0)])
    apart = bills(result) - bills(gated)
    assert apart[SELLER] < -500_000 and apart.drop(SELLER).abs().max() == 0
    assert result.kpis["oracle_held_count"] is None and result.verdict_record["oracles"] is None


@pytest.mark.slow
def test_what_is_still_held_at_the_end_is_said(run_street):
    result = run_street(
        faults=[fault("meter_silent")], settlement={"chain": "embedded", "oracles": {"resolve_after_h": None}}
    )
    assert result.kpis["oracle_open_count"] == 9
    check = next(c for c in result.checks if c["name"] == "oracles")
    assert check["verdict"] == "inconclusive" and "9 of them still at the end" in check["detail"]
    findings = reconcile(result.folder)
    assert all(f.agrees for f in findings) and " 0 sales are still held" not in findings[-1].detail


@pytest.mark.slow
def test_a_trade_that_was_taken_out_of_its_batch_is_missed(run_street, tmp_path):
    import pyarrow.parquet as pq

    result = run_street(
        faults=[fault("meter_lie", factor=3.0)],
        settlement={"chain": "embedded", "oracles": {"resolve_after_h": 1}},
    )
    path = result.folder / "trades.parquet"
    trades = pq.read_table(path)
    rows = enumerate(trades.to_pylist())
    sale = next(i for i, row in rows if row["participant"] == SELLER and row["side"] == "sell")
    pq.write_table(trades.slice(0, sale).combine_chunks().cast(trades.schema), path)
    assert not reconcile(result.folder)[-1].agrees


def test_wrong_keys_are_told_all_at_once(street_text, write_day_profiles, tmp_path):
    write_day_profiles(tmp_path / "profiles.csv")
    oracles = {
        "arbitration": [
            {"participant": "load 99", "at_s": 3600, "take": "meter"},
            {"participant": SELLER, "at_s": 10**6, "take": "trades"},
        ]
    }
    (tmp_path / "s.yaml").write_text(street_text(settlement={"oracles": oracles}))
    with pytest.raises(ScenarioError) as caught:
        prepare(load_scenario(tmp_path / "s.yaml"))
    texts = [str(p) for p in caught.value.problems]
    assert len(texts) == 2 and "load 99" in texts[0] and "lies outside of the run" in texts[1]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("settlement.oracles.quorum=1", "quorum"),
        ("settlement.oracles.tolerance_wh=-1", "tolerance_wh"),
        ("settlement.oracles.quorums=2", "quorum"),
        ("settlement.imbalance.payer=nobody", "causer"),
        ("settlement.balances.opening_eur=lots", "opening_eur"),
    ],
)
def test_wrong_values_are_refused_with_exit_2(
    street_text, write_day_profiles, tmp_path, capsys, setting, words
):
    write_day_profiles(tmp_path / "profiles.csv")
    (tmp_path / "s.yaml").write_text(street_text())
    code = main(["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "--set", setting, "--json"])
    out = capsys.readouterr()
    assert code == 2 and words in out.out + out.err and not (tmp_path / "out").exists()
    assert json.loads(out.out)["exit_code"] == 2
