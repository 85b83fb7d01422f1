"""``twin chain`` against a node on a socket, and its proofs against a run folder that was tampered with."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.chain.cli import main
from adapters.chain.factory import open_chain
from adapters.chain.port import SettlementBatch
from adapters.chain.rpc import connect
from market.netting import ENTRY_DTYPE, ROUNDING, SUPPLY, TRADE, net

START_S = 1_453_114_800
OWNER, KEY, OTHER = ("0x" + digit * 40 for digit in "123")


@pytest.fixture
def deployed(served, tmp_path, capsys):
    path = tmp_path / "deployment.json"
    arguments = ["--url", served.url, "--development"]
    assert main(["deploy", *arguments, "--market", "street", "--out", str(path)]) == 0
    assert main(["deploy", *arguments, "--market", "street", "--out", str(path)]) == 2
    assert "is not overwritten" in capsys.readouterr().err
    return [*arguments, "--deployment", str(path)]


def add(name, *more, key=KEY, meter="DE001", capacity="9800"):
    return [
        "registry", "add", name, "--owner", OWNER, "--kind", "pv", "--meter-point", meter,
        "--device-key", key, "--capacity", capacity, *more,
    ]  # fmt: skip


def test_the_registry_from_the_shell(deployed, capsys):
    assert main([*add("house_07.pv"), *deployed]) == 0
    configure = [
        "registry",
        "configure",
        "house_07.pv",
        "--capacity",
        "12000",
        "--reason",
        "two more modules",
    ]
    assert main([*configure, *deployed]) == 0
    assert "configured house_07.pv" in capsys.readouterr().out
    assert main(["registry", "show", "house_07.pv", *deployed]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["capacity"], shown["kind"], shown["device_key"]) == (12000, "pv", KEY)
    assert main(["registry", "retire", "house_07.pv", "--reason", "scrap", *deployed]) == 0
    assert main(["registry", "list", *deployed]) == 0
    assert "house_07.pv  pv  12000 W  retired" in capsys.readouterr().out
    assert main(["audit", "house_07.pv", *deployed]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[5] for line in lines] == ["AssetRegistered", "AssetConfigured", "AssetRetired"]
    assert "two more modules" in lines[1] and "scrap" in lines[2]
    assert main(["certificates", *deployed]) == 0


def test_a_registry_entry_twice_and_wrong_input(deployed, capsys):
    assert main([*add("house_07.pv"), *deployed]) == 0
    for arguments, said in [
        (add("house_07.pv", key=OTHER, meter="DE002"), "AssetExists"),
        (add("x", key=OTHER), "MeterPointTaken"),
        (add("x", meter="DE002"), "DeviceKeyTaken"),
        (add("x", key="0x12", meter="DE002"), "is no address"),
        (add("x", key=OTHER, meter="DE002", capacity="0"), "positive number"),
        (["audit", "nothing"], "no asset 'nothing'"),
    ]:
        assert main([*arguments, *deployed]) == 2
        assert said in capsys.readouterr().err


def test_what_is_at_an_address(deployed, served, capsys):
    found = json.loads(Path(deployed[-1]).read_text())
    for address, said in [
        (found["settlement"], "is EnergySettlement"),
        (found["certificates"], "is GreenCertificates"),
    ]:
        assert main(["verify", address, "--url", served.url]) == 0
        assert said in capsys.readouterr().out
    assert main(["verify", OWNER, "--url", served.url]) == 2
    assert "none of our contracts" in capsys.readouterr().err
    served.down()
    assert main(["verify", OWNER, "--url", served.url]) == 2
    assert "start the node" in capsys.readouterr().err


@pytest.fixture
def run(tmp_path):
    """A run folder of two periods with two people, settled on the embedded chain."""
    names = ["a", "b"]
    accounts = [*names, "supplier", "pool"]
    chain = open_chain("embedded", market_id="m", start_s=START_S, in_process=True)
    trades, meters, rows, batches = [], [], [], []
    for interval in range(4):
        trades += [
            trade(interval, 2 * interval, "a", "sell", 100, 25_000),
            trade(interval, 2 * interval + 1, "b", "buy", 100, -25_001),
        ]
        meters += [meter(interval, "a", 130, -25_000 - 2_400), meter(interval, "b", -150, 25_001 + 15_000)]
    for period in range(2):
        entries = np.zeros(8, dtype=ENTRY_DTYPE)
        for i, t in enumerate(trades[4 * period : 4 * period + 4]):
            signed = t["accepted_wh"] if t["side"] == "sell" else -t["accepted_wh"]
            row = (
                names.index(t["participant"]),
                TRADE,
                t["interval"],
                t["order_id"],
                signed,
                t["money_micro"],
            )
            entries[i] = row
        entries[4:] = [
            (0, SUPPLY, 0, 0, 60, 4_800), (1, SUPPLY, 0, 0, -100, -30_000),
            (2, SUPPLY, 0, 0, 0, 25_200), (3, ROUNDING, 0, 0, 0, 2),
        ]  # fmt: skip
        start_s = START_S + period * 1800
        batches.append(SettlementBatch(**vars(net(accounts, entries, "m", start_s, start_s + 1800))))
        chain.submit(batches[-1])
    for batch, receipt in zip(batches, chain.drain(), strict=True):
        rows.append(
            {
                "period_start_s": batch.period_start_s,
                "period_end_s": batch.period_end_s,
                "digest": batch.digest.hex(),
                "root": batch.root.hex(),
                "transaction": receipt.transaction,
                "block_number": receipt.block_number,
                "gas": receipt.gas,
                "status": receipt.status,
            }
        )
    (tmp_path / "chain.json").write_text(json.dumps(chain.history()))
    (tmp_path / "manifest.json").write_text(
        json.dumps({"start": "2016-01-18T11:00:00+00:00", "interval_s": 900})
    )
    for name, table in [("trades", trades), ("participants", meters), ("settlement", rows)]:
        pq.write_table(pa.Table.from_pylist(table), tmp_path / f"{name}.parquet")
    return tmp_path


def trade(interval, order, who, side, wh, money):
    return {
        "interval": interval, "order_id": order, "participant": who, "side": side, "counterparty": "pool",
        "cleared_wh": wh + 5, "accepted_wh": wh, "settled_wh": wh, "money_micro": money,
    }  # fmt: skip


def meter(interval, who, wh, bill):
    return {"interval": interval, "participant": who, "metered_wh": wh, "bill_micro": bill}


def test_an_honest_run_reconciles_from_its_chain(run, capsys):
    assert main(["reconcile", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and all(line.startswith("ok") for line in lines)


def tamper(path, column, row, change):
    table = pq.read_table(path).to_pylist()
    table[row][column] = change(table[row][column])
    pq.write_table(pa.Table.from_pylist(table), path)


@pytest.mark.parametrize(
    ("name", "column", "row", "said"),
    [
        ("trades", "money_micro", 5, "another root"),
        ("trades", "accepted_wh", 2, "another root"),
        ("participants", "metered_wh", 3, "another root"),
        ("participants", "bill_micro", 7, "chain"),
        ("settlement", "gas", 1, "folder"),
        ("trades", "settled_wh", 0, "settled 101 of cleared"),
    ],
)
def test_a_run_that_was_changed_by_one_unit_does_not(run, capsys, name, column, row, said):
    tamper(run / f"{name}.parquet", column, row, lambda value: value + 1)
    assert main(["reconcile", str(run)]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in out and said in out


def test_a_batch_missing_from_the_folder_or_the_chain(run, capsys):
    tamper(run / "settlement.parquet", "digest", 0, lambda value: "00" * 32)
    assert main(["reconcile", str(run)]) == 1
    out = capsys.readouterr().out
    assert "is not on the chain" in out
    assert "WRONG the chain holds no other batch" in out


def test_a_recorded_chain_that_was_changed_is_noticed(run, capsys):
    history = json.loads((run / "chain.json").read_text())
    history["blocks"][-1]["time_s"] += 1
    (run / "chain.json").write_text(json.dumps(history))
    assert main(["reconcile", str(run)]) == 2
    assert "the recorded chain was changed" in capsys.readouterr().err


def test_a_folder_that_is_no_run_and_a_wrong_command(tmp_path, capsys):
    assert main(["reconcile", str(tmp_path)]) == 2
    assert "chain.json cannot be read" in capsys.readouterr().err
    (tmp_path / "chain.json").write_text('{"kind": "none"}')
    (tmp_path / "manifest.json").write_text("{}")
    assert main(["reconcile", str(tmp_path)]) == 2
    assert "settled on no chain" in capsys.readouterr().err
    assert main(["frobnicate"]) == 2


def test_up_serves_the_embedded_chain_to_a_second_process(tmp_path):
    up = subprocess.Popen(
        [sys.executable, "-m", "twin", "chain", "up", "--port", "0", "--start-s", str(START_S), "--fund", OTHER],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert up.stdout is not None
        line = up.stdout.readline()
        url = line.split(" listens on ")[1].split()[0]
        assert line.startswith("embedded, chain 413117, listens on http://127.0.0.1:")
        node = connect(url)
        assert (node.chain_id(), node.now_s()) == (413_117, START_S)
        assert node.balance_wei(OTHER) == 10**24
        for raw in (b"no json", b"[1]", b'{"method": "eth_getCode", "params": []}'):
            answer = json.loads(urlopen(Request(url, data=raw), timeout=60).read())
            assert "error" in (answer[0] if isinstance(answer, list) else answer)
        assert node.chain_id() == 413_117  # it still answers
        node.close()
        assert main(["up", "--port", url.rsplit(":", 1)[1]]) == 4
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(timeout=60) == 4
        up.stdout.close()


def test_up_with_a_wrong_argument(capsys):
    assert main(["up", "--port", "70000"]) == 2
    assert main(["up", "--fund", "0x1"]) == 2
    assert "'0x1' is no address" in capsys.readouterr().err
