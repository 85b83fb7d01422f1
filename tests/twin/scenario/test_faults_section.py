"""Faults in a scenario file: what is refused, with every problem at once, and what times mean."""

from datetime import datetime

import pytest

from twin.scenario.load import load_scenario
from twin.scenario.problems import ScenarioError

GOOD = """\
name: street
start: 2016-01-18T12:00:00+01:00
duration_days: 0.5
seed: 7
grid: {source: "pandapower:example_simple"}
faults:
"""
START = datetime.fromisoformat("2016-01-18T12:00:00+01:00")


def load(tmp_path, *faults: str):
    file = tmp_path / "s.yaml"
    file.write_text(GOOD + "".join(f"  - {{{fault}}}\n" for fault in faults))
    return load_scenario(file)


WRONG = [
    ("target: a, kind: mut", "faults[0].kind", "Did you mean mute?"),
    ("kind: mute", "faults[0].target", "is missing"),
    ("target: a, kind: late", "faults[0].kind", "needs delay_s"),
    ("target: a, kind: lie, delay_s: 3", "faults[0].kind", "needs factor"),
    ("target: a, kind: mute, factor: 3", "faults[0].factor", "is for kind lie or meter_lie, not mute"),
    ("target: a, kind: mute, at_s: -1", "faults[0].at_s", "too small"),
    ("target: a, kind: mute, at_s: 1, at: '12:00'", "faults[0].at_s", "together with at"),
    ("target: a, kind: mute, at: 900", "faults[0].at", "must be text"),
    ("target: a, kind: mute, at: half past", "faults[0].at", "'half past'"),
    ("target: a, kind: mute, at: '25:00'", "faults[0].at", "'25:00'"),
    ("target: a, kind: mute, for_s: 0", "faults[0].for_s", "too small"),
    ("target: a, kind: mute, for_s: 5 min", "faults[0].for_s", "Write 300."),
    ("target: a, kind: mute, for: 5", "faults[0].for", "Did you mean faults[0].for_s?"),
    ("target: a, kind: sf_jump, decades: 9", "faults[0].decades", "-3, -2, -1, 1, 2 or 3"),
]


@pytest.mark.parametrize(("text", "key", "words"), WRONG)
def test_one_wrong_fault(tmp_path, text, key, words):
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.key_path == key
    assert problem.line == 7
    assert words in str(problem)


def test_all_wrong_faults_are_told_at_once(tmp_path):
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, *(text for text, _, _ in WRONG))
    assert [p.key_path for p in caught.value.problems] == [
        key.replace("[0]", f"[{i}]") for i, (_, key, _) in enumerate(WRONG)
    ]


@pytest.mark.parametrize(
    ("at", "from_s"),
    [("at_s: 0", 0), ("at_s: 90.5", 90.5), ("at: '12:00'", 0), ("at: '17:30'", 5.5 * 3600), ("for_s: 9", 0), ("at: '11:45'", 23.75 * 3600),
     ("at: 2016-01-18T13:00+01:00", 3600), ("at: 2016-01-18T13:00:30Z", 7230)],
)  # fmt: skip
def test_times_are_offsets_local_times_or_moments(tmp_path, at, from_s):
    (fault,) = load(tmp_path, f"target: a, kind: mute, {at}").base.faults
    assert fault.from_s(START) == from_s


def test_values_come_in_the_unit_of_the_rigs(tmp_path):
    faults = load(
        tmp_path,
        "target: a, kind: drift, drift_percent_per_h: 20",
        "target: a, kind: sf_jump, decades: -1",
        "target: a, kind: sf_jump",
        "target: a, kind: late, delay_s: 2",
        "target: a.meter, kind: meter_replay, lag_s: 3600",
    ).base.faults
    assert [f.value for f in faults] == [0.2, -1, 1, 2, 3600]
