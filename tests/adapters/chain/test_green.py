"""Certificates of a run folder: whole Wh, once, from a final batch's readings, and not one more."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.chain import green
from adapters.chain.cli import main
from adapters.chain.embedded import EmbeddedChain
from adapters.chain.green import GreenRun
from adapters.chain.options import Device
from adapters.chain.readings import MeterReading, readings_root
from adapters.chain.typed import account_id

START_S = 1_453_114_800
OTHER = "0x" + "4" * 40


KINDS = {"a": "pv", "b": "house", "c": "house", "c.pv": "pv", "c.battery": "battery"}


def energies(day, k):
    """Exported and imported Wh: c's battery stores 50 Wh an interval on the first day, and gives 30 on the second."""
    given = min(30, 100 * k) if day else 0
    stored = 0 if day else 50
    return {
        "a": (100 * k, 7),
        "b": (0, 7),
        "c": (100 * k, 0),
        "c.pv": (100 * k - given + stored, 0),
        "c.battery": (given, stored),
    }


@pytest.fixture
def run(tmp_path, recorded):
    """A copy of the recorded run."""
    return shutil.copytree(recorded, tmp_path / "run")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, make_batch):
    """Two final batches of three houses over an hour each; c has a battery behind its meter."""
    devices = [Device(n, kind, 5000, 810_000, f"0x{i:040x}") for i, (n, kind) in enumerate(KINDS.items(), 1)]
    chain, rows = EmbeddedChain("street", START_S, devices=devices), []
    for day in range(2):
        begin_s = START_S + day * 3600
        leaves = [
            MeterReading(name, begin_s + 900 * k, begin_s + 900 * (k + 1), exported, imported)
            for k in range(4)
            for name, (exported, imported) in energies(day, k).items()
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
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "chain.json").write_text(json.dumps(chain.history()))
    (folder / "manifest.json").write_text(json.dumps({"interval_s": 900}))
    pq.write_table(pa.Table.from_pylist(rows), folder / "readings.parquet")
    return folder


def certificates(run, *arguments):
    return main(["certificates", str(run), *arguments])


def test_claimed_once_retired_and_given_away_over_several_commands(run, capsys):
    assert certificates(run) == 0
    assert "a  metered 1200 Wh  certified 0 Wh" in capsys.readouterr().out
    assert not (run / "certificates.json").exists()  # looking changes nothing
    assert certificates(run, "--claim") == 0
    out = capsys.readouterr().out
    assert (
        "claimed 20 readings" in out  # 6 of a, 7 of the plant, 4 that charged the battery and 3 that it gave
        and "a  metered 1200 Wh  certified 1200 Wh  held 1200 Wh  retired 0 Wh" in out
    )
    assert (
        "c  metered 1200 Wh  certified 0 Wh  held 0 Wh  retired 0 Wh  certified behind this meter: c.pv, c.b"
        in out
    )
    assert "\nb  " not in out
    assert certificates(run, "--claim") == 0
    assert "claimed 0 readings" in capsys.readouterr().out
    assert certificates(run, "--asset", "a", "--retire", "250", "--purpose", "charging") == 0
    assert certificates(run, "--asset", "a", "--transfer", "50", "--to", OTHER) == 0
    assert "certified 1200 Wh  held 900 Wh  retired 250 Wh" in capsys.readouterr().out


def test_a_certificate_follows_the_energy_through_the_battery_and_no_wh_is_used_twice(
    run, capsys, monkeypatch
):
    monkeypatch.setattr(green, "PER_STORE", 3)  # four charged it: in two transactions
    assert certificates(run, "--claim", "--asset", "c.battery") == 0
    out = capsys.readouterr().out
    assert (
        "c.pv  metered 1310 Wh  certified 1310 Wh  held 1110 Wh  retired 0 Wh  200 Wh followed the energy"
        in out
    )
    assert (
        "c.battery  metered 90 Wh  certified 90 Wh  held 90 Wh" in out
        and "a  metered 1200 Wh  certified 0 Wh" in out
    )
    again = GreenRun(run, "", None, False)
    stored_wh = again.green.read("storedWh", account_id("c.battery"))
    again.close()
    assert stored_wh == 200 - 3 * 38, "30 Wh out at 81 % consume 38"
    assert certificates(run, "--claim", "--asset", "c.pv") == 0
    assert "claimed 0 readings" in capsys.readouterr().out
    assert certificates(run, "--asset", "c.battery", "--retire", "90", "--purpose", "an evening's light") == 0
    assert "c.battery  metered 90 Wh  certified 90 Wh  held 0 Wh  retired 90 Wh" in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_given_away_before_cannot_be_stored(run, capsys):
    """Certificates that left before they were stored: the battery's output is bounded by what is left."""
    owner = GreenRun(run, "", None, False)
    owner._follow = lambda battery: 0
    owner.claim("c.pv")
    owner.transfer("c.pv", 1310 - 40, OTHER)  # 40 Wh of the last intervals stay
    owner.close(keep=True)
    assert certificates(run, "--claim") == 0
    assert "c.battery  metered 90 Wh  certified 0 Wh" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--asset", "a", "--retire", "5", "--purpose", "x"], "5 Wh of a: 0 Wh are held"),
        (["--retire", "5"], "--retire needs --asset"),
        (["--asset", "a", "--retire", "5"], "needs --purpose"),
        (
            ["--asset", "c", "--claim"],
            "'c' is no PV plant or battery in the registry; there are: a, c.pv, c.battery",
        ),
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
