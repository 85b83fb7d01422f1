"""A bench with an emulated AC source: the plant's voltage reaches the devices over SCPI, as in a lab."""

import pytest

from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.errors import RigError
from rigs.open_bench import open_bench

PV = RoleSpec("h.pv", "pv_inverter", 8000.0)
FREE = RoleSpec("g.pv", "pv_inverter", 8000.0)
TEXT = """
bench: fed
coupling: quasi_static
ac_source: {driver: emulated, feeds: [h.pv]}
devices:
  h.pv: {driver: emulated, mode: armed, emulated: {category: II}}
  g.pv: {driver: emulated, mode: armed, emulated: {category: none}}
"""


def test_only_what_the_source_feeds_sees_its_voltage_and_a_breach_makes_safe(write_bench) -> None:
    commands = {r.role: Command(8000.0) for r in (PV, FREE)}
    with (
        pytest.raises(RigError, match=r"1\.2000 pu lies outside"),
        open_bench(write_bench(TEXT), (PV, FREE)) as bench,
    ):

        def step(k: int, v_pu: float) -> dict:
            here = {r.role: Ambient(5000.0, v_pu) for r in (PV, FREE)}
            return bench.step(900 * k, 900, commands, here)

        calm = step(0, 1.02)
        assert [calm[r.role].p_gen_w for r in (PV, FREE)] == pytest.approx([5000, 5000], abs=2)
        high = step(1, 1.12)  # category II trips after 2 s
        assert high[PV.role].p_gen_w == pytest.approx(5000 * 2 / 900, abs=3)
        assert high[FREE.role].p_gen_w == pytest.approx(5000, abs=2)
        assert high[PV.role].quality is Quality.GOOD  # a trip is no fault of the reading
        step(2, 1.2)
