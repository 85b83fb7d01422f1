"""Every fault of the vocabulary: noticed or survived, never taken for a good number, and gone when it is
over."""

import pytest

from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.faults import KINDS, Fault
from rigs.open_bench import open_bench

BATTERY = RoleSpec("h.battery", "battery", 5000.0, 100000.0, 0.5)
STEP_S = 900
FROM_S, UNTIL_S = 2 * STEP_S, 4 * STEP_S
STEPS = 8
SURVIVED = {"merged", "split"}  # a good client is not troubled
UNSEEN = {"lie", "drift"}  # consistent lies need an independent meter
VALUES = {"late": 0.8, "lie": 1.5, "drift": 0.6, "sf_jump": 1.0}


def run(write_bench, bench_text, fault: Fault | None):
    text = bench_text(roles=[BATTERY], extra="timing: {timeout_s: 0.3}")
    with open_bench(write_bench(text), [BATTERY]) as bench:
        if fault is not None:
            bench.schedule([fault])
        samples = [
            bench.step(
                k * STEP_S, STEP_S, {BATTERY.role: Command(2000.0 + 10 * k)}, {BATTERY.role: Ambient()}
            )[BATTERY.role]
            for k in range(STEPS)
        ]
        return samples, bench.findings()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_noticed_or_survived_and_leaves_no_trace(write_bench, bench_text, kind) -> None:
    fault = Fault(BATTERY.role, kind, FROM_S, UNTIL_S, VALUES.get(kind, 1.0))
    samples, (finding,) = run(write_bench, bench_text, fault)
    before, during, after = samples[:1], samples[1:4], samples[6:]
    assert all(s.quality is Quality.GOOD for s in before)
    assert all(s.quality is Quality.GOOD for s in after), [s.note for s in after]
    assert finding.recovered_after_s is not None
    if kind in SURVIVED | UNSEEN:
        assert all(s.quality is Quality.GOOD for s in during), [s.note for s in during]
        assert finding.noticed_after_s is None
        # without a meter beside the device nobody can know, but the watch, who is told the truth, does
        assert finding.handled is (kind in SURVIVED)
        assert (finding.believed_wrong == 0) is (kind in SURVIVED)
    else:
        assert finding.handled, finding.why
        assert finding.noticed_after_s is not None
        assert finding.noticed_after_s <= 2 * STEP_S
        bad = [s for s in during if s.quality is Quality.BAD]
        assert bad
        assert all(s.note for s in bad)  # never bad without a reason
    counted = [s.energy_export_wh for s in samples]
    assert counted == sorted(counted)  # rising whatever happens, also when the device begins again
    if kind not in UNSEEN | {"reboot"}:
        # whatever happened on the wire, the counters end where the device's own account ends
        assert samples[-1].energy_export_wh == pytest.approx(
            samples[0].energy_export_wh + sum(2000 + 10 * k for k in range(1, STEPS)) / 4,
            abs=2500 if kind in ("mute", "late", "reset", "busy", "wrong_unit", "kick", "merged") else 2,
        )


def test_faults_without_a_known_kind_or_a_duration_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown fault 'sulk'; known: mute, late"):
        Fault("r", "sulk", 0, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must lie before"):
        Fault("r", "mute", 5, 5)
