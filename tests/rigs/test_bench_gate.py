"""Rules of the write gate that need more than one device, on the raw wire: which write frames left for whom."""

import json
from pathlib import Path

import pytest

from adapters.modbus.register_map import shipped_maps
from rigs.arming import aggregate_breach
from rigs.bench_sections import BenchFile
from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.errors import BenchFileError, RigError
from rigs.open_bench import open_bench

A = RoleSpec("a.battery", "battery", 5000.0, 10000.0, 0.5)
B = RoleSpec("b.battery", "battery", 5000.0, 30000.0, 0.5)
DEVICES = (
    "devices:\n  a.battery: {driver: emulated, mode: armed}\n  b.battery: {driver: emulated, mode: armed}\n"
)
WRITE = 16


class Wire:
    """What left on the wires of a bench since it was last asked, from the frames of its log."""

    def __init__(self, bench, log: Path) -> None:
        self._bench, self._log, self._read = bench, log, 0

    def written(self) -> list[str]:
        """Roles of the write frames that were sent."""
        self._bench.log._file.flush()
        lines = self._log.read_text().splitlines()
        entries = [json.loads(line.split(" ", 1)[1]) for line in lines[self._read :]]
        self._read = len(lines)
        sent = [e["content"] for e in entries if e["kind"] == "frame" and e["content"]["sent"]]
        return [c["role"] for c in sent if bytes.fromhex(c["hex"])[7] == WRITE]


@pytest.fixture
def bench_of(write_bench, tmp_path):
    def build(head: str, devices: str = DEVICES, roles=(A, B)):
        log = tmp_path / "log"
        bench = open_bench(write_bench(f"bench: two\n{head}{devices}"), roles, record=log)
        return bench, Wire(bench, log)

    return build


def step(bench, k: int, a_w: float, b_w: float):
    orders = {A.role: Command(a_w), B.role: Command(b_w)}
    return bench.step(900 * k, 900, orders, {A.role: Ambient(), B.role: Ambient()})


def test_a_sum_beyond_the_feeders_limit_sends_nothing_and_latches_all(bench_of) -> None:
    bench, wire = bench_of("aggregate: {p_gen_w: [-2000, 3000]}\n")
    with bench:
        wire.written()
        assert step(bench, 0, 1000, 2000)[A.role].quality is Quality.GOOD
        assert set(wire.written()) == {A.role, B.role}
        samples = step(bench, 1, 1000.5, 2000)
        assert wire.written() == []
        for role in (A.role, B.role):
            assert (
                "the sum of all set points, 3000.5 W, lies outside -2000.0 .. 3000.0 W" in samples[role].note
            )
        assert "latched" in step(bench, 2, 0, 0)[A.role].note
        assert wire.written() == []
    assert bench.journal[-1][1]["reason"] == "make safe", "which a latch lets through"


def test_a_common_state_of_charge_outside_its_window_sends_nothing(bench_of) -> None:
    """0.5 of 40 kWh; one battery alone may still be anywhere inside its own limits."""
    bench, wire = bench_of("aggregate: {soc: [0.49, 0.9]}\n")
    with bench:
        step(bench, 0, 2000, 0)  # 500 Wh: 0.4875 of all
        wire.written()
        samples = step(bench, 1, 100, 0)
        assert wire.written() == []
        assert "all batteries together at a state of charge of 0.487, least is 0.49" in samples[B.role].note


def test_what_shaping_makes_of_good_orders_is_held_to_the_feeders_limit_as_well(bench_of) -> None:
    """One battery must wait before it may give way; until then the other one must not take its place."""
    slow = DEVICES.replace("mode: armed}", "mode: armed, min_interval_s: 2000}", 1)
    bench, wire = bench_of("aggregate: {p_gen_w: [-2000, 3000]}\n", slow)
    with bench:
        step(bench, 0, 2000, 1000)
        wire.written()
        step(bench, 1, 0, 3000)
        assert wire.written() == []
        held = [c["reason"] for kind, c in bench.journal if kind == "decision"][-2:]
        assert (
            held == ["as shaped the sum of all set points would be 5000 W, outside -2000.0 .. 3000.0 W"] * 2
        )
        step(bench, 2, 0, 3000)
        assert wire.written() == []
        step(bench, 3, 0, 3000)
        assert set(wire.written()) == {A.role, B.role}, "nobody was latched"


