"""The log: chained by hashes, and replayed through the same decoders to the same values."""

import itertools

import pytest

from rigs.device import Ambient, Command, RoleSpec
from rigs.errors import RigError
from rigs.faults import Fault
from rigs.journal import RigJournal, read_journal, replay
from rigs.open_bench import open_bench

BATTERY = RoleSpec("h.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("h.pv", "pv_inverter", 8000.0)
CAR = RoleSpec("h.ev", "ev_charger", 11000.0, 60000.0, 0.5)
ROLES = (BATTERY, PV, CAR)


@pytest.fixture
def recorded(write_bench, bench_text, tmp_path):
    path = tmp_path / "log.jsonl"
    with open_bench(write_bench(bench_text(roles=ROLES)), ROLES, record=path) as bench:
        bench.schedule([Fault(BATTERY.role, "nan", 900, 1800), Fault(PV.role, "reboot", 1800, 2700)])
        for k in range(5):
            commands = {BATTERY.role: Command(1000 + k), PV.role: Command(3000), CAR.role: Command(-7000)}
            bench.step(k * 900, 900, commands, {PV.role: Ambient(5000)})
    return path


def test_a_replay_gives_the_recorded_values(recorded) -> None:
    result = replay(recorded)
    assert result.differences == ()
    assert result.readings >= 3 * 5
    kinds = {entry["kind"] for entry in read_journal(recorded)}
    assert {"frame", "joined", "reading", "decision", "proof"} <= kinds


def test_a_serial_lines_log_is_replayed_like_any_other(write_bench, bench_text, tmp_path) -> None:
    """Without transaction ids an answer belongs to the request before it."""
    path = tmp_path / "rtu.jsonl"
    text = bench_text(roles=[PV], extra="emulated: {link: rtu}\ntiming: {timeout_s: 1}")
    with open_bench(write_bench(text), [PV], record=path) as bench:
        bench.schedule([Fault(PV.role, "busy", 1800, 2700), Fault(PV.role, "split", 3600, 4500)])
        for k in range(6):
            bench.step(k * 900, 900, {PV.role: Command(3000 + k)}, {PV.role: Ambient(5000)})
    frames = [e["content"] for e in read_journal(path) if e["kind"] == "frame"]
    assert {f["framing"] for f in frames} == {"rtu"}
    assert {f["hex"][:2] for f in frames} == {"01"}, "every frame whole, from its unit on"
    result = replay(path)
    assert result.differences == ()
    assert result.readings >= 5
    forged = tmp_path / "forged.jsonl"
    journal = RigJournal(lambda: 0.0, lambda: "", forged)
    for entry in read_journal(path):
        content = entry["content"]
        if entry["kind"] == "frame" and not content["sent"] and len(content["hex"]) > 230:
            content["hex"] = content["hex"][:30] + "0123" + content["hex"][34:]  # W of model 701
        journal.note(entry["kind"], content)
    journal.close()
    assert replay(forged).differences


def test_a_changed_register_in_the_log_would_be_seen_by_the_replay(recorded, tmp_path) -> None:
    """The chain is made anew over the changed frames, so that only the decoder can notice."""
    copy = tmp_path / "forged.jsonl"
    journal = RigJournal(lambda: 0.0, lambda: "", copy)
    for entry in read_journal(recorded):
        content = entry["content"]
        if entry["kind"] == "frame" and not content["sent"] and len(content["hex"]) > 230:
            content["hex"] = content["hex"][:42] + "0123" + content["hex"][46:]  # W of model 701
        journal.note(entry["kind"], content)
    journal.close()
    assert replay(copy).differences


@pytest.mark.parametrize("damage", ["change", "remove", "swap", "insert"])
def test_a_log_that_was_tampered_with_is_refused_at_the_line(recorded, damage) -> None:
    lines = recorded.read_text().splitlines(keepends=True)
    if damage == "change":
        lines[7] = lines[7].replace('"utc"', '"utk"')
    elif damage == "remove":
        del lines[7]
    elif damage == "swap":
        lines[7], lines[8] = lines[8], lines[7]
    else:
        lines.insert(7, lines[3])
    recorded.write_text("".join(lines))
    with pytest.raises(RigError, match=r"log\.jsonl:8: the chain is broken"):
        list(read_journal(recorded))


def test_a_log_is_never_written_over(tmp_path) -> None:
    path = tmp_path / "log.jsonl"
    clock = itertools.count()
    RigJournal(lambda: float(next(clock)), lambda: "now", path).close()
    with pytest.raises(FileExistsError):
        RigJournal(lambda: 0.0, lambda: "now", path)
