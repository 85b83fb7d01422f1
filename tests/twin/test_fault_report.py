"""What became of faults reaches the table, the verdict and the report."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from rigs.faults import Fault, FaultFinding
from twin.fault_report import fault_check, fault_columns
from twin.report.devices import KINDS, devices_context
from twin.tables import TABLES

MUTE = FaultFinding(Fault("h.pv", "mute", 1800, 2700), 0.0, "no answer", "1 sample marked bad", 900.0)
LIE = FaultFinding(
    Fault("h.pv", "lie", 3600, 7200, 1.3), None, "not noticed", "nothing needed", 0.0, 4, False, "4 wrong values were taken for good"
)  # fmt: skip


def test_rows_fit_the_table() -> None:
    columns = fault_columns((MUTE, LIE))
    table = pa.table(columns, schema=TABLES["faults"])
    assert table.num_rows == 2
    assert table["why"].to_pylist() == [None, LIE.why]
    assert table["noticed_after_s"].to_pylist() == [0.0, None]
    assert fault_columns(()) == {}


def test_the_check_fails_for_one_that_was_not_handled_and_names_it() -> None:
    (good,) = fault_check((MUTE,), 900)
    assert (good.verdict, good.value, good.detail) == (
        "pass", 0, "1 of 1 scheduled faults were noticed, the others did no harm"
    )  # fmt: skip
    (bad,) = fault_check((MUTE, LIE), 900)
    assert (bad.verdict, bad.value, bad.element, bad.first_interval) == ("fail", 1, "h.pv", 4)
    assert bad.detail == "lie on h.pv: 4 wrong values were taken for good"
    assert fault_check((), 900) == []


def run(columns=None, **devices):
    schema = TABLES["faults"]
    table = pa.table(columns, schema=schema) if columns else schema.empty_table()
    return SimpleNamespace(table=lambda name: table, manifest={"devices": devices})


def test_the_report_lists_fault_notice_and_deed() -> None:
    context = devices_context(run(fault_columns((MUTE, LIE)), roles=[], pacer=None))
    assert context is not None
    first, second = context["faults"]
    assert (first["what"], first["noticed"], first["recovered"], first["handled"]) == (
        "never answers", "at once", "after 15\u00a0min", True
    )  # fmt: skip
    assert (second["handled"], second["why"]) == (False, LIE.why)
    assert devices_context(run(roles=[{"role": "h.pv"}], pacer=None)) is None


def test_the_report_lists_how_time_was_kept() -> None:
    timing = {
        "polls": 300, "missed_polls": 2, "overruns": 0, "mean_latency_s": 0.002, "worst_latency_s": 0.0215,
        "worst_age_s": 1.25, "made_safe": None,
    }  # fmt: skip
    pacer = {
        "step_s": 1, "steps": 60, "overruns": 1, "median_offset_s": 0.001, "p99_offset_s": 0.004,
        "worst_offset_s": 1.2,
    }  # fmt: skip
    context = devices_context(run(roles=[{"role": "h.pv", "timing": timing}], pacer=pacer))
    assert context is not None
    (row,) = context["timing"]
    assert (row["latency"], row["age"], row["bad"]) == ("2.0 / 21.5 ms", "1.25 s", True)
    assert (context["pacer"]["worst"], context["pacer"]["bad"]) == ("1200.0 ms", True)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_words(kind) -> None:
    assert Fault("h.pv", kind, 0, 1).kind == kind
