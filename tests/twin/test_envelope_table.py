"""The envelopes that a run publishes are in its folder, are those that bound its orders, and go out as CSV."""

import csv
import io

import numpy as np
import pytest

from twin.check_names import check_words
from twin.cli import main
from twin.report.operator import operator_context

INTERVALS, INTERVAL_H = 5, 0.25


@pytest.fixture(scope="module")
def capped(run_street):
    """Over an hour from the cars' arrival on, under envelopes of equal power."""
    return run_street(
        start="2016-01-18T16:45:00+01:00",
        duration_days=INTERVALS / 96,
        coordination={"mode": "envelope", "envelope_allocation": "equal"},
    )


def test_a_row_per_connection_point_and_interval_from_the_second_on(capped):
    table = capped.table("envelopes").to_pandas()
    assert sorted(set(table["interval"])) == list(range(1, INTERVALS + 1)), "the last is for the next run"
    assert set(table.groupby("interval").size()) == {13}
    at = capped.table("intervals").to_pandas().set_index("interval")["time"]
    own = table[table["interval"] < INTERVALS]
    assert (own["time"] == at.loc[own["interval"]].to_numpy()).all()
    where = {
        house: row["bus"] for row in capped.table("feeder_buses").to_pylist() for house in row["participants"]
    }
    assert (table["bus"] == table["participant"].map(where)).all()


def test_its_caps_are_those_that_bound_the_orders(capped):
    """Flexible trades of a participant stay within its caps, and some are held up by them to the last Wh."""
    fills = capped.table("trades").to_pandas().query("flexible")
    trades = fills.drop_duplicates(
        ["interval", "order_id"]
    )  # an order may be filled by neighbours and supplier
    caps = capped.table("envelopes").to_pandas().set_index(["interval", "participant"])
    bound = 0
    for side, cap in (("buy", "import_w"), ("sell", "export_w")):
        asked = trades[(trades["side"] == side) & (trades["interval"] > 0)]
        asked = asked.groupby(["interval", "participant"])["offered_wh"].sum()
        most = np.floor(caps.loc[asked.index, cap] * INTERVAL_H)
        assert (asked <= most).all()
        bound += int((asked == most).sum())
    assert bound > 5, "else the caps told nothing"


def test_the_report_says_how_wide_it_was_and_what_bound_it(capped):
    (told,) = operator_context({"one": capped}, {}, "EUR")
    (text,) = [t for t in told["sentences"] if t.startswith("Envelopes were published")]
    table = capped.table("envelopes").to_pandas()
    most = f"{table['import_w'].max() / 1000:.1f}\u00a0kW more than its baseline"
    assert f"for {INTERVALS} intervals" in text and f"to {most}" in text
    kind, _, where = table["binding_import"].mode()[0].partition(" at ")
    assert f"mostly bound by {check_words(kind)} at {where}" in text


def test_it_goes_out_as_csv(capped, capsys):
    assert main(["export", str(capped.folder), "envelopes"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    table = capped.table("envelopes").to_pylist()
    assert len(rows) == len(table) == INTERVALS * 13
    for row, own in zip(rows, table, strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in own.items()}


def test_lists_have_semicolons_and_wrong_names_are_told(capped, capsys):
    assert main(["export", str(capped.folder), "feeder_buses"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["participants"] for row in rows] == [
        ";".join(row["participants"]) for row in capped.table("feeder_buses").to_pylist()
    ]
    for wrong in (["envelops"], ["envelopes", "--variant", "b"]):
        assert main(["export", str(capped.folder), *wrong]) == 2
    assert "no table 'envelops'" in capsys.readouterr().err


def test_other_coordination_publishes_none(gated):
    assert gated.table("envelopes").num_rows == 0
