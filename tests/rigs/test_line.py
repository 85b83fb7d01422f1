"""Several units behind one gateway: one connection, each role sure of its own device, a dead unit no burden."""

import asyncio
import json
import threading
import time

import pytest

from rigs.device import Ambient, Quality, RoleSpec
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.server import Connections, ModbusTcpProtocol, serve_tcp
from rigs.errors import BenchFileError, RigError
from rigs.journal import replay
from rigs.open_bench import check_bench, open_bench

A = RoleSpec("a.battery", "battery", 5000.0, 10000.0, 0.5)
B = RoleSpec("b.pv", "pv_inverter", 8000.0)
ROLES = (A, B)


class Gateway:
    """A gateway with two units, served in a thread: as in a lab, it knows nothing of the harness."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.dead: set[int] = set()
        self.units = {
            1: build(EmulatorConfig("a", "battery", 5000.0, 10000.0, 0.5, serial="1", clock="wall")).image,
            2: build(EmulatorConfig("b", "pv_inverter", 8000.0, serial="2", unit=2, clock="wall")).image,
        }
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        gateway = self

        class Half(ModbusTcpProtocol):
            def _send(self, data: bytes) -> None:
                if data and data[6] not in gateway.dead:
                    super()._send(data)

        serving = serve_tcp(self.units, "127.0.0.1", 0, self.connections, Half)
        self.server, self.port = asyncio.run_coroutine_threadsafe(serving, self.loop).result()

    def close(self) -> None:
        async def end() -> None:
            self.server.close()
            self.connections.drop()
            await asyncio.sleep(0.05)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def gateway():
    served = Gateway()
    yield served
    served.close()


def bench_text(port: int, unit_b: int = 2, more: str = "") -> str:
    link = f"driver: modbus, host: 127.0.0.1, port: {port}, poll_s: 0.05, timing: {{timeout_s: 0.2}}"
    return (
        f"bench: gateway\ndevices:\n  a.battery: {{{link}, unit_id: 1}}\n"
        f"  b.pv: {{{link}, unit_id: {unit_b}{more}}}\n"
    )


def until(bench, reached, seconds: float = 15.0):
    end_s = time.monotonic() + seconds
    while True:
        samples = bench.step(0, 1, {}, {role: Ambient() for role in bench.roles})
        if reached(samples):
            return samples
        assert time.monotonic() < end_s, samples
        time.sleep(0.02)


def all_good(samples) -> bool:
    return all(s.quality is Quality.GOOD and s.age_s < 1 for s in samples.values())


def test_two_units_share_one_connection_also_after_it_was_lost(gateway, write_bench, tmp_path) -> None:
    log = tmp_path / "log"
    with open_bench(write_bench(bench_text(gateway.port)), ROLES, state=tmp_path / "s", record=log) as bench:
        until(bench, all_good)
        assert gateway.connections.seen == 1
        gateway.loop.call_soon_threadsafe(gateway.connections.drop)

        def joined() -> list[str]:
            return sorted(c["role"] for kind, c in bench.journal if kind == "joined")

        until(bench, lambda s: len(joined()) == 4 and all_good(s))
    assert gateway.connections.seen == 2
    assert joined() == [A.role, A.role, B.role, B.role], "both looked again who answers"
    frames = [json.loads(line.split(" ", 1)[1]) for line in log.read_text().splitlines()]
    units = {
        (e["content"]["role"], bytes.fromhex(e["content"]["hex"])[6]) for e in frames if e["kind"] == "frame"
    }
    assert units == {(A.role, 1), (B.role, 2)}
    result = replay(log)
    assert result.readings > 2 and not result.differences


def test_a_dead_unit_is_left_alone_and_does_not_stall_the_other(gateway, write_bench, tmp_path) -> None:
    with open_bench(write_bench(bench_text(gateway.port)), ROLES, state=tmp_path / "s") as bench:
        until(bench, all_good)
        gateway.dead.add(2)
        until(bench, lambda s: "left alone" in s[B.role].note)
        before, began_s = bench.timing()[A.role].polls, time.monotonic()
        time.sleep(0.8)
        rate = (bench.timing()[A.role].polls - before) / (time.monotonic() - began_s)
        assert rate > 5, "polled every 0.05 s; a time-out of the other takes 0.2 s"
        assert bench.step(0, 1, {}, {})[A.role].quality is Quality.GOOD
        gateway.dead.clear()
        until(bench, all_good)


def test_a_gateway_has_one_owner_whatever_the_unit(gateway, write_bench, tmp_path) -> None:
    both = write_bench(bench_text(gateway.port))
    one = tmp_path / "one.yaml"
    one.write_text(
        f"bench: one\ndevices:\n  b.pv: {{driver: modbus, host: 127.0.0.1, port: {gateway.port}, unit_id: 2}}\n"
    )
    with (
        open_bench(both, ROLES, state=tmp_path / "s"),
        pytest.raises(RigError, match=rf"127\.0\.0\.1:{gateway.port} is held by .*process \d+"),
    ):
        open_bench(one, ROLES, state=tmp_path / "s")
    with open_bench(one, ROLES, state=tmp_path / "s") as bench:
        assert bench.roles == (B.role,)


def test_a_second_role_on_one_unit_and_different_timing_are_refused(write_bench) -> None:
    (problem,) = check_bench(write_bench(bench_text(1502, unit_b=1)), ROLES)
    assert "is the endpoint of role 'a.battery' already" in problem
    text = bench_text(1502).replace("{timeout_s: 0.2}", "{timeout_s: 0.3}", 1)
    with pytest.raises(BenchFileError, match=r"shares its link with role 'a\.battery'"):
        open_bench(write_bench(text), ROLES)


def test_another_device_at_the_address_is_refused_when_the_link_returns(
    gateway, write_bench, tmp_path
) -> None:
    own = ", identity: {maker: p2p-grid-twin, model: '', serial: '2'}"
    text = bench_text(gateway.port, more=own)
    with open_bench(write_bench(text), ROLES, state=tmp_path / "s") as bench:
        until(bench, all_good)
        gateway.units[2] = build(
            EmulatorConfig("b", "pv_inverter", 8000.0, serial="3", unit=2, clock="wall")
        ).image
        gateway.loop.call_soon_threadsafe(gateway.connections.drop)
        samples = until(
            bench, lambda s: s[B.role].quality is Quality.BAD and "the bench names" in s[B.role].note
        )
        assert (
            "is p2p-grid-twin  3, the bench names p2p-grid-twin  2; nothing was written"
            in samples[B.role].note
        )
        time.sleep(0.3)  # several polls later it is still refused, though the link stands
        assert bench.step(0, 1, {}, {})[B.role].quality is Quality.BAD
        until(bench, lambda s: s[A.role].quality is Quality.GOOD and s[A.role].age_s < 1)
