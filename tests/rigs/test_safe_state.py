"""Every way out of a harness, proven on a device that outlives it: an emulated PV inverter on wall-clock
time.

The harness is a process of its own that drives the inverter as a real device (driver modbus, armed for a
time).
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rigs.emulator.config import EmulatorConfig
from rigs.emulator_process import EmulatorProcess

SUN_W, LIMIT_W = 8000.0, 2400.0
_PATIENCE_S = 40.0

HARNESS = """
import signal, sys, time
from pathlib import Path
from rigs.device import Command, RoleSpec
from rigs.open_bench import open_bench
path, state, ending = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background inherits it ignored,
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and one under nohup this
roles = [RoleSpec("house_2.pv", "pv_inverter", 8000.0)]
with open_bench(path, roles, arm={"house_2.pv": 60.0}, state=state) as bench:
    print(bench._guard.supervisor.process.pid, flush=True)
    for k in range(600):
        bench.step(k, 1, {"house_2.pv": Command(2400.0)}, {})
        time.sleep(0.05)
        if k == 12 and ending == "exception":
            raise ZeroDivisionError
        if k == 12 and ending == "end":
            break
        if k == 12 and ending == "hang":
            time.sleep(600)
"""


def bench_text(
    port: int,
    reversion_s: float,
    safe_after_s: float = 20,
    proves: bool = False,
    line: str = "",
    head: str = "",
) -> str:
    """The proof of the reversion timer takes two seconds; one test of the ways out has it."""
    where = (
        f"serial: {{device: {line}, baudrate: 115200, parity: N}}"
        if line
        else f"host: 127.0.0.1\n    port: {port}"
    )
    signed = "" if proves else "no_reversion_because: the test has no time for it"
    return f"""
bench: lab
{head}
devices:
  house_2.pv:
    driver: modbus
    mode: shadow
    {where}
    identity: {{maker: p2p-grid-twin, model: pv, serial: SN7}}
    limits: {{p_gen_w: [0, 8000]}}
    reversion_s: {reversion_s}
    poll_s: 0.1
    timing: {{timeout_s: 5}}
    stale_after_s: 0.5
    safe_after_s: {safe_after_s}
    {signed}
