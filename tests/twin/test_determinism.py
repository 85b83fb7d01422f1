"""The same scenario and seed: identical trades and KPIs, whatever the hash seed, emulated devices on. And the wire."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twin.results import RunResult
from twin.tables import TABLES

ROOT = Path(__file__).parents[2]
BENCH = """\
bench: pair
devices:
  load 0.battery: {driver: DRIVER, mode: armed, safe: {p_set_w: 0}, reversion_s: 7200}
  load 4.pv: {driver: DRIVER, mode: armed, safe: {p_set_w: 0}, reversion_s: 7200}
"""
KEYS = {"start": "2016-01-18T14:00:00+01:00", "duration_days": 0.25}


@pytest.fixture(scope="module")
def bench_file(tmp_path_factory):
    def write(driver):
        path = tmp_path_factory.mktemp("bench") / "bench.yaml"
        path.write_text(BENCH.replace("DRIVER", driver) if driver != "memory" else
                        BENCH.replace("DRIVER, mode: armed, safe: {p_set_w: 0}, reversion_s: 7200", "memory"))  # fmt: skip
        return path

    return write


@pytest.fixture(scope="module")
def emulated(run_street, bench_file):
    return run_street(bench=bench_file("emulated"), **KEYS)


@pytest.fixture(scope="module")
def other_process(tmp_path_factory, street_text, write_day_profiles, bench_file):
    """The same run in another process, with a hash seed that is not ours and nothing that ran before it."""
    folder = tmp_path_factory.mktemp("other")
    write_day_profiles(folder / "profiles.csv")
    (folder / "s.yaml").write_text(street_text(**KEYS))
    command = [sys.executable, "-m", "twin", "run", str(folder / "s.yaml"), "--quiet"]
    command += ["--bench", str(bench_file("emulated")), "--out", str(folder / "out")]
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return RunResult(folder / "out")


def test_two_processes_give_the_same_run(emulated, other_process):
    """To the byte; and what ran before in this process leaves nothing behind."""
    a, b = emulated, other_process
    assert (a.folder / "kpis.json").read_bytes() == (b.folder / "kpis.json").read_bytes()
    for table in TABLES:
        if table != "intervals":  # which holds wall-clock times
            name = f"{table}.parquet"
            assert (a.folder / name).read_bytes() == (b.folder / name).read_bytes(), table
    timing = {"gate_ms", "step_ms"}
    keep = [c for c in a.table("intervals").column_names if c not in timing]
    assert a.table("intervals", keep).equals(b.table("intervals", keep))
    assert a.verdict_record == b.verdict_record
    assert a.kpis["wire_samples_count"] > 0


def test_another_seed_gives_another_run(emulated, run_street):
    other = run_street(**KEYS, seed=8)
    assert other.kpis["local_traded_wh"] != emulated.kpis["local_traded_wh"]
    assert not other.table("trades").equals(emulated.table("trades"))


def test_the_report_can_say_what_came_over_the_wire(emulated):
    people = emulated.table("participants").to_pandas()
    assert set(people[people["wire"]]["participant"]) == {"load 0", "load 4"}
    assert (people[people["wire"]].groupby("participant").size() == 24).all()
    roles = {r["role"]: r for r in emulated.manifest["devices"]["roles"]}
    assert set(roles) == {"load 0.battery", "load 4.pv"}
    assert all(r["wire_samples"] == 24 and r["bad_samples"] == 0 for r in roles.values())
    data = next(c for c in emulated.checks if c["name"] == "device_data")
    assert (data["verdict"], data["count"]) == ("pass", 0)


def test_an_emulated_device_does_what_the_model_does(emulated, run_street, bench_file):
    """The same roles in memory and natively: registers round, physics agrees."""
    memory, native = run_street(bench=bench_file("memory"), **KEYS), run_street(**KEYS)
    for result, tolerance_wh in ((memory, 2), (emulated, 60)):
        assert result.kpis["pv_wh"] == pytest.approx(native.kpis["pv_wh"], abs=tolerance_wh)
        assert result.kpis["settled_wh"] == pytest.approx(native.kpis["settled_wh"], rel=0.01)
        assert result.kpis["money_sum_micro"] == 0
    assert memory.kpis["wire_samples_count"] == 0


def test_a_register_corrupted_on_the_wire_changes_the_settled_energy(
    emulated, run_street, bench_file, monkeypatch
):
    """The battery's meter registers only 60 % of what flows, from the second hour on. Money follows the meter."""
    import twin.bench_run

    opened = twin.bench_run.open_bench

    def lying(*arguments, **options):
        bench = opened(*arguments, **options)
        step, told = bench.step, []

        def first_tell_it(*given):
            if not told:
                told.append(bench.inject("load 0.battery", "lie", scale=0.6, from_s=3600.0))
            return step(*given)

        monkeypatch.setattr(bench, "step", first_tell_it)
        return bench

    monkeypatch.setattr(twin.bench_run, "open_bench", lying)
    corrupted = run_street(bench=bench_file("emulated"), **KEYS)
    true_, false = (r.table("trades").to_pandas() for r in (emulated, corrupted))
    for trades, least, most in ((true_, 0.95, 1.0), (false, 0.2, 0.6)):  # its own house takes its part first
        late = trades[
            (trades["participant"] == "load 0") & (trades["side"] == "sell") & (trades["interval"] >= 12)
        ]
        assert late["accepted_wh"].sum() > 5000
        assert (
            least * late["accepted_wh"].sum() <= late["settled_wh"].sum() <= most * late["accepted_wh"].sum()
        )
    before = true_["interval"] < 4
    columns = ["order_id", "accepted_wh", "settled_wh", "money_micro"]
    assert true_[before][columns].equals(false[false["interval"] < 4][columns]), (
        "before the fault all is the same"
    )
    assert corrupted.kpis["settled_wh"] < emulated.kpis["settled_wh"]
    bills = [
        r.table("participants").to_pandas().groupby("participant")["bill_micro"].sum()["load 0"]
        for r in (emulated, corrupted)
    ]
    assert bills[1] > bills[0], "what the meter does not confirm is bought from the supplier"
    assert corrupted.kpis["money_sum_micro"] == 0


def test_a_device_that_falls_silent_makes_the_run_inconclusive_or_aborts_it(
    run_street, bench_file, monkeypatch
):
    """Bad readings are counted and named, never taken for good ones."""
    from dataclasses import replace

    import twin.bench_run
    from rigs.device import Quality

    opened = twin.bench_run.open_bench

    def deaf(*arguments, **options):
        bench = opened(*arguments, **options)
        step = bench.step

        def lose(time_s, *given):
            samples = step(time_s, *given)
            if time_s == 1800:
                samples["load 0.battery"] = replace(samples["load 0.battery"], quality=Quality.BAD)
            return samples

        monkeypatch.setattr(bench, "step", lose)
        return bench

    monkeypatch.setattr(twin.bench_run, "open_bench", deaf)
    result = run_street(bench=bench_file("memory"), **KEYS | {"duration_days": 0.0625})
    data = next(c for c in result.checks if c["name"] == "device_data")
    assert (data["verdict"], data["count"]) == ("inconclusive", 1)
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert (
        next(r for r in result.manifest["devices"]["roles"] if r["role"] == "load 0.battery")["bad_samples"]
        == 1
    )
