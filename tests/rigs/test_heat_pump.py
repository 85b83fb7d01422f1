"""A heat pump as a role: SG Ready states through the write gate, in memory, over TCP and on a serial line alike, with
its power from a meter of its own.
"""

import math
from pathlib import Path

import pytest

from adapters.modbus.errors import LinkDownError
from rigs.bench_file import load_bench
from rigs.control_points import SgReady
from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.gate_rules import GateMemory, GateRules
from rigs.heat_meter import meter_of
from rigs.open_bench import check_bench, open_bench
from rigs.point_writer import PointWriter
from rigs.preflight import preflight
from rigs.sg_ready import BLOCKED, BOOST, FORCED, NORMAL, HeatNeed, draws_w, order_w, state_of
from rigs.write_gate import WriteGate

PUMP = RoleSpec("a.heat_pump", "heat_pump", 3000.0)
OWN = RoleSpec("a.heat_meter", "meter", 3000.0)
POINT = RoleSpec("a.meter", "meter", 9000.0)
ROLES = (PUMP, OWN, POINT)
STEP_S = 900
SIGNED = "no_reversion_because: this one is emulated and forgets its state"
# state, what the house needs and the store takes in W, and what is drawn, worked out by hand from rated 3 kW
PLAN = (
    (NORMAL, 800, 3000, 800), (FORCED, 800, 3000, 3000), (BLOCKED, 800, 3000, 0), (BOOST, 800, 3000, 1800),
    (BOOST, 2100, 3000, 2100), (FORCED, 0, 700, 700), (BOOST, 0, 700, 700), (NORMAL, 900, 700, 700),
)  # fmt: skip


def bench_text(driver: str, **keys: str) -> str:
    wired = f", mode: armed, {SIGNED}" if driver == "emulated" else ""
    link = "".join(f", {key}: {value}" for key, value in keys.items())
    roles = {PUMP.role: wired, OWN.role: "", POINT.role: ""}
    lines = [f"  {role}: {{driver: {driver}{more}{link}}}" for role, more in roles.items()]
    return "\n".join(["bench: t", "devices:", *lines])


