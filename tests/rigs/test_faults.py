"""Every fault of the vocabulary: noticed or survived, never taken for a good number, and gone when it is
over. On a socket and on a serial line; all faults of a link come one after the other on one device."""

import pytest

from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.errors import RigError
from rigs.faults import KINDS, Fault
from rigs.open_bench import open_bench

BATTERY = RoleSpec("h.battery", "battery", 5000.0, 800000.0, 0.5)
STEP_S, STEPS, FIRST = 900, 8, 2
SURVIVED = {"merged", "split"}  # a good client is not troubled
UNSEEN = {"lie", "drift"}  # consistent lies need an independent meter
VALUES = {"late": 1.6, "lie": 1.5, "drift": 0.6, "sf_jump": 1.0}
WAITS = {"mute", "late"}  # each costs a time-out of a second
QUICK_ON_A_LINE = ("split", "busy")
SLOW_ON_A_LINE = (
    "mute",
    "late",
    "merged",
    "wrong_unit",
)  # after a time-out a line is left alone for as long again


def fault_at(number: int, kind: str) -> Fault:
    first = STEPS * number + FIRST
    last = first + (1 if kind in WAITS else 2)
    return Fault(BATTERY.role, kind, first * STEP_S, last * STEP_S, VALUES.get(kind, 1.0))  # type: ignore[arg-type]


def command_w(number: int, kind: str, k: int) -> float:
    """What is ordered changes in every step, so that writes meet the fault, too; but for those that cost time."""
    return 2000.0 + 100 * number + (0 if kind in WAITS else 10 * k)


def run(folder, text, kinds):
    path = folder / "bench.yaml"
    path.write_text(text)
    samples, k = {}, 0
    with open_bench(path, [BATTERY]) as bench:
        bench.schedule([fault_at(number, kind) for number, kind in enumerate(kinds)])
        for number, kind in enumerate(kinds):
            samples[kind] = []
            for step in range(STEPS):
                commands = {BATTERY.role: Command(command_w(number, kind, step))}
                done = bench.step(k * STEP_S, STEP_S, commands, {BATTERY.role: Ambient()})
                samples[kind].append(done[BATTERY.role])
                k += 1
        return {kind: (samples[kind], found) for kind, found in zip(kinds, bench.findings(), strict=True)}


ON = {"tcp": KINDS, "rtu": QUICK_ON_A_LINE, "slow rtu": SLOW_ON_A_LINE}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Samples and finding by kind, for a link; each link is run once."""
    done = {}

    def of(link: str):
        if link not in done:
            more = "" if link == "tcp" else ", emulated: {link: rtu}"
            text = "driver: emulated, mode: armed, reversion_s: 7200, timing: {timeout_s: 1}" + more
            text = f"bench: test\ndevices:\n  h.battery: {{{text}}}\n"
            done[link] = run(tmp_path_factory.mktemp("faults"), text, ON[link])
        return done[link]

    return of


CASES = [
    pytest.param(link, kind, marks=[pytest.mark.slow] if link == "slow rtu" else [])
    for link, kinds in ON.items()
    for kind in kinds
]


@pytest.mark.parametrize(("link", "kind"), CASES)
def test_a_fault_is_noticed_or_survived_and_leaves_no_trace(seen, link, kind) -> None:
    samples, finding = seen(link)[kind]
    before, during, after = samples[:FIRST], samples[FIRST - 1 : FIRST + 2], samples[6:]
    assert all(s.quality is Quality.GOOD for s in before[:1])
    assert all(s.quality is Quality.GOOD for s in after), [s.note for s in after]
    assert finding.recovered_after_s is not None
    survived = SURVIVED if link == "tcp" else {"split"}  # a line has no transactions to tell answers apart by
    if kind in survived | UNSEEN:
        assert all(s.quality is Quality.GOOD for s in during), [s.note for s in during]
        assert finding.noticed_after_s is None
        # without a meter beside the device nobody can know, but the watch, who is told the truth, does
        assert finding.handled is (kind in survived)
        assert (finding.believed_wrong == 0) is (kind in survived)
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
        number = ON[link].index(kind)
        ordered_wh = sum(command_w(number, kind, k) for k in range(1, STEPS)) / 4
        assert counted[-1] - counted[0] == pytest.approx(ordered_wh, abs=60)


def test_what_a_line_or_a_map_cannot_do_is_refused_by_name(tmp_path) -> None:
    car = RoleSpec("h.ev", "ev_charger", 11000.0)
    path = tmp_path / "bench.yaml"
    path.write_text(
        "bench: t\ndevices:\n  h.battery: {driver: emulated, emulated: {link: rtu}}\n  h.ev: {driver: emulated}\n"
    )
    with open_bench(path, [BATTERY, car]) as bench:
        for role, kind, why in (
            (BATTERY.role, "reset", "no connection to lose"),
            (BATTERY.role, "kick", "no connection to lose"),
            (car.role, "sf_jump", "no scale factors"),
            (car.role, "nan", "'no value'"),
        ):
            with pytest.raises(RigError, match=f"^{role} is .*{why}"):
                bench.schedule([Fault(role, kind, 0, 900)])


def test_faults_without_a_known_kind_or_a_duration_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown fault 'sulk'; known: mute, late"):
        Fault("r", "sulk", 0, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must lie before"):
        Fault("r", "mute", 5, 5)