@pytest.mark.parametrize(
    ("orders_w", "soc", "words"),
    [
        ({"a": 1.0, "b": 0.0}, 0.2, "least is 0.2"),
        ({"a": -1.0, "b": 0.0}, 0.2, ""),
        ({"a": -1.0, "b": 0.5}, 0.8, "most is 0.8"),
        ({"a": 1.0, "b": -1.0}, 0.1, ""),
        ({"a": 1.0}, float("nan"), "least is 0.2"),
        ({"a": -1.0}, float("nan"), "most is 0.8"),
    ],
)
def test_the_window_binds_in_its_own_direction_and_a_nan_in_both(orders_w, soc, words) -> None:
    bench = BenchFile.model_validate({"bench": "x", "aggregate": {"soc": [0.2, 0.8]}, "devices": {}})
    found = aggregate_breach(bench, orders_w, {"a": (soc, 10.0), "b": (soc, 30.0)})
    assert (words in found) and bool(found) is bool(words)


def test_while_a_meter_contradicts_no_order_leaves(bench_of) -> None:
    pv, meter = RoleSpec("h.pv", "pv_inverter", 8000.0), RoleSpec("h.meter", "meter", 9000.0)
    devices = "devices:\n  h.pv: {driver: emulated, mode: armed}\n  h.meter: {driver: emulated}\n"
    bench, wire = bench_of("", devices, (pv, meter))
    with bench:
        bench.inject("h.pv", "lie", scale=2.0, from_s=900)

        def order(k: int, p_w: float) -> list[str]:
            wire.written()
            bench.step(
                900 * k, 900, {"h.pv": Command(p_w)}, {"h.pv": Ambient(6000.0), "h.meter": Ambient(0.0)}
            )
            return wire.written()

        assert order(0, 3000) != []
        assert order(1, 3100) != [], "the lie shows at the end of this step"
        assert order(2, 3200) == []
        assert order(3, 3300) == []


def test_an_open_interlock_lets_only_the_safe_value_leave(bench_of) -> None:
    bench, wire = bench_of("interlock: {driver: emulated}\n")
    with bench:
        step(bench, 0, 1000, 1000)
        wire.written()
        bench.inject("interlock", "surroundings", p_available_w=-1)
        samples = step(bench, 1, 1100, 1100)
        assert set(wire.written()) == {A.role, B.role}
        assert [abs(samples[r].p_gen_w) < 2 for r in (A.role, B.role)] == [True, True]
        step(bench, 2, 1200, 1200)
        assert wire.written() == []


def test_observed_devices_get_no_write_whatever_is_ordered(bench_of) -> None:
    bench, wire = bench_of("", DEVICES.replace("mode: armed", "mode: observe"))
    with bench:
        step(bench, 0, 1000, 1000)
    frames = [json.loads(line.split(" ", 1)[1])["content"] for line in wire._log.read_text().splitlines()]
    sent = {bytes.fromhex(c["hex"])[7] for c in frames if c.get("sent")}
    assert sent == {3}


def test_arming_problems_are_told_with_all_others_and_before_anything_starts(write_bench, tmp_path) -> None:
    keba = shipped_maps()["keba_p30"].read_text()
    (tmp_path / "worn.csv").write_text(
        keba.replace(",W,,volatile,FailsafeTimeout", ",W,,nonvolatile,FailsafeTimeout")
    )
    text = (
        "bench: x\ndevices:\n  a.battery: {driver: modbus, host: nowhere.invalid, mode: observe}\n"
        "  b.battery: {driver: emulated, limits: {p_gen_w: [-9000, 9000]}}\n"
        "  c.ev: {driver: modbus, host: 127.0.0.1, map: worn.csv, mode: shadow, reversion_s: 20, poll_s: 10,\n"
        "    limits: {p_gen_w: [-9000, 0]}, identity: {maker: KEBA, model: P30, serial: '1'}}\n"
    )
    with pytest.raises(BenchFileError) as caught:
        open_bench(
            write_bench(text),
            (A, B, RoleSpec("c.ev", "ev_charger", 11000.0)),
            arm={"a.battery": 1e6, "c.pv": 60, "ac_source": 60, "c.ev": 60},
        )
    told = str(caught.value)
    assert "exceeds the nameplate" in told
    assert "nowhere.invalid' cannot be resolved" in told
    assert "--arm c.pv: the bench has no such role; real devices: a.battery, c.ev" in told
    assert "arming needs mode: shadow in the bench; got observe" in told
    assert "a time of at most 28800 s; got 1e+06 s" in told
    assert "--arm a.battery: arming needs identity in the bench" in told
    assert "--arm c.ev: poll_s 10 s is too long for a reversion timer of 20 s" in told
    assert "c.ev: arming needs daily_writes in the bench, since SetFailsafeTimeout wear" in told
    assert "--arm ac_source: the bench has no real ac_source" in told


def test_the_wrong_device_is_never_written_to(bench_of, write_bench) -> None:
    devices = DEVICES.replace(
        "mode: armed}", "mode: armed, identity: {maker: ACME, model: X, serial: '1'}}", 1
    )
    with pytest.raises(RigError, match="ACME"):
        open_bench(write_bench(f"bench: two\n{devices}"), (A, B))
