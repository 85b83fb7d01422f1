"""Certificates of a run folder: whole Wh, once, from a final batch's readings, and not one more."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.chain.cli import main
from adapters.chain.embedded import EmbeddedChain
from adapters.chain.readings import MeterReading, readings_root

START_S = 1_453_114_800
OTHER = "0x" + "4" * 40


@pytest.fixture
def run(tmp_path, make_batch):
    """Two final batches of three houses over an hour each; c has a battery behind its meter."""
    chain, rows = EmbeddedChain("street", START_S), []
    for day in range(2):
        begin_s = START_S + day * 3600
        leaves = [
            MeterReading(name, begin_s + 900 * k, begin_s + 900 * (k + 1), 100 * k if name != "b" else 0, 7)
            for k in range(4)
            for name in "abc"
        ]
        batch = replace(
            make_batch(day),
            period_start_s=begin_s,
            period_end_s=begin_s + 3600,
            readings_root=readings_root(leaves),
        )
        chain.submit(batch)
        rows += [{"batch_end_s": begin_s + 3600, **vars(leaf)} for leaf in leaves]
    assert [receipt.status for receipt in chain.drain()] == ["final"] * 2
    (tmp_path / "chain.json").write_text(json.dumps(chain.history()))
    (tmp_path / "manifest.json").write_text(json.dumps({"interval_s": 900}))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "readings.parquet")
    people = [{"participant": name, "soc": 0.5 if name == "c" else None} for name in "abc"]
    pq.write_table(pa.Table.from_pylist(people), tmp_path / "participants.parquet")
    return tmp_path


def certificates(run, *arguments):
    return main(["certificates", str(run), *arguments])


def test_claimed_once_retired_and_given_away_over_several_commands(run, capsys):
    assert certificates(run) == 0
    assert "a  metered 1200 Wh  certified 0 Wh" in capsys.readouterr().out
    assert not (run / "certificates.json").exists()  # looking changes nothing
    assert certificates(run, "--claim") == 0
    out = capsys.readouterr().out
    assert (
        "claimed 6 readings" in out
        and "a  metered 1200 Wh  certified 1200 Wh  held 1200 Wh  retired 0 Wh" in out
    )
    assert "c  metered 1200 Wh  certified 0 Wh  held 0 Wh  retired 0 Wh  not claimed" in out
    assert "\nb  " not in out
    assert certificates(run, "--claim") == 0
    assert "claimed 0 readings" in capsys.readouterr().out
    assert certificates(run, "--asset", "a", "--retire", "250", "--purpose", "charging") == 0
    assert certificates(run, "--asset", "a", "--transfer", "50", "--to", OTHER) == 0
    assert "certified 1200 Wh  held 900 Wh  retired 250 Wh" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--asset", "a", "--retire", "5", "--purpose", "x"], "5 Wh of a: 0 Wh are held"),
        (["--retire", "5"], "--retire needs --asset"),
        (["--asset", "a", "--retire", "5"], "needs --purpose"),
        (["--asset", "c", "--claim"], "'c' is no PV plant in the registry; there are: a"),
        (["--asset", "a", "--transfer", "5", "--to", "0x1"], "is no address"),
    ],
)
def test_what_cannot_be_done_is_said(run, capsys, arguments, said):
    assert certificates(run, *arguments) == 2
    assert said in capsys.readouterr().err


def test_changed_readings_and_a_changed_chain_are_noticed(run, capsys):
    rows = pq.read_table(run / "readings.parquet").to_pylist()
    rows[3]["exported_wh"] += 1
    pq.write_table(pa.Table.from_pylist(rows), run / "readings.parquet")
    assert certificates(run, "--claim") == 2
    assert "readings.parquet was changed: the batch that ends at 1453118400 s" in capsys.readouterr().err
    rows[3]["exported_wh"] -= 1
    pq.write_table(pa.Table.from_pylist(rows), run / "readings.parquet")
    assert certificates(run, "--claim") == 0
    kept = json.loads((run / "certificates.json").read_text())
    kept["blocks"][0]["time_s"] += 1
    (run / "certificates.json").write_text(json.dumps(kept))
    assert certificates(run) == 2
    assert "the recorded chain was changed" in capsys.readouterr().err
    (run / "readings.parquet").unlink()
    assert certificates(run) == 2
    assert "kept no readings" in capsys.readouterr().err
