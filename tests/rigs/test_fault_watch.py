"""The judge of the harness: what counts as noticed, as believed wrongly, as back."""

import math

from rigs.device import Quality, Sample
from rigs.fault_watch import FaultWatch
from rigs.faults import Fault

STEP = 900


def sample(p_w: float, good: bool = True, note: str = "") -> Sample:
    quality = Quality.GOOD if good else Quality.BAD
    return Sample(p_w, 0.0, 0.0, 0.0, math.nan, quality, 0.0, wire=True, note=note)


def watch(*samples: Sample, true_w: float = 1000.0, until_s: float = 2700) -> FaultWatch:
    """Steps end at 900, 1800, ...; the fault holds from 1800 until before ``until_s``."""
    seen = FaultWatch((Fault("h.pv", "mute", 1800, until_s),))
    for k, each in enumerate(samples):
        seen.begins(k * STEP, STEP)
        seen.saw("h.pv", (k + 1) * STEP, each, true_w)
    return seen


GOOD, BAD = sample(1000.0), sample(math.nan, False, "tcp://127.0.0.1:5020 unit 1: read 2: gone; gone")


def test_noticed_and_back() -> None:
    (found,) = watch(GOOD, BAD, BAD, GOOD, GOOD).findings()
    assert (found.noticed_after_s, found.recovered_after_s, found.handled) == (0, 900, True)
    assert found.notice == "read 2: gone; gone"  # no port, which differs from run to run
    assert found.done.startswith("2 samples marked bad")


def test_harmless_is_handled_only_if_every_value_was_right() -> None:
    (found,) = watch(*[GOOD] * 6).findings()
    assert (found.noticed_after_s, found.notice, found.handled) == (None, "every value was right", True)
    (found,) = watch(GOOD, GOOD, sample(1100.0), GOOD, GOOD, GOOD).findings()
    assert (found.handled, found.believed_wrong) == (False, 1)
    assert found.why == "1 wrong values were taken for good"
    (found,) = watch(*[sample(1070.0)] * 6).findings()
    assert found.believed_wrong == 0, "within what the registers allow: 25 W and 5 %"


def test_not_coming_back_is_not_handled() -> None:
    (found,) = watch(GOOD, BAD, BAD, BAD, BAD, BAD, BAD).findings()
    assert (found.handled, found.why) == (False, "good values came back not at all")
    (found,) = watch(GOOD, BAD, BAD, BAD, BAD, BAD, GOOD).findings()
    assert found.why == "good values came back only after 3600 s"
    (found,) = watch(GOOD, BAD, BAD, until_s=2700).findings()
    assert found.handled, "the run ended before anything could be asked for"


def test_a_fault_that_nobody_sampled_proves_nothing() -> None:
    (found,) = watch(GOOD).findings()
    assert (found.handled, found.why) == (False, "no sample was taken while it lasted")


def test_bad_samples_are_explained_by_a_fault_of_the_same_owner_and_time_only() -> None:
    seen = watch(GOOD)
    assert not seen.explains("h.pv", 900)
    assert seen.explains("h.pv", 1800)
    assert seen.explains("h.meter", 2700)
    assert not seen.explains("g.pv", 1800)
    assert not seen.explains("h.pv", 2700 + 2 * STEP)


def test_what_the_harness_did_is_told() -> None:
    seen = FaultWatch((Fault("h.pv", "kick", 0, 900),))
    seen.begins(0, STEP)
    seen.heard("joined", {"role": "h.pv"})
    seen.heard("joined", {"role": "other"})
    seen.heard("decision", {"role": "h.pv", "outcome": "unknown", "reason": "x"})
    seen.heard("decision", {"role": "h.pv", "outcome": "sent", "reason": "written anew"})
    seen.saw("h.pv", 900, BAD, None)
    (found,) = seen.findings()
    assert found.done == (
        "1 sample marked bad, the model stood in, counters carried on; link brought back, identity checked; "
        "write taken as unknown, all points to be written anew; set point written anew"
    )