"""


class Bench:
    def __init__(
        self, emulator: EmulatorProcess, harness: asyncio.subprocess.Process, supervisor: int
    ) -> None:
        self.emulator, self.harness, self.supervisor = emulator, harness, supervisor

    async def power_w(self) -> float:
        return float((await self.emulator.ask("truth"))["power_w"])

    async def until(self, power_w: float) -> None:
        """Wait until the inverter generates ``power_w``."""
        start = time.monotonic()
        while abs(await self.power_w() - power_w) > 1:
            if time.monotonic() - start > _PATIENCE_S:
                raise AssertionError(f"still {await self.power_w()} W, expected {power_w}")
            await asyncio.sleep(0.02)


def run(
    tmp_path: Path,
    work: Callable[[Bench], Awaitable[None]],
    *,
    reversion_s: float = 60,
    ending: str = "none",
    safe_after_s: float = 20,
    serial: bool = False,
    head: str = "",
) -> None:
    async def main() -> None:
        link = "rtu" if serial else "tcp"
        emulator = EmulatorProcess(
            EmulatorConfig(
                "house_2.pv", "pv_inverter", 8000.0, clock="wall", model="pv", serial="SN7", link=link
            )
        )
        harness: Any = None
        try:
            await emulator.ready()
            await emulator.ask("surroundings", p_available_w=SUN_W)
            path = tmp_path / "bench.yaml"
            path.write_text(
                bench_text(
                    emulator.port, reversion_s, safe_after_s, ending == "exception", emulator.path, head
                )
            )
            harness = await asyncio.create_subprocess_exec(
                sys.executable, "-c", HARNESS, str(path), str(tmp_path / "state"), ending,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            line = await asyncio.wait_for(harness.stdout.readline(), _PATIENCE_S)
            assert line, (await harness.stderr.read()).decode()
            bench = Bench(emulator, harness, int(line))
            await bench.until(LIMIT_W)
            await work(bench)
        finally:
            if harness is not None and harness.returncode is None:
                harness.kill()
            if harness is not None:
                await harness.communicate()
            emulator.end()

    asyncio.run(main())


@pytest.mark.parametrize(
    "ending",
    ["exception", *(pytest.param(e, marks=pytest.mark.slow) for e in ("end", "sigterm", "sigint", "sighup"))],
)
def test_every_ordinary_way_out_makes_safe(tmp_path, ending) -> None:
    async def work(bench: Bench) -> None:
        if ending.startswith("sig"):
            bench.harness.send_signal(getattr(signal, ending.upper()))
        await bench.until(0)
        code = await asyncio.wait_for(bench.harness.wait(), _PATIENCE_S)
        codes = {"end": 0, "exception": 1, "sigterm": 143, "sigint": -signal.SIGINT, "sighup": 129}
        assert code == codes[ending]
        assert not Path(f"/proc/{bench.supervisor}").exists()  # and nobody is left behind

    run(tmp_path, work, ending=ending)


def test_after_sigkill_the_supervisor_makes_safe(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        bench.harness.send_signal(signal.SIGKILL)
        await bench.until(0)
        await bench.harness.wait()

    run(tmp_path, work)


def test_with_the_supervisor_killed_too_the_device_falls_back_by_itself(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        os.kill(bench.supervisor, signal.SIGKILL)
        bench.harness.send_signal(signal.SIGKILL)
        await bench.harness.wait()
        before = await bench.emulator.ask("truth")
        await bench.until(SUN_W)
        after = await bench.emulator.ask("truth")
        # when the limit fell, from the energy: exact in the device's own time, however late we look
        passed_s, flowed_wh = (float(after[n]) - float(before[n]) for n in ("now_s", "export_wh"))
        fell_after_s = (SUN_W * passed_s - 3600 * flowed_wh) / (SUN_W - LIMIT_W)
        # model 123 falls back to its default, no limit, within the reversion time plus 1 s
        assert fell_after_s < 2 + 1

    run(tmp_path, work, reversion_s=2)


@pytest.mark.slow
def test_a_control_loop_that_hangs_is_made_safe_by_the_io_loop(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        await bench.until(0)

    run(tmp_path, work, ending="hang", safe_after_s=1.5)


@pytest.mark.slow
def test_a_harness_that_is_stopped_dead_is_made_safe_by_the_supervisor(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        bench.harness.send_signal(signal.SIGSTOP)
        await bench.until(0)
        bench.harness.send_signal(signal.SIGCONT)
        await asyncio.sleep(3)  # its timer of 4 s comes due meanwhile: it may not write its old order again
        assert await bench.power_w() < 1

    run(tmp_path, work, reversion_s=4)


@pytest.mark.slow
def test_a_frozen_harness_that_keeps_its_serial_line_is_ended_where_the_bench_says_so(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        bench.harness.send_signal(signal.SIGSTOP)
        await bench.until(0)
        assert await asyncio.wait_for(bench.harness.wait(), _PATIENCE_S) == -signal.SIGKILL

    run(tmp_path, work, serial=True, head="end_frozen_after_s: 5")


@pytest.mark.slow
def test_else_it_lives_keeps_its_line_and_makes_safe_when_it_wakes_up(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        bench.harness.send_signal(signal.SIGSTOP)
        start_s = time.monotonic()
        while not _ended(bench.supervisor):  # it has tried in vain
            assert time.monotonic() - start_s < _PATIENCE_S
            await asyncio.sleep(0.1)
        assert abs(await bench.power_w() - LIMIT_W) < 1
        assert bench.harness.returncode is None
        bench.harness.send_signal(signal.SIGCONT)
        await bench.until(0)

    run(tmp_path, work, serial=True)


def _ended(pid: int) -> bool:
    """Whether a process is gone, or waits for its frozen parent to notice that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
