"""A wallbox as the role of a participant's car: cars come and go, in memory and over the wire alike."""

import math

import pytest

from rigs.device import NO_CAR, Ambient, Car, Command, Quality, RoleSpec, charger_phases, least_charge_w
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.open_bench import open_bench

THREE = RoleSpec("a.ev", "ev_charger", 11000.0, efficiency=0.9)
ONE = RoleSpec("b.ev", "ev_charger", 3680.0, efficiency=0.9)  # 16 A on one phase
ROLES = (THREE, ONE)
STEP_S = 900
# car, limit and expected mean power per step; a car of 4 kWh takes 4444 Wh, and stops in the middle of a step
PLAN = {
    THREE.role: [
        (NO_CAR, -11000, 0), (Car(1, 4000.0), -11000, -11000), (Car(1, 4000.0), -6900, -6777.8), (Car(1, 4000.0), -4140, 0),
        (Car(2, 9000.0), -4000, 0), (Car(2, 9000.0), -4140, -4140), (NO_CAR, -11000, 0),
    ],
    ONE.role: [
        (NO_CAR, -3680, 0), (Car(1, 9000.0), -1400, -1400), (Car(1, 9000.0), -3680, -3680), (Car(1, 9000.0), -1300, 0),
        (Car(1, 9000.0), 0, 0), (NO_CAR, 0, 0), (Car(5, 300.0), -3680, -1333.3),
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=["memory", "emulated"])
def driven(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("wallbox") / "bench.yaml"
    lines = [f"  {r.role}: {{driver: {request.param}, mode: armed, reversion_s: 7200}}" for r in ROLES]
    path.write_text("\n".join(["bench: t", "devices:", *lines]))
    samples = []
    with open_bench(path, ROLES) as bench:
        for k in range(len(PLAN[ONE.role])):
            commands = {role: Command(rows[k][1]) for role, rows in PLAN.items()}
            here = {role: Ambient(car=rows[k][0]) for role, rows in PLAN.items()}
            samples.append(bench.step(k * STEP_S, STEP_S, commands, here))
    return samples


@pytest.mark.parametrize("role", [THREE.role, ONE.role])
def test_a_car_charges_what_its_battery_takes_and_nobody_else_does(driven, role) -> None:
    expected_w = [w for _, _, w in PLAN[role]]
    assert [s[role].quality for s in driven] == [Quality.GOOD] * len(expected_w)
    # a limit is rounded down to whole mA; the time constant of 50 ms moves at most 0.15 Wh
    assert [s[role].p_gen_w for s in driven] == pytest.approx(expected_w, abs=1.5)
    counted_wh = driven[-1][role].energy_import_wh - driven[0][role].energy_import_wh
    assert counted_wh == pytest.approx(-sum(expected_w) / 4, abs=1.5)
    assert math.isnan(driven[0][role].soc), "a wallbox does not know its car's state of charge"


def test_phases_follow_from_the_rating() -> None:
    assert [charger_phases(w) for w in (3680, 4139, 4140, 22000)] == [1, 1, 3, 3]
    assert [least_charge_w(w) for w in (3680, 11000)] == [1380, 4140]


def test_registers_tell_who_is_plugged_in_and_a_restart_forgets_the_limit() -> None:
    device = build(EmulatorConfig("x", "ev_charger", 11000.0, serial="a1"))
    seen = []
    for car in (NO_CAR, Car(7, 5000.0), Car(7, 9999.0), NO_CAR):
        device.plug(car.session, car.need_wh)
        device.advance(900)
        seen.append([device.image.get(0, n) for n in ("CableState", "ChargingState", "SessionEnergy")])
    assert seen == [[3, 1, 0], [7, 3, pytest.approx(2750, abs=0.2)], [7, 3, pytest.approx(5000)], [3, 1, 0]]
    device.image.write(5004, (6000).to_bytes(2, "big"))
    device.image.write(5018, (60).to_bytes(2, "big"))
    assert device.image.get(0, "MaxCurrent") == 6
    device.reboot()
    device.advance(900)
    assert device.image.get(0, "MaxCurrent") == pytest.approx(11000 / 690, abs=1e-3)
    assert device.image.get(0, "FailsafeTimeout") == 0