@pytest.fixture(
    scope="module",
    params=["memory", "emulated", pytest.param("rtu", marks=pytest.mark.slow)],
)
def driven(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("pump") / "bench.yaml"
    extra = {"emulated": "{link: rtu}"} if request.param == "rtu" else {}
    path.write_text(bench_text("memory" if request.param == "memory" else "emulated", **extra))
    samples = []
    with open_bench(path, ROLES) as bench:
        for k, (state, normal_w, most_w, _) in enumerate(PLAN):
            here = {
                PUMP.role: Ambient(p_available_w=normal_w, heat=HeatNeed(normal_w, most_w)),
                POINT.role: Ambient(p_available_w=-1000.0),
            }
            command = {PUMP.role: Command(order_w(state, PUMP.p_max_w))}
            samples.append(bench.step(k * STEP_S, STEP_S, command, here))
    journal = [content for kind, content in bench.journal if kind == "decision"]
    return request.param, samples, journal


def test_every_state_draws_what_house_and_store_allow(driven) -> None:
    driver, samples, _ = driven
    expected_w = [-w for *_, w in PLAN]
    for role, rest_w in ((PUMP.role, 0), (OWN.role, 0), (POINT.role, -1000)):
        seen = [s[role] for s in samples]
        assert [s.quality for s in seen] == [Quality.GOOD] * len(PLAN), [s.note for s in seen]
        assert [s.p_gen_w for s in seen] == pytest.approx([w + rest_w for w in expected_w], abs=1.5)
        counted_wh = seen[-1].energy_import_wh - seen[0].energy_import_wh
        assert counted_wh == pytest.approx(-sum(w + rest_w for w in expected_w[1:]) / 4, abs=1.5)
    assert [s[PUMP.role].sg_state for s in samples] == [state for state, *_ in PLAN]
    assert all(s[PUMP.role].wire == (driver != "memory") for s in samples)


def test_every_change_of_state_passes_the_write_gate(driven) -> None:
    driver, _, journal = driven
    if driver == "memory":
        assert journal == []
        return
    states = [state_of(d["sent_w"], PUMP.p_max_w) for d in journal if d["reason"] != "make safe"]
    assert states == [state for state, *_ in PLAN]
    assert [d["outcome"] for d in journal[:-1]] == [
        "sent",
        "sent",
        "sent",
        "sent",
        "held",
        "sent",
        "sent",
        "sent",
    ]
    assert journal[-1]["reason"] == "make safe" and state_of(journal[-1]["sent_w"], PUMP.p_max_w) == NORMAL


def test_orders_stand_for_states_and_count_as_the_most_that_may_flow() -> None:
    for rated_w in (3000.0, 4000.0, 7350.0, 1.0):
        assert [state_of(order_w(s, rated_w), rated_w) for s in (1, 2, 3, 4)] == [1, 2, 3, 4]
        orders = [order_w(s, rated_w) for s in (1, 2, 3, 4)]
        assert orders[0] == 0 and orders == sorted(orders, reverse=True)
        assert all(o <= -0.98 * rated_w for o in orders[1:]), "a pump that is not blocked may draw all it can"
    assert [draws_w(s, HeatNeed(500, 9e9), 3000) for s in (1, 2, 3, 4)] == [0, 500, 1800, 3000]


def test_inputs_change_so_that_no_state_between_is_a_stronger_one() -> None:
    inputs = {"SgReadyInput1": 0, "SgReadyInput2": 0}
    states = {(0, 1): BLOCKED, (0, 0): NORMAL, (1, 0): BOOST, (1, 1): FORCED}
    for before in states.values():
        for after in states.values():
            inputs.update(SgReady(3000.0).value(order_w(before, 3000.0)))
            passed = []
            for name, value in SgReady(3000.0).value(order_w(after, 3000.0)).items():
                inputs[name] = value
                passed.append(states[inputs["SgReadyInput1"], inputs["SgReadyInput2"]])
            assert passed[-1] == after
            assert FORCED not in passed[:-1] or FORCED in (before, after)


class Registers:
    """A device of three registers, whose link may be down."""

    def __init__(self) -> None:
        self.held: dict[str, float] = {}
        self.writes: list[tuple[str, float]] = []
        self.down = False

    async def write(self, model_id, points) -> None:
        if self.down:
            raise LinkDownError("t", "write", "gone")
        self.writes += points.items()
        self.held.update(points)

    async def differences(self, model_id, points) -> list[str]:
        if self.down:
            raise LinkDownError("t", "read", "gone")
        return [n for n, v in points.items() if self.held.get(n) != v]


def gate(**rules) -> tuple[WriteGate, Registers]:
    device = Registers()
    writer = object.__new__(PointWriter)
    writer.held = {}
    writer.write, writer.differences = device.write, device.differences
    given = {"min_interval_s": 600.0, "reversion_s": 7200.0, "unproven_reason": "it is a test"} | rules
    made = GateRules("a.heat_pump", "armed", (-3000.0, 0.0), order_w(NORMAL, 3000.0), **given)
    return WriteGate(made, SgReady(3000.0), writer, GateMemory(lambda: "today")), device


async def ordered(one: WriteGate, state: int, time_s: float) -> tuple[str, int]:
    decision = await one.order(order_w(state, 3000.0), time_s)
    stands = decision.sent_w
    return decision.outcome, 0 if math.isnan(stands) else state_of(stands, 3000.0)


def test_a_state_stands_for_ten_minutes_also_over_a_lost_link() -> None:
    import asyncio

    async def main() -> None:
        one, device = gate()
        assert await ordered(one, FORCED, 0) == ("sent", FORCED)
        assert await ordered(one, NORMAL, 300) == ("held", FORCED)
        one.link_returned()
        assert await ordered(one, BLOCKED, 599) == ("sent", FORCED), "written anew, and not changed yet"
        assert await ordered(one, BLOCKED, 600) == ("sent", BLOCKED)
        assert device.held == {"SgReadyInput1": 0, "SgReadyInput2": 1, "SgReadyOn": 1}
        await one.make_safe(700)
        assert device.held == {"SgReadyInput1": 0, "SgReadyInput2": 0, "SgReadyOn": 1}, "safe does not wait"
        assert await ordered(one, FORCED, 1000) == ("held", NORMAL) or device.held["SgReadyInput1"] == 0

    asyncio.run(main())


def test_the_daily_write_budget_holds_what_stands_and_never_keeps_from_making_safe() -> None:
    import asyncio

    async def main() -> None:
        one, device = gate(daily_writes=5)
        assert await ordered(one, BLOCKED, 0) == ("sent", BLOCKED)  # two inputs, and the switch
        assert await ordered(one, NORMAL, 600) == ("sent", NORMAL)
        assert await ordered(one, FORCED, 1200) == ("held", NORMAL)
        assert "write budget of 5" in one.refused
        await one.make_safe(1300)
        assert (device.held["SgReadyInput1"], device.held["SgReadyInput2"]) == (0, 0)

    asyncio.run(main())


def test_a_limit_below_its_rating_is_more_than_the_interface_can_keep(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(
        bench_text("emulated").replace("mode: armed", "mode: armed, limits: {p_gen_w: [-2000, 0]}")
    )
    assert any("-2940.0 lies outside [-2000.0, 0.0]" in line for line in check_bench(path, ROLES))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((f", {SIGNED}", ""), "no_reversion_because: an SG Ready interface has no timer of its own"),
        (("mode: armed", "mode: armed, ramp_w_per_s: 5"), "ramp_w_per_s: an SG Ready interface knows four states"),
        (("mode: armed", "mode: armed, deadband_w: 5"), "deadband_w: an SG Ready interface knows four states"),
        (("mode: armed", "mode: armed, min_interval_s: 60"), "min_interval_s: 60 s: an SG Ready state stands for 600 s"),
        (("mode: armed", "mode: armed, safe: {p_set_w: 0}"), "safe: the safe state of a heat pump is normal operation"),
        (("mode: armed", "mode: armed, map: keba_p30"), "an emulated heat_pump speaks the map stiebel_isg"),
        (("  a.heat_meter: {driver: emulated}\n", ""), "it needs 'a.heat_meter', a meter of its own"),
        (("a.heat_meter: {driver: emulated}", "a.heat_meter: {driver: memory}"), "driver memory cannot meter"),
        (("mode: armed", "mode: armed, dwell_s: 60"), "dwell_s"),
    ],
)  # fmt: skip
def test_what_a_bench_must_not_say_of_a_heat_pump(tmp_path: Path, change, expected) -> None:
    path = tmp_path / "b.yaml"
    text = bench_text("emulated")
    assert change[0] in text
    path.write_text(text.replace(*change))
    problems = check_bench(path, ROLES)
    assert any(expected in line for line in problems), problems
    path.write_text(text)
    assert check_bench(path, ROLES) == []