def test_while_all_is_well_the_timer_is_refreshed_and_never_runs_out(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        for _ in range(60):
            assert abs(await bench.power_w() - LIMIT_W) < 1
            await asyncio.sleep(0.1)

    run(tmp_path, work, reversion_s=4)


@pytest.mark.slow
def test_a_second_harness_is_refused_with_the_name_of_the_first(tmp_path) -> None:
    async def work(bench: Bench) -> None:
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HARNESS, str(tmp_path / "bench.yaml"), str(tmp_path / "state"), "none",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await asyncio.wait_for(second.communicate(), _PATIENCE_S)
        assert f"process {bench.harness.pid}; two harnesses never drive one rig" in errors.decode()
        assert abs(await bench.power_w() - LIMIT_W) < 1

    run(tmp_path, work)


@pytest.mark.slow
def test_a_rig_is_stopped_under_a_harness_that_runs_and_stays_so(tmp_path) -> None:
    """It asks nobody for the rig; the harness hears of the latch with its next order and sends none any more."""
    from rigs.device import Command, RoleSpec
    from rigs.open_bench import open_bench
    from rigs.preflight import reset_latch
    from rigs.stop import stop

    role = "house_2.pv"
    plate = "nameplate: {kind: pv_inverter, p_max_w: 8000}"

    def drive(path: Path, power_w: Callable[[], float]) -> None:
        roles = [RoleSpec(role, "pv_inverter", SUN_W)]
        with open_bench(path, roles, arm={role: 60.0}, state=tmp_path) as bench:

            def until(reached: Callable[[], bool]) -> None:
                deadline_s = time.monotonic() + _PATIENCE_S
                while not reached():
                    assert time.monotonic() < deadline_s
                    bench.step(0, 1, {role: Command(LIMIT_W)}, {})
                    time.sleep(0.02)

            until(lambda: abs(power_w() - LIMIT_W) < 1)
            assert stop(path, tmp_path)[role] == (True, "safe, and latched")
            until(lambda: abs(power_w()) < 1)
            polls = bench.timing()[role].polls
            until(lambda: bench.timing()[role].polls > polls + 5)  # with the order still standing
            assert abs(power_w()) < 1
            assert "latched: stopped by " in bench.step(0, 1, {role: Command(LIMIT_W)}, {})[role].note
            assert reset_latch("lab", role, tmp_path).startswith("stopped by ")
            until(lambda: abs(power_w() - LIMIT_W) < 1)  # a person let it go on

    async def main() -> None:
        emulator = EmulatorProcess(
            EmulatorConfig(role, "pv_inverter", SUN_W, clock="wall", model="pv", serial="SN7")
        )
        try:
            await emulator.ready()
            await emulator.ask("surroundings", p_available_w=SUN_W)
            path = tmp_path / "bench.yaml"
            path.write_text(bench_text(emulator.port, 60).rstrip() + f"\n    {plate}\n")
            loop = asyncio.get_running_loop()

            def power_w() -> float:
                asked = asyncio.run_coroutine_threadsafe(emulator.ask("truth"), loop)
                return float(asked.result(_PATIENCE_S)["power_w"])

            await asyncio.to_thread(drive, path, power_w)
        finally:
            emulator.end()

    asyncio.run(main())


def test_another_device_at_the_address_is_never_written(tmp_path) -> None:
    from rigs.device import Command, RoleSpec
    from rigs.errors import RigError
    from rigs.open_bench import open_bench

    async def main() -> None:
        emulator = EmulatorProcess(
            EmulatorConfig("house_2.pv", "pv_inverter", 8000.0, clock="wall", model="pv", serial="OTHER")
        )
        try:
            await emulator.ready()
            path = tmp_path / "bench.yaml"
            path.write_text(bench_text(emulator.port, 2))
            roles = [RoleSpec("house_2.pv", "pv_inverter", 8000.0)]
            with pytest.raises(RigError, match=r"is p2p-grid-twin pv OTHER, .* names p2p-grid-twin pv SN7"):
                await asyncio.to_thread(open_bench, path, roles, arm={"house_2.pv": 5.0}, state=tmp_path)
            # unarmed it may be opened in shadow with the right serial, and still nothing is written
            path.write_text(bench_text(emulator.port, 2).replace("SN7", "OTHER"))

            def shadow() -> str:
                with open_bench(path, roles, state=tmp_path) as bench:
                    for k in range(3):
                        sample = bench.step(k, 1, {"house_2.pv": Command(10.0)}, {})["house_2.pv"]
                        time.sleep(0.15)
                    assert {c["outcome"] for kind, c in bench.journal if kind == "decision"} <= {
                        "shadow",
                        "held",
                    }
                    return sample.note

            await emulator.ask("surroundings", p_available_w=SUN_W)
            assert await asyncio.to_thread(shadow) == ""
            assert float((await emulator.ask("truth"))["power_w"]) == pytest.approx(SUN_W, abs=2)
        finally:
            emulator.end()

    asyncio.run(main())
