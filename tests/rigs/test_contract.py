"""One contract over every driver: the same commands give the same energy, to the resolution of the
registers."""

import math
import random
from pathlib import Path

import pytest
import sunspec2

from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.open_bench import open_bench

BATTERY = RoleSpec("house_1.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("house_2.pv", "pv_inverter", 8000.0)
ROLES = (BATTERY, PV)


STEP_S = 900


PKI = Path(sunspec2.__file__).parent / "tests" / "tls_data"
TLS = f"""
tls: {{authorities: {PKI}/ca/server_ca_chain.crt, certificate: {PKI}/client/tls1_3/client_gridservice.crt, \
key: {PKI}/client/tls1_3/client_gridservice.key}}
emulated: {{link: tls, tls: {{authorities: {PKI}/ca/client_ca_chain.crt, \
certificate: {PKI}/server/tls1_3/server_valid.crt, key: {PKI}/server/tls1_3/server_valid.key}}}}
"""
EXTRA = {"memory": "", "emulated": "", "rtu": "emulated: {link: rtu}", "tls": TLS}


@pytest.fixture(params=EXTRA)
def bench(request, write_bench, bench_text):
    driver = "memory" if request.param == "memory" else "emulated"
    with open_bench(write_bench(bench_text(driver, extra=EXTRA[request.param])), ROLES, seed=1) as opened:
        yield opened


def step(
    bench, k: int, battery_w: float = 0.0, pv_w: float = 8000.0, sun_w: float = 0.0, step_s: int = STEP_S
):
    commands = {BATTERY.role: Command(battery_w), PV.role: Command(pv_w)}
    return bench.step(k * step_s, step_s, commands, {PV.role: Ambient(p_available_w=sun_w)})


def exact_battery(commands_w: list[float], step_s: float) -> list[tuple[float, float, float]]:
    """Energy balance by hand: dE = eta p dt charging, p dt / eta discharging, clipped at empty and full."""
    stored, exported, imported = 5000.0, 0.0, 0.0
    rows = []
    for p_w in commands_w:
        moved = p_w * step_s / 3600
        if moved >= 0:
            moved = min(moved, stored * 0.95)
            stored, exported = stored - moved / 0.95, exported + moved
        else:
            moved = max(moved, -(10000.0 - stored) / 0.95)
            stored, imported = stored - moved * 0.95, imported - moved
        rows.append((stored, exported, imported))
    return rows


def test_battery_follows_the_energy_balance_through_empty_and_full(bench) -> None:
    rng = random.Random(7)
    commands_w = [-5000.0] * 6 + [5000.0] * 10 + [rng.uniform(-5000, 5000) for _ in range(24)]
    expected = exact_battery(commands_w, STEP_S)
    for k, (p_w, (stored, exported, imported)) in enumerate(zip(commands_w, expected, strict=True)):
        sample = step(bench, k, battery_w=p_w)[BATTERY.role]
        assert sample.quality is Quality.GOOD
        # counters are whole Wh; the default response time moves at most 0.15 Wh per change of set point
        assert sample.energy_export_wh == pytest.approx(exported, abs=1.0 + 0.15 * (k + 1))
        assert sample.energy_import_wh == pytest.approx(imported, abs=1.0 + 0.15 * (k + 1))
        assert sample.soc == pytest.approx(stored / 10000, abs=5e-5 + 2e-5 * (k + 1))
    assert expected[5][0] == 10000.0  # the sequence did reach full
    assert min(row[0] for row in expected) == 0.0  # and empty


def test_pv_generates_what_sun_and_command_allow(bench) -> None:
    cases = [(8000, 0, 0), (8000, 3210, 3210), (2000, 6000, 2000), (0, 6000, 0), (8000, 9500, 8000)]
    k, before = 0, step(bench, 0)[PV.role]
    for command_w, sun_w, generated_w in cases:
        for _ in range(2):
            k += 1
            after = step(bench, k, pv_w=command_w, sun_w=sun_w)[PV.role]
            assert after.p_gen_w == pytest.approx(generated_w, abs=1.3)  # 1 W and 0.01 % of 8 kW
            grown_wh = after.energy_export_wh - before.energy_export_wh
            assert grown_wh == pytest.approx(generated_w / 4, abs=1.3)
            before = after
    assert before.energy_import_wh == 0
    assert math.isnan(before.soc)


def test_mean_power_is_that_of_the_step_even_when_the_battery_runs_empty_in_it(bench) -> None:
    for k in range(3):
        step(bench, k, battery_w=5000)
    sample = step(bench, 3, battery_w=5000)[
        BATTERY.role
    ]  # 5 kWh * 0.95 = 4.75 kWh: 1 kWh is left for this step
    assert sample.p_gen_w == pytest.approx(4000, abs=2)


def test_small_steps_and_large_steps_give_the_same_energy(bench) -> None:
    for k in range(60):
        last = step(bench, k, battery_w=-3000 if k < 30 else 4000, sun_w=5000, step_s=60)
    assert last[BATTERY.role].energy_import_wh == pytest.approx(1500, abs=1.2)
    assert last[BATTERY.role].energy_export_wh == pytest.approx(2000, abs=1.2)
    assert last[PV.role].energy_export_wh == pytest.approx(5000, abs=1.2)


def test_drivers_say_whether_their_numbers_came_over_a_wire(bench) -> None:
    wired = {role: s.wire for role, s in step(bench, 0).items()}
    expected = type(bench)._step_wired is not None and bool(bench._wired)
    assert set(wired.values()) == {expected}


def test_a_role_without_a_command_is_told_its_safe_value(bench) -> None:
    step(bench, 0, battery_w=4000)
    samples = bench.step(STEP_S, STEP_S, {}, {PV.role: Ambient(p_available_w=5000)})
    assert samples[BATTERY.role].p_gen_w == pytest.approx(0, abs=1)
    assert samples[PV.role].p_gen_w == pytest.approx(0, abs=1)
