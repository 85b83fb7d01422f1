"""Opening, stepping and leaving a bench of emulated devices: determinism, faults, trouble, processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.errors import BenchFileError, RigError
from rigs.open_bench import check_bench, open_bench

BATTERY = RoleSpec("house_1.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("house_2.pv", "pv_inverter", 8000.0)
ROLES = (BATTERY, PV)


def run(path, steps: int = 6, faults=(), p_w: float = 3000.0):
    rows = []
    with open_bench(path, ROLES, seed=3) as bench:
        for role, do, message in faults:
            bench.inject(role, do, **message)
        for k in range(steps):
            commands = {BATTERY.role: Command(p_w - 100 * k), PV.role: Command(4000)}
            rows.append(bench.step(k * 900, 900, commands, {PV.role: Ambient(2000.0 + k)}))
    return rows


def test_two_runs_give_identical_samples(write_bench, bench_text) -> None:
    path = write_bench(bench_text())
    first, second = run(path), run(path)
    assert repr(first) == repr(second)


def test_a_register_corrupted_on_the_wire_changes_the_energy_from_that_time_on(
    write_bench, bench_text
) -> None:
    path = write_bench(bench_text())
    honest = run(path)
    lying = run(path, faults=[(PV.role, "lie", {"scale": 2.0, "from_s": 1800})])
    for k in range(2):
        assert repr(lying[k]) == repr(honest[k])
    grown = [lying[k][PV.role].energy_export_wh - lying[k - 1][PV.role].energy_export_wh for k in range(2, 6)]
    truth = [
        honest[k][PV.role].energy_export_wh - honest[k - 1][PV.role].energy_export_wh for k in range(2, 6)
    ]
    assert grown == pytest.approx([2 * wh for wh in truth], abs=2)
    assert [r[BATTERY.role] for r in lying] == [r[BATTERY.role] for r in honest]


def test_leaving_a_bench_ends_its_processes_and_its_thread(write_bench, bench_text) -> None:
    with open_bench(write_bench(bench_text()), ROLES) as bench:
        processes = [d.emulator.process for d in bench._wired.values()]
        thread = bench._thread
        assert all(p.poll() is None for p in processes)
    assert all(p.poll() is not None for p in processes)
    assert not thread.is_alive()


def test_an_exception_inside_still_makes_safe_and_closes(write_bench, bench_text) -> None:
    with pytest.raises(ZeroDivisionError), open_bench(write_bench(bench_text()), ROLES) as bench:
        bench.step(0, 900, {BATTERY.role: Command(3000)}, {})
        processes = [d.emulator.process for d in bench._wired.values()]
        raise ZeroDivisionError
    assert bench.journal[-1][1]["reason"] == "make safe"
    assert all(p.poll() is not None for p in processes)


def test_a_device_whose_process_dies_ends_the_run_with_its_role(write_bench, bench_text) -> None:
    with pytest.raises(RigError, match=r"house_1\.battery.*ended"):  # noqa: SIM117
        with open_bench(write_bench(bench_text()), ROLES) as bench:
            bench._wired[BATTERY.role].emulator.process.kill()
            bench.step(0, 900, {}, {})


def test_a_taken_port_is_reported_before_anything_starts(write_bench, bench_text) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = bench_text(roles=[BATTERY], extra=f"emulated: {{port: {port}}}")
        path = write_bench(text)
        (problem,) = check_bench(path, ROLES)
        assert f"devices.house_1.battery.emulated.port: {port} is taken" in problem
        with pytest.raises(BenchFileError, match="is taken"):
            open_bench(path, ROLES)


def test_a_given_port_is_the_one_that_listens(write_bench, bench_text) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = bench_text(roles=[BATTERY], extra=f"emulated: {{port: {port}}}")
    with open_bench(write_bench(text), ROLES):
        socket.create_connection(("127.0.0.1", port), 1).close()


def test_in_lockstep_emulators_end_with_a_harness_that_is_killed(write_bench, bench_text) -> None:
    path = write_bench(bench_text())
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from rigs.device import RoleSpec\n"
        "from rigs.open_bench import open_bench\n"
        f"roles = [RoleSpec({BATTERY.role!r}, 'battery', 5e3, 1e4, .5), RoleSpec({PV.role!r}, 'pv_inverter', 8e3)]\n"
        "bench = open_bench(Path(sys.argv[1]), roles)\n"
        "print(*[d.emulator.process.pid for d in bench._wired.values()], flush=True)\n"
        "time.sleep(60)\n"
    )
    harness = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    with harness.stdout:
        pids = [int(p) for p in harness.stdout.readline().split()]
        assert len(pids) == 2
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    deadline = time.monotonic() + 5
    while any(_alive(p) for p in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(p) for p in pids)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_observed_and_shadow_devices_are_read_but_never_written(write_bench, bench_text) -> None:
    for mode in ("observe", "shadow"):
        with open_bench(write_bench(bench_text(mode=mode)), ROLES) as bench:
            sample = bench.step(0, 900, {BATTERY.role: Command(3000)}, {})[BATTERY.role]
            assert sample.quality is Quality.GOOD
            assert sample.p_gen_w == 0  # nothing reached the device
            outcomes = [content["outcome"] for kind, content in bench.journal if kind == "decision"]
            assert outcomes == ([] if mode == "observe" else ["shadow"] * 2)


def test_a_command_beyond_the_limits_is_rejected_latched_and_marks_the_sample(
    write_bench, bench_text
) -> None:
    path = write_bench(bench_text(roles=[BATTERY], extra="limits: {p_gen_w: [-2000, 2000]}"))
    with open_bench(path, ROLES) as bench:
        good = bench.step(0, 900, {BATTERY.role: Command(1500)}, {})[BATTERY.role]
        assert good.quality is Quality.GOOD
        bad = bench.step(900, 900, {BATTERY.role: Command(2500)}, {})[BATTERY.role]
        assert bad.quality is Quality.BAD
        assert "2500 W lies outside -2000.0 .. 2000.0 W" in bad.note
        after = bench.step(1800, 900, {BATTERY.role: Command(1000)}, {})[BATTERY.role]
        assert "latched" in after.note
        assert after.p_gen_w == pytest.approx(1500, abs=1)  # held, not clamped


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_that_cannot_be_written_ends_the_run_and_devices_are_still_made_safe(
    write_bench, bench_text, tmp_path
) -> None:
    path = write_bench(bench_text(roles=[BATTERY]))
    with (
        pytest.raises(RigError, match=r"the log cannot be written \(No space left on device\); the run ends"),
        open_bench(path, [BATTERY], record=tmp_path / "log") as bench,
    ):
        bench.step(0, 900, {BATTERY.role: Command(1000)}, {})
        bench.log._file.close()
        bench.log._file = Path("/dev/full").open("w")  # noqa: SIM115 - the bench closes it
        for k in range(1, 4):
            bench.step(900 * k, 900, {BATTERY.role: Command(1000 + k)}, {})
    made = bench.journal[-1][1]
    assert (made["reason"], made["outcome"]) == ("make safe", "sent")
