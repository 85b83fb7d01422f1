"""Wrong bench files: every problem at once, with line and key path, before anything is opened."""

from pathlib import Path

import pytest

from adapters.modbus.register_map import COLUMNS
from rigs.bench_file import find_map, load_bench
from rigs.device import RoleSpec
from rigs.errors import BenchFileError
from rigs.open_bench import check_bench

BATTERY = RoleSpec("house_1.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("house_2.pv", "pv_inverter", 8000.0)
ROLES = (BATTERY, PV)


def problems(write_bench, text: str) -> list[str]:
    return check_bench(write_bench(text), ROLES)


def test_a_correct_file_has_no_problems(write_bench, bench_text) -> None:
    assert problems(write_bench, bench_text()) == []


def test_all_problems_come_at_once_with_line_and_path(write_bench) -> None:
    text = (
        "bench: Lab One\n"
        "devices:\n"
        "  house_1.battery:\n"
        "    driver: emulatd\n"
        "    limts: {p_gen_w: [0, 1]}\n"
        "  house_2.pv:\n"
        "    driver: modbus\n"
        "    deadband_w: -3\n"
    )
    found = problems(write_bench, text)
    joined = "\n".join(found)
    assert "bench.yaml:1: bench: " in joined
    assert "bench.yaml:4: devices.house_1.battery.driver: " in joined
    assert "'emulatd'" in joined
    assert "bench.yaml:5: devices.house_1.battery.limts: unknown key; did you mean 'limits'?" in joined
    assert "bench.yaml:8: devices.house_2.pv.deadband_w: " in joined
    assert len(found) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "bench: b\ndevices:\n  house_1.batery: {driver: memory}\n",
            "bench.yaml:3: devices.house_1.batery: the scenario has no such role; did you mean 'house_1.battery'?",
        ),
        (
            "bench: b\ndevices:\n  house_2.pv: {driver: memory}\n  house_2.pv: {driver: memory}\n",
            "bench.yaml:4: devices.house_2.pv: given twice (first in line 3)",
        ),
        (
            "bench: b\ndevices:\n  house_1.battery:\n    driver: memory\n    limits: {p_gen_w: [-6000, 5000]}\n",
            "bench.yaml:5: devices.house_1.battery.limits.p_gen_w: [-6000.0, 5000.0] exceeds the nameplate "
            "[-5000.0, 5000.0] of the role",
        ),
        (
            "bench: b\ndevices:\n  house_2.pv:\n    driver: memory\n    limits: {p_gen_w: [-1, 8000]}\n",
            "exceeds the nameplate [0.0, 8000.0]",
        ),
        (
            "bench: b\ndevices:\n  house_1.battery:\n    driver: memory\n    limits: {p_gen_w: [500, 900]}\n",
            "devices.house_1.battery.safe.p_set_w: 0.0 lies outside [500.0, 900.0]",
        ),
        ("bench: b\ndevices:\n  house_2.pv: {driver: modbus}\n", "driver modbus needs host"),
        (
            "bench: b\ndevices:\n  house_2.pv: {driver: modbus, host: 192.0.2.1, mode: armed}\n",
            "never armed by its bench file",
        ),
        (
            "bench: b\ndevices:\n  house_2.pv: {driver: modbus, host: 192.0.2.1, mode: shadow}\n",
            "needs limits.p_gen_w before anything may be written",
        ),
        (
            "bench: b\ndevices:\n  house_2.pv: {driver: memory, host: 192.0.2.1}\n",
            "host is for driver modbus",
        ),
        (
            "bench: b\ndevices:\n  house_1.battery: &d {driver: modbus, host: 192.0.2.1}\n  house_2.pv: *d\n",
            "devices.house_2.pv: is the endpoint of role 'house_1.battery' already",
        ),
        ("bench: b\ndevices: {\n", "not YAML"),
        ("bench: b\n", "devices: is missing"),
        ("", "is missing"),
        (
            "bench: b\ndevices:\n  house_1.battery:\n    driver: memory\n    limits: {soc: [0.9, 0.1]}\n",
            "soc: the first of the two must not exceed the second",
        ),
    ],
)
def test_each_mistake_is_named(write_bench, text, expected) -> None:
    found = problems(write_bench, text)
    assert any(expected in p for p in found), found


def test_a_missing_file_is_a_problem_not_a_traceback(tmp_path: Path) -> None:
    assert check_bench(tmp_path / "none.yaml", ROLES) == [
        "none.yaml: cannot be read (No such file or directory)"
    ]


