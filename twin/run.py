"""A run: every variant through the world, into its folder, judged afterwards on what was recorded."""

import hashlib
import json
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.chain.errors import ChainError
from adapters.chain.port import BatchReceipt
from adapters.export.errors import FolderExistsError
from adapters.export.run_folder import RunFolder
from rigs.errors import RigError
from twin.chain_outcome import pair, settlement_row
from twin.chronicle import StopRequest
from twin.compiled import drop_stale_code
from twin.errors import AbortedError, WrongInputError
from twin.pace import slow_notes
from twin.prepare import PreparedRun, PreparedScenario, prepare
from twin.progress import ProgressSink, silent
from twin.results import RunResult
from twin.scenario.load import LoadedScenario
from twin.settlement_chain import check_nodes, open_settlement
from twin.tables import TABLES
from twin.versions import git_commit, versions

if TYPE_CHECKING:
    from rigs.bench import OpenBench

SCHEMA_VERSION = 1


class IncompleteRunError(AbortedError):
    """The world ended before the last interval: an outside part died. Worth another try."""


@dataclass(frozen=True)
class _Place:
    """A variant and the folder it is written to."""

    prepared: PreparedRun
    path: Path


def run(
    loaded: LoadedScenario,
    out: Path | None = None,
    *,
    bench: Path | None = None,
    variants: Sequence[str] | None = None,
    replace: bool = False,
    progress: ProgressSink = silent,
    say: Callable[[str], None] | None = None,
    arm: Mapping[str, float] | None = None,
) -> RunResult:
    """Run a scenario with all its variants (or those named) and write its run folder.

    Args:
        loaded: from ``load_scenario``.
        out: the run folder; by default ``runs/<name>-<UTC time>``.
        bench: a bench file that replaces the scenario's own.
        variants: names of the variants to run; the judged one is always among them.
        replace: replace an earlier run in ``out``.
        progress: who is told how far the run is.
        say: who is told before the run, in a sentence each, what will make it slow; None: nothing is measured.
        arm: role to seconds for which a real device of the bench is armed; never a default, never from a file.

    Returns:
        The results; also of a run that was stopped or that an outside part ended (verdict 'aborted').

    Raises:
        ScenarioError: wrong input that needs the feeder to be seen; nothing was run.
        WrongInputError: the folder may not be used.
    """
    started = time.monotonic()
    drop_stale_code()
    command = rerun_command(loaded, bench, variants)
    prepared = prepare(loaded, bench, arm, ask=True)
    names = [n for n in prepared.runs if variants is None or n in variants or n == loaded.judged]
    check_nodes(prepared, names)
    if say is not None:
        for note in slow_notes(prepared, names):
            say(note)
    folder = out or Path("runs") / f"{loaded.base.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    open_folders = _create_folders(prepared, names, folder, command, replace)
    _run_all(prepared, open_folders, progress, arm, started)
    if loaded.base.outputs.report:
        from twin.report.render import write_report

        write_report(folder)
    return RunResult(folder)


def _run_all(
    prepared: PreparedScenario,
    folders: Mapping[str, RunFolder],
    progress: ProgressSink,
    arm: Mapping[str, float] | None,
    started: float,
) -> None:
    """Run the variants one after the other until one fails; whatever happens, every folder is finished."""
    stop = StopRequest()
    failure = ""
    try:
        with _stop_on_signal(stop):
            for name in (n for n in prepared.runs if n in folders):
                failure = failure or _run_one(prepared.runs[name], folders[name], progress, stop, arm)
    except BaseException as error:
        failure = f"{type(error).__name__}: {error}"
        raise
    finally:
        for each in folders.values():
            each.finish("failed" if failure else "finished", _ended(started, failure))


def _create_folders(
    prepared: PreparedScenario, names: list[str], folder: Path, command: str, replace: bool
) -> dict[str, RunFolder]:
    """Create the run folder of every variant: the judged one's is the top, which must exist before the others."""
    judged = prepared.loaded.judged
    places = [_Place(prepared.runs[n], folder if n == judged else folder / "variants" / n) for n in names]
    places.sort(key=lambda p: p.path != folder)
    try:
        return {
            p.prepared.name: RunFolder.create(
                p.path,
                {**_manifest(prepared, names, p.prepared), "command": command},
                schemas=TABLES,
                replace=replace and p.path == folder,
            )
            for p in places
        }
    except FolderExistsError as error:
        raise WrongInputError(str(error)) from None
    except OSError as error:
        raise WrongInputError(
            f"{places[0].path}: the run folder cannot be made: {error.strerror}. Name another with --out."
        ) from None


def _ended(started: float, failure: str) -> dict[str, Any]:
    update: dict[str, Any] = {
        "ended_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(time.monotonic() - started, 3),
    }
    return {**update, "failure": failure} if failure else update


def rerun_command(loaded: LoadedScenario, bench: Path | None, variants: Sequence[str] | None) -> str:
    """What runs the same again in a shell, from the same folder, into a run folder of its own."""
    words = ["twin", "run", str(loaded.path), *loaded.arguments]
    words += [] if bench is None else ["--bench", str(bench)]
    words += [word for name in variants or () for word in ("--variant", name)]
    return shlex.join(words)


