"""A conformance run writes only while a person has armed the device, and leaves it as it was found: on the raw wire."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.modbus.port import LinkTiming
from adapters.modbus.sunspec import discover
from rigs import conformance_functions, conformance_link
from rigs.cli import main
from rigs.conformance import conformance
from rigs.emulator.config import EmulatorConfig
from rigs.emulator_process import EmulatorProcess
from rigs.errors import DeviceMismatchError, NotArmedError, RigError
from rigs.journal import read_journal
from rigs.rig_lock import RigLock
from rigs.trial import Arming, Trial
from rigs.trial_points import TRIED, may_be_tried

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def hurried(monkeypatch, tmp_path):
    monkeypatch.setattr(conformance_link, "_ANSWER_S", 1.0)
    monkeypatch.setattr(conformance_functions, "_CANCELLED_S", 0.0)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def settings(served) -> dict:
    """Every point that may be tried, as the device holds it now."""
    image = served.device.image
    return {
        (m, n): image.get(m, n)
        for m in TRIED
        if m in image.layouts
        for n, p in image.layouts[m].points.items()
        if p.writable and may_be_tried(m, n) and not n.startswith("Adpt")
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--write",
            ("arm the device for a stated time with --arm SECONDS", "name the device with --serial SERIAL"),
        ),
        ("--write --arm 60", ("name the device with --serial SERIAL",)),
        ("--write --serial 7", ("nothing is written by default",)),
        ("--write --arm 0 --serial 7", ("--arm 0: a time of at most 28800 s",)),
        ("--write --arm nan --serial 7", ("--arm nan: a time of at most",)),
        ("--write --arm 1e6 --serial ''", ("--arm 1e+06", "name the device")),
        ("--arm 60 --serial 7", ("--arm and --serial: only for --write",)),
    ],
)
def test_writing_needs_a_time_and_a_name_and_all_that_is_missing_is_told_at_once(words, told, capsys) -> None:
    """Nobody listens at this port: had anything been opened, the message would be of that."""
    assert main(["conformance", "127.0.0.1:1", *words.replace("''", "").split(" ")]) == 2
    text = capsys.readouterr().err
    assert all(part in text for part in told), text
    assert "connect" not in text


def test_another_serial_number_gets_no_write_frame(serve, capsys) -> None:
    served = serve()
    assert main(["conformance", f"127.0.0.1:{served.port}", "--write", "--arm", "60", "--serial", "2"]) == 2
    assert "you named serial 2; nothing was written" in capsys.readouterr().err
    assert served.frames and not served.written()


def test_a_device_that_another_harness_has_gets_no_frame_at_all(serve, tmp_path) -> None:
    served = serve()
    lock = RigLock(tmp_path / "x", ("localhost", served.port, 0), "ann, process 1")
    try:
        with pytest.raises(RigError, match="is held by"):
            conformance(served.where, Arming(60.0, "1"))
        lock.release()
        lock = RigLock(tmp_path / "state" / "p2p-grid-twin" / "rigs" / "locks", served.where.endpoint, "bob")
        with pytest.raises(RigError, match="is held by bob; two harnesses never drive one rig"):
            conformance(served.where, Arming(60.0, "1"))
    finally:
        lock.release()
    assert served.frames == []


def test_only_points_on_the_list_are_written_and_every_write_is_in_the_log(serve, tmp_path) -> None:
    served, log = serve(), tmp_path / "trial.log"
    # the last stored sets hold something else than what is in force
    served.device.image.put(706, "Crv[2].Pt[0].V", 104)
    served.device.image.put(704, "WSet", 700)
    before = settings(served)
    conformance(served.where, Arming(600.0, "1", supervised=False), log=log)
    assert settings(served) == before
    written = served.written()
    assert len(written) > 50
    assert {m for m, _ in written} == {704, 705, 706, 711, 712}
    assert [w for w in written if not may_be_tried(*w)] == []
    assert (704, "AntiIslEna") not in written
    entries = list(read_journal(log))  # whose chain holds
    intents = [e["content"]["point"] for e in entries if e["kind"] == "intent"]
    assert intents == [f"{m}.{n}" for m, n in written]
    sent = [
        bytes.fromhex(e["content"]["hex"]) for e in entries if e["kind"] == "frame" and e["content"]["sent"]
    ]
    assert sum(frame[7] == 16 for frame in sent) == len(written)
    assert [e["kind"] for e in entries if e["kind"] in ("found", "armed", "put back")] == [
        "found",
        "armed",
        "put back",
    ]


def test_grid_protection_and_contactors_are_on_no_list() -> None:
    assert set(TRIED) == {123, 704, 705, 706, 711, 712}
    for model_id, name in ((703, "ES"), (707, "Ena"), (710, "AdptCrvReq"), (704, "AntiIslEna"), (123, "Conn"),
                           (123, "Conn_WinTms"), (702, "WMax"), (715, "OpCtl"), (124, "StorCtl_Mod")):  # fmt: skip
        assert not may_be_tried(model_id, name), name
    assert may_be_tried(705, "Crv[2].Pt[3].Var")


def on_the_wire(served, work, arming: Arming, now_s) -> None:
    """Run ``work(trial, port)`` with an open trial of a served device."""

    async def go() -> None:
        port = served.where.link(2.0)
        await port.connect()
        try:
            trial = Trial(await discover(port, 1), arming, lambda kind, content: None, now_s)
            await trial.open()
            await work(trial, port)
        finally:
            await port.close()

    asyncio.run(go())


def test_the_stated_time_ends_writing_but_not_putting_back(serve) -> None:
    served, now_s = serve(), [100.0]

    async def work(trial: Trial, port) -> None:
        await trial.write(704, "WSet", 300)
        now_s[0] = 160.0
        served.frames.clear()
        with pytest.raises(NotArmedError, match="the stated time of arming is over"):
            await trial.write(704, "WSet", 400)
        with pytest.raises(NotArmedError, match="the stated time"):
            await trial.write(704, "WSetEna", 1)
        assert served.written() == []
        assert await trial.put_back_all() == []
        assert served.written() == [(704, "WSet")]

    before = settings(served)
    on_the_wire(served, work, Arming(60.0, "1"), lambda: now_s[0])
    assert settings(served) == before


def test_what_is_not_on_the_list_leaves_no_frame(serve) -> None:
    served = serve()

    async def work(trial: Trial, port) -> None:
        served.frames.clear()
        for model_id, name in ((704, "AntiIslEna"), (703, "ES"), (707, "Ena"), (715, "OpCtl"), (702, "WMax")):
            with pytest.raises(NotArmedError, match=f"{name} may not be written"):
                await trial.write(model_id, name, 0)
        assert served.written() == []

    on_the_wire(served, work, Arming(60.0, "1"), lambda: 0.0)


def test_who_answers_is_looked_at_again_when_the_link_returned(serve) -> None:
    served = serve()

    async def work(trial: Trial, port) -> None:
        await trial.write(704, "WSet", 300)
        await port.close()
        await port.connect()
        trial.link_returned()
        served.device.image.put(1, "SN", "2")
        served.frames.clear()
        with pytest.raises(DeviceMismatchError, match="you named serial 1; nothing was written"):
            await trial.write(704, "WSet", 400)
        assert served.written() == []

    on_the_wire(served, work, Arming(60.0, "1"), lambda: 0.0)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_puts_back_what_it_found(serve, signal_number) -> None:
    """The signal comes with the set point enabled; a second one does not cut the undo short."""
    served = serve()
    image = served.device.image
    before, taken, at = settings(served), image.write, image.address(704, "WSetEna")
    enabled = []

    def write(address: int, data: bytes) -> None:
        taken(address, data)
        if (
            address == at and data == b"\0\1" and len(enabled) < 2
        ):  # the second is REV-1's: MOD-3 writes what it finds
            enabled.append(True)
            os.kill(os.getpid(), signal_number)

    image.write = write
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            conformance(served.where, Arming(600.0, "1", supervised=False))
    finally:
        signal.signal(signal.SIGINT, kept)
    assert enabled
    assert settings(served) == before


@pytest.mark.slow
def test_after_sigkill_the_supervisor_puts_the_set_point_back(tmp_path) -> None:
    """The harness dies in REV-3, which has switched the device's own timer off: nothing else would put it back."""

    async def until(emulator, text: str, reached) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not reached((await emulator.ask("truth"))["power_w"]):
            assert time.monotonic() < deadline_s, text
            await asyncio.sleep(0.05)

    async def go() -> None:
        config = EmulatorConfig("b", "battery", 5000.0, 10000.0, 0.5, serial="SN7", model="m", clock="wall")
        emulator = EmulatorProcess(config)
        harness = None
        try:
            await emulator.ready()
            from adapters.modbus.tcp import TcpPort

            port = TcpPort("127.0.0.1", emulator.port, LinkTiming(5.0))
            await port.connect()
            device = await discover(port, 1)
            for name, value in (("WSetMod", 1), ("WSet", 1200), ("WSetRvrtTms", 0), ("WSetEna", 1)):
                await device.write(704, name, value)
            await until(emulator, "runs at what was found", lambda w: abs(w - 1200) < 1)
            code = (
                "import sys; from rigs import conformance_functions as f; from rigs.cli import main\n"
                "f._CANCELLED_S = 600.0; sys.exit(main(sys.argv[1:]))"
            )
            words = [
                "conformance",
                f"127.0.0.1:{emulator.port}",
                "--write",
                "--arm",
                "600",
                "--serial",
                "SN7",
            ]
            harness = subprocess.Popen([sys.executable, "-c", code, *words], cwd=Path(__file__).parents[2])
            deadline_s = time.monotonic() + PATIENCE_S
            while True:  # REV-3: enabled at 0 W, and no timer
                assert time.monotonic() < deadline_s and harness.poll() is None
                held = await device.read(704, "WSet", "WSetRvrtTms", "WSetRvrtRem", "WSetEna")
                if (held["WSet"], held["WSetRvrtTms"], held["WSetEna"]) == (0, 0, 1):
                    break
                await asyncio.sleep(0.02)
            harness.kill()
            harness.wait()
            await until(emulator, "the supervisor", lambda w: abs(w - 1200) < 1)
            assert (await device.read(704, "WSet"))["WSet"] == 1200
            await port.close()
        finally:
            if harness is not None and harness.poll() is None:
                harness.kill()
                harness.wait()
            emulator.end()

    asyncio.run(go())
