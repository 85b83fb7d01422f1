"""Benches for tests: written to a temporary file, as a user writes them."""

from pathlib import Path

import pytest

from rigs.device import RoleSpec

BATTERY = RoleSpec("house_1.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("house_2.pv", "pv_inverter", 8000.0)
ROLES = (BATTERY, PV)


@pytest.fixture
def bench_text():
    def text(driver: str = "emulated", mode: str = "armed", extra: str = "", roles=ROLES) -> str:
        lines = ["bench: test", "coupling: quasi_static", "devices:"]
        for spec in roles:
            lines += [f"  {spec.role}:", f"    driver: {driver}", f"    mode: {mode}"]
            lines += [f"    {line}" for line in extra.splitlines() if line]
        return "\n".join(lines) + "\n"

    return text


@pytest.fixture
def write_bench(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "bench.yaml"
        path.write_text(text)
        return path

    return write