def _manifest(prepared: PreparedScenario, names: list[str], run: PreparedRun) -> dict[str, Any]:
    loaded = prepared.loaded
    resolved = run.scenario.model_dump(mode="json")
    canonical = json.dumps(resolved, sort_keys=True, separators=(",", ":")).encode()
    entries = [
        {
            "name": n,
            "title": loaded.base.variants[n].title or n,
            "judged": n == loaded.judged,
            "folder": "." if n == loaded.judged else f"variants/{n}",
        }
        for n in (names if loaded.variants else ())
    ]
    s, comparison = run.scenario, run.comparison
    return {
        "schema_version": SCHEMA_VERSION,
        "name": s.name,
        "title": s.title,
        "description": s.description,
        "scenario_file": loaded.path.name,
        "scenario": resolved,
        "scenario_sha256": hashlib.sha256(canonical).hexdigest(),
        "seed": s.seed,
        "versions": versions(),
        "git_commit": git_commit(),
        "variants": entries,
        "variant": run.name,
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "start": s.start.isoformat(),
        "interval_s": s.interval_s,
        "step_s": s.step_s,
        "currency": s.currency,
        "forecast": s.participants.forecast.kind,
        "feeder": {
            "source": run.feeder.source, "n_bus": run.feeder.n_bus, "n_branch": run.feeder.n_branch,
            "n_points": len(run.feeder.points), "notes": list(run.feeder.notes),
        },
        "engines": {
            "gate": run.gate_engine, "plant": run.plant_engine, "notes": list(run.notes),
            "agreement": {"agrees": comparison.agrees, "sentences": list(comparison.sentences())},
        },
    }  # fmt: skip


def _run_one(
    run: PreparedRun,
    folder: RunFolder,
    progress: ProgressSink,
    stop: StopRequest,
    arm: Mapping[str, float] | None = None,
) -> str:
    """Run one variant; returns why it ended early, or an empty text."""
    progress.start(run.name, run.scenario.n_intervals)
    try:
        with ExitStack() as opened:
            _Variant(run, folder, opened, arm or {}).go(progress, stop)
    except (AbortedError, RigError, ChainError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        progress.finish()
    return ""


class _Variant:
    """One variant from its organs to its verdict."""

    def __init__(
        self, run: PreparedRun, folder: RunFolder, opened: ExitStack, arm: Mapping[str, float]
    ) -> None:
        """Build the organs; what must be closed again is entered into ``opened``."""
        from twin.organs import build

        self.run, self.folder = run, folder
        # the chain's process starts first: it imports its libraries while the simulation runs
        self.chain = open_settlement(run)
        opened.callback(self.chain.close)
        self.bench = None if run.bench is None else self._open_bench(opened, arm)
        self.organs = build(run, folder, self.chain, self.bench)

    def _open_bench(self, opened: ExitStack, arm: Mapping[str, float]) -> "OpenBench | None":
        from twin.bench_run import open_run_bench

        bench = open_run_bench(self.run, self.folder.path, arm)
        return None if bench is None else opened.enter_context(bench)

    def go(self, progress: ProgressSink, stop: StopRequest) -> None:
        """Simulate, settle, judge, write."""
        from twin.world import run_world

        s, organs = self.run.scenario, self.organs
        until_s = s.n_intervals * s.interval_s
        try:
            run_world(organs.world(progress, stop), s.interval_s, s.step_s, until_s)
        finally:
            organs.recorder.write()
        last = organs.recorder.last_interval
        if last != s.n_intervals - 1:
            raise IncompleteRunError(f"the run ended after interval {last}, asked for {s.n_intervals - 1}")
        start_s = int(s.start.timestamp())
        receipts, agrees = organs.settlement.finish(start_s + until_s)
        if s.settlement.chain != "none":
            self.folder.write_json("chain.json", self.chain.history())  # for `twin chain reconcile`
        self._write_settlement(receipts)
        self._judge(receipts, None if s.settlement.chain == "none" else agrees)

    def _write_settlement(self, receipts: list[BatchReceipt]) -> None:
        for batch, receipt in pair(self.organs.settlement.batches, receipts):
            row = settlement_row(batch, receipt)
            self.folder.append("settlement", {key: [value] for key, value in row.items()})

    def _judge(self, receipts: list[BatchReceipt], agrees: bool | None) -> None:
        from twin.judge import judge

        judgement = judge(self.run, self.organs, receipts, agrees)
        for table, rows in judgement.tables.items():
            if rows:
                self.folder.append(table, rows)
        self.folder.write_json("kpis.json", judgement.kpis)
        self.folder.write_json("verdict.json", judgement.verdict)
        self.folder.manifest["devices"] = self.organs.device_records()


@contextmanager
def _stop_on_signal(stop: StopRequest) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a stop request: mosaik swallows a KeyboardInterrupt without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: Any) -> None:
        if stop.reason:  # asked twice: whatever is being waited for, a settlement for example, is not
            raise KeyboardInterrupt
        stop.reason = f"stopped by {signal.Signals(number).name}"

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