def test_ten_minutes_and_normal_operation_hold_where_a_bench_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    for said, expected_s in (("", 600), ("min_interval_s: 600, ", 600), ("min_interval_s: 901, ", 901)):
        path.write_text(bench_text("emulated").replace("mode: armed", f"{said}mode: armed"))
        device = load_bench(path, ROLES).devices[PUMP.role]
        assert device.min_interval_s == expected_s
        assert state_of(device.safe.p_set_w, PUMP.p_max_w) == NORMAL


def test_a_meter_of_nothing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text("bench: t\ndevices:\n  a.heat_meter: {driver: emulated}")
    assert any("meters nothing: the bench has no 'a.heat_pump'" in line for line in check_bench(path, ROLES))
    assert (meter_of("a.b.heat_pump"), meter_of("hp")) == ("a.b.heat_meter", "heat_meter")


@pytest.mark.slow
def test_the_pre_flight_reads_state_and_power_and_makes_safe(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    plate = "nameplate: {{kind: {0}, p_max_w: {1}}}"
    lines = [
        f"  a.heat_pump: {{driver: emulated, mode: armed, {SIGNED}, {plate.format('heat_pump', 3000)}}}",
        f"  a.heat_meter: {{driver: emulated, {plate.format('meter', 3000)}}}",
    ]
    path.write_text("\n".join(["bench: t", "devices:", *lines]))
    checks = {(c.role, c.name): c for c in preflight(path, state=tmp_path)}
    assert [c for c in checks.values() if c.ok is False] == []
    assert checks["a.heat_pump", "safe state"].ok
