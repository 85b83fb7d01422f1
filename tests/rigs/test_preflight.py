"""``twin rig check``: what it tries, how small, and that a real device is only written to when a person arms it."""

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from adapters.scpi.ac_source import AcSource
from adapters.scpi.link import ScpiLink
from rigs.cli import main
from rigs.device import RoleSpec
from rigs.emulator.config import EmulatorConfig
from rigs.gate_rules import GateRules
from rigs.trial_order import Ask, trial_order

BATTERY = RoleSpec("b", "battery", 5000.0, 10000.0, 0.5)
PV, CAR = RoleSpec("p", "pv_inverter", 8000.0), RoleSpec("c", "ev_charger", 11000.0)
ANY = (float("-inf"), float("inf"))


@contextmanager
def device(tmp_path, config: EmulatorConfig):
    """A device in a process and on a port of its own, that knows nothing of the harness; yields the port."""
    (tmp_path / "device.json").write_text(json.dumps(config.as_dict()))
    command = [sys.executable, "-m", "rigs.emulator", "--config", str(tmp_path / "device.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("spec", "rules", "soc", "room_w", "found"),
    [
        (BATTERY, {"p_gen_w": (-5000, 5000)}, 0.5, ANY, 500),
        (BATTERY, {"p_gen_w": (-5000, 200)}, 0.5, ANY, 200),  # a bench's limit, not the nameplate
        (BATTERY, {"p_gen_w": (-5000, 0)}, 0.5, ANY, -500),
        (BATTERY, {"p_gen_w": (-5000, 5000), "soc": (0.5, 0.9)}, 0.5, ANY, -500),  # nothing left to give
        (BATTERY, {"p_gen_w": (-5000, 5000), "deadband_w": 600}, 0.5, ANY, 1200),
        (BATTERY, {"p_gen_w": (-5000, 5000)}, 0.5, (-90, 80), 80),  # of what the feeder leaves
        (BATTERY, {"p_gen_w": (0, 0)}, 0.5, ANY, "no order between 0 and 0 W"),
        (PV, {"p_gen_w": (0, 8000)}, float("nan"), ANY, 800),
        (PV, {"p_gen_w": (0, 8000)}, float("nan"), (-1, 0), "no order between 0 and 0 W"),
        (CAR, {"p_gen_w": (-11000, 0)}, 0.4, ANY, -4140),
        (CAR, {"p_gen_w": (-4000, 0)}, 0.4, ANY, "no 4140 W, the least it charges at"),
    ],
)
def test_the_order_is_small_and_inside_every_limit(spec, rules, soc, room_w, found) -> None:
    got = trial_order(
        spec, GateRules(spec.role, "armed", **{"safe_w": 0.0, "reversion_s": 60.0} | rules), soc, room_w
    )
    assert (found in got) if isinstance(found, str) else got == Ask(found, spec.kind)


@pytest.mark.parametrize(
    ("kind", "asked_w", "measured_w", "real", "right"),
    [
        ("battery", 500, 500, True, True),
        ("battery", 500, -500, True, False),  # the sign, or the wires
        ("battery", 500, 0, True, False),
        ("pv_inverter", 800, 790, True, True),
        ("pv_inverter", 800, 100, True, None),  # a cloud
        ("pv_inverter", 800, 100, False, False),  # an emulated one has the sun that it is told
        ("pv_inverter", 800, 5000, True, False),
        ("pv_inverter", 800, -700, True, False),
        ("ev_charger", -4140, 0, True, None),  # no car
        ("ev_charger", -4140, 4140, True, False),
        ("ev_charger", -4140, -9000, True, False),
        ("battery", 500, float("nan"), True, False),
        ("pv_inverter", 800, float("nan"), True, False),
        ("ev_charger", -4140, float("nan"), True, False),
    ],
)
def test_what_the_answer_says_of_the_sign(kind, asked_w, measured_w, real, right) -> None:
    assert Ask(asked_w, kind).judged(measured_w, 250.0, real)[0] is right


SOURCE = """\
bench: lab
ac_source: {{driver: scpi, host: 127.0.0.1, port: {port}{identity}}}
devices:
  b: {{driver: memory, nameplate: {{kind: battery, p_max_w: 5000, capacity_wh: 10000}}}}
"""


def test_a_real_ac_source_is_set_by_a_check_only_when_it_is_armed(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = EmulatorConfig(
        "ac_source", "ac_source", 0.0, link="scpi", clock="wall", model="grid", serial="G1"
    )

    async def voltage(port: int, set_v: float | None = None) -> float:
        link = ScpiLink("127.0.0.1", port, 30.0)
        await link.connect()
        try:
            if set_v is not None:
                await AcSource(link).set_voltage(set_v)
            return float(await link.ask("VOLT?"))
        finally:
            await link.close()

    with device(tmp_path, config) as port:
        path = tmp_path / "lab.yaml"
        path.write_text(SOURCE.format(port=port, identity=""))
        asyncio.run(voltage(port, 207.0))
        assert main(["check", str(path)]) == 0
        told = capsys.readouterr().out
        assert "ok   ac_source: identity: p2p-grid-twin,grid,G1" in told
        assert "--   ac_source: round trip: not armed; arm it with --arm ac_source=SECONDS" in told
        assert main(["check", str(path), "--arm", "ac_source=60"]) == 2
        assert "arming needs ac_source.identity in the bench" in capsys.readouterr().err
        path.write_text(
            SOURCE.format(port=port, identity=", identity: {maker: p2p-grid-twin, model: grid, serial: G2}")
        )
        assert main(["check", str(path), "--arm", "ac_source=60"]) == 1
        assert "FAIL bench: open: ac_source: scpi://" in capsys.readouterr().out
        assert asyncio.run(voltage(port)) == 207.0, "seen, refused, and never set"
        path.write_text(
            SOURCE.format(port=port, identity=", identity: {maker: p2p-grid-twin, model: grid, serial: G1}")
        )
        assert main(["check", str(path), "--arm", "ac_source=60"]) == 0
        assert "ok   ac_source: round trip: nominal voltage set, read back, and measured as 1.0000 pu" in (
            capsys.readouterr().out
        )
        assert asyncio.run(voltage(port)) == 230.0


REAL = """\
bench: lab
devices:
  b:
    driver: modbus
    mode: shadow
    host: 127.0.0.1
    port: {port}
    poll_s: 0.1
    ramp_w_per_s: 200
    limits: {{p_gen_w: [-400, 400]}}
    reversion_s: 30
    identity: {{maker: p2p-grid-twin, model: inv, serial: "7"}}
    nameplate: {{kind: battery, p_max_w: 5000, capacity_wh: 10000}}
"""


@pytest.mark.slow
def test_every_step_of_a_check_on_a_real_device_that_a_person_armed(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = EmulatorConfig("lab", "battery", 5000.0, 10000.0, 0.5, model="inv", serial="7", clock="wall")
    with device(tmp_path, config) as port:
        path = tmp_path / "lab.yaml"
        path.write_text(REAL.format(port=port))
        assert main(["check", str(path)]) == 0
        told = capsys.readouterr().out
        assert (
            "--   b: reversion, round trip, sign, safe state: mode shadow writes nothing; arm it with --arm b=SECONDS"
            in told
        )
        assert main(["check", str(path), "--arm", "b=60"]) == 0
        told = capsys.readouterr().out
        for line in ("ok   b: identity", "ok   b: reading: 0 W", "ok   b: reversion: ran out once",
                     "ok   b: round trip: 400 W written and read back", "ok   b: sign: asked 400 W, measured ",
                     "ok   b: safe state: 0 W written and read back", "ok   bench: tear-down"):  # fmt: skip
            assert line in told, told
        path.write_text(REAL.format(port=port).replace('"7"', '"8"'))
        assert main(["check", str(path), "--arm", "b=60"]) == 1
        assert "nothing was written" in capsys.readouterr().out
