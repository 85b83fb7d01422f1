"""The interlock as a condition for arming and for every write; what cannot be read counts as open."""

import socket
import time

import pytest

from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.errors import BenchFileError, RigError
from rigs.open_bench import open_bench

BATTERY = RoleSpec("h.battery", "battery", 5000.0, 100000.0, 0.5)
SIGNED = "no_reversion_because: the test has no time for it"
BENCH = """\
bench: locked
interlock: {{driver: emulated{more}}}
devices:
  h.battery: {{driver: emulated, mode: {mode}{device}}}
"""


def bench_file(write_bench, mode="armed", more="", device=""):
    return write_bench(BENCH.format(mode=mode, more=more, device=device))


def test_an_open_interlock_makes_safe_and_latches_until_a_person_comes(write_bench) -> None:
    with open_bench(bench_file(write_bench), [BATTERY]) as bench:

        def step(k: int):
            return bench.step(900 * k, 900, {BATTERY.role: Command(2000)}, {BATTERY.role: Ambient()})[
                BATTERY.role
            ]

        assert step(0).p_gen_w == pytest.approx(2000, abs=2)
        bench.inject("interlock", "surroundings", p_available_w=-1)
        opened = step(1)
        assert opened.p_gen_w == pytest.approx(0, abs=2)
        assert opened.quality is Quality.BAD
        assert opened.note == "rejected: latched: the interlock is open"
        bench.inject("interlock", "surroundings", p_available_w=0)
        assert "latched" in step(2).note, "closing it again arms nothing"
        bench._wired[BATTERY.role].gate.memory.reset()
        assert step(3).p_gen_w == pytest.approx(2000, abs=2)
    safes = [c for kind, c in bench.journal if kind == "decision" and c["reason"] == "make safe"]
    assert len(safes) == 2, "once when it opened, once at the end"


def test_nothing_is_armed_while_it_cannot_be_read(write_bench) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = BENCH.format(mode="armed", more="", device="").replace(
        "driver: emulated}", f"driver: modbus, host: 127.0.0.1, port: {port}}}", 1
    )
    with pytest.raises(RigError, match=r"cannot be read.*h\.battery cannot be armed"):
        open_bench(write_bench(text), [BATTERY])
    watched = write_bench(text.replace("mode: armed", "mode: observe"))
    with open_bench(watched, [BATTERY]) as bench:  # looking needs no interlock
        assert bench.step(0, 900, {}, {})[BATTERY.role].quality is Quality.GOOD


def test_a_bit_of_the_wrong_sense_counts_as_open(write_bench) -> None:
    with pytest.raises(RigError, match="the interlock is open"):
        open_bench(bench_file(write_bench, more=", closed: 0"), [BATTERY])


def test_on_wall_clock_time_it_is_read_between_steps(write_bench) -> None:
    path = bench_file(
        write_bench,
        more=", every_s: 0.05",
        device=f", emulated: {{clock: wall}}, poll_s: 0.05, reversion_s: 60, {SIGNED}",
    )
    with open_bench(path, [BATTERY]) as bench:
        sample = _until(bench, lambda s: s.p_gen_w > 1900)
        assert sample.quality is Quality.GOOD
        bench.inject("interlock", "surroundings", p_available_w=-1)
        assert abs(_until(bench, lambda s: abs(s.p_gen_w) < 50).p_gen_w) < 50
        assert "the interlock is open" in _until(bench, lambda s: "latched" in s.note).note


def _until(bench, reached):
    end_s = time.monotonic() + 40
    while True:
        sample = bench.step(0, 1, {BATTERY.role: Command(2000)}, {BATTERY.role: Ambient()})[BATTERY.role]
        if reached(sample):
            return sample
        assert time.monotonic() < end_s, sample
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("interlock: {driver: modbus}", "needs host"),
        ("interlock: {driver: emulated, host: 192.0.2.1}", "emulated has none"),
        ("interlock: {driver: emulated, adress: 3}", "adress"),
        ("ac_source: {driver: emulated, feeds: [h.batery]}", "did you mean 'h.battery'?"),
        ("ac_source: {driver: emulated, v_pu: [1.1, 1.2]}", "must lie in 0..1"),
        ("ac_source: {driver: scpi}", "needs host"),
    ],
)
def test_wrong_sections_are_told(write_bench, text, words) -> None:
    path = write_bench(f"bench: b\n{text}\ndevices:\n  h.battery: {{driver: emulated}}\n")
    with pytest.raises(BenchFileError) as caught:
        open_bench(path, [BATTERY])
    assert words in str(caught.value)


def test_a_real_device_is_coupled_to_the_plant_through_a_source_only(write_bench) -> None:
    text = "bench: b\ncoupling: quasi_static\ndevices:\n  h.battery: {driver: modbus, host: 192.0.2.1}\n"
    with pytest.raises(BenchFileError, match="needs an ac_source that feeds it"):
        open_bench(write_bench(text), [BATTERY])