def test_the_default_mode_writes_nothing(write_bench) -> None:
    bench = load_bench(write_bench("bench: b\ndevices:\n  house_1.battery: {driver: emulated}\n"), ROLES)
    assert bench.devices["house_1.battery"].mode == "observe"
    with pytest.raises(BenchFileError):
        load_bench(write_bench("bench: b\ndevices: 3\n"), ROLES)


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "0", "-1"])
@pytest.mark.parametrize(
    "key", ["reversion_s", "ramp_w_per_s", "poll_s", "stale_after_s", "safe_after_s", "daily_writes"]
)
def test_no_number_switches_a_protection_off(write_bench, key, number) -> None:
    """For example a time of infinity after which a silent device is made safe."""
    text = f"bench: b\ndevices:\n  house_1.battery: {{driver: emulated, {key}: {number}}}\n"
    found = check_bench(write_bench(text), ROLES[:1])
    assert (key, number) == ("ramp_w_per_s", ".inf") or f"devices.house_1.battery.{key}" in "".join(found), (
        found
    )


@pytest.mark.parametrize(("seconds", "fits"), [(9, False), (10, True), (600, True), (601, False)])
def test_a_real_wallbox_takes_a_failsafe_within_its_range(write_bench, seconds, fits) -> None:
    text = (
        "bench: b\ndevices:\n  a.ev: {driver: modbus, host: 127.0.0.1, mode: shadow, limits: {p_gen_w: [-11000, 0]}, "
        f"reversion_s: {seconds}}}\n"
    )
    found = check_bench(write_bench(text), [RoleSpec("a.ev", "ev_charger", 11000.0)])
    assert bool(found) is not fits
    assert fits or "the failsafe of a wallbox takes 10 to 600 s" in found[0]


REAL = "driver: modbus, host: 127.0.0.1"


@pytest.mark.parametrize(
    ("role", "device", "expected"),
    [
        ("a.ev", f"{REAL}, map: keba_p30", ""),
        ("a.ev", "driver: emulated, map: keba_p30", ""),
        ("a.meter", f"{REAL}, map: eastron_sdm630", ""),
        ("a.ev", f"{REAL}, map: stiebel_isg", "stiebel_isg has no readable ActivePower, TotalEnergy, ErrorCode"),
        ("a.ev", f"{REAL}, map: mine.csv", ""),
        ("a.ev", f"{REAL}, map: mine.csv, mode: shadow, limits: {{p_gen_w: [-1, 0]}}, reversion_s: 60",
         "mine has no writable SetFailsafeCurrent, SetFailsafeTimeout"),
        ("a.ev", "driver: emulated, map: mine.csv", "an emulated ev_charger speaks the map keba_p30"),
        ("a.meter", f"{REAL}, map: keba_p30", "keba_p30 has no readable PowerTotal, ImportEnergy, ExportEnergy"),
        ("a.meter", "driver: emulated, map: eastron_sdm630", "an emulated meter speaks SunSpec"),
        ("a.battery", f"{REAL}, map: keba_p30", "a battery is controlled by its SunSpec models"),
        ("a.ev", f"{REAL}, map: nix.csv", "no such map: 'nix.csv'; shipped: eastron_sdm630, keba_p30"),
        ("a.meter", f"{REAL}, map: far.csv", "far.csv:2: address 65535 is not in 0..65534"),
    ],
)  # fmt: skip
def test_a_register_map_must_fit_the_role_before_anything_is_opened(
    write_bench, tmp_path, role, device, expected
) -> None:
    lines = find_map("keba_p30", tmp_path).read_text().splitlines()
    (tmp_path / "mine.csv").write_text("\n".join(x for x in lines if "SetFailsafe" not in x))
    (tmp_path / "far.csv").write_text(
        ",".join(COLUMNS) + "\n65535,PowerTotal,float32,1,W,R:input,,volatile,,nobody\n"
    )
    kinds = {"a.ev": "ev_charger", "a.meter": "meter", "a.battery": "battery"}
    specs = [RoleSpec(name, kind, 11000.0) for name, kind in kinds.items()]  # type: ignore[arg-type]
    found = check_bench(write_bench(f"bench: b\ndevices:\n  {role}: {{{device}}}\n"), specs)
    if not expected:
        assert found == []
    else:
        (text,) = found
        assert text.startswith(f"bench.yaml:3: devices.{role}.map: ")
        assert expected in text


def test_an_unknown_role_is_told_with_sections_that_are_wrong(write_bench) -> None:
    text = "bench: b\ndevices:\n  house_9.pv: {driver: memory}\n  house_2.pv: {driver: nix}\n"
    found = "\n".join(problems(write_bench, text))
    assert "devices.house_2.pv.driver" in found
    assert "bench.yaml:3: devices.house_9.pv: the scenario has no such role" in found
