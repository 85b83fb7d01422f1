"""A run with a robust gate says what that cost: in its KPIs, its report and at its end."""

import pytest

from twin.commands.summary import summary

HOUSES = [f"load {i}" for i in range(13)]
ASSETS = [  # cars lean on the two batteries beside them
    {
        "kind": "ev",
        "at": HOUSES[7:12],
        "p_max_w": 11000,
        "arrival_h": 17,
        "spread_h": 0.5,
        "energy_need_wh": 15000,
    },
    {
        "kind": "battery",
        "at": [HOUSES[6], HOUSES[12]],
        "p_max_w": 20000,
        "capacity_wh": 60000,
        "soc_initial": 0.9,
    },
]
RUSH = {"start": "2016-01-18T16:30:00+01:00", "duration_days": 3 / 96, "participants": {"assets": ASSETS}}


@pytest.fixture(scope="module")
def robust(run_street):
    """Three quarters of an hour; the cars come in the third."""
    return run_street(**RUSH, coordination={"robust": 1}, outputs={"report": True})


def test_up_to_the_first_cut_it_is_what_a_run_without_it_cuts_less(run_street, robust):
    plain = run_street(**RUSH)
    less = robust.kpis["cut_wh"] - plain.kpis["cut_wh"]
    assert less > 0 and robust.kpis["robust_cut_wh"] == less
    assert robust.kpis["robust_price_micro"] > 0 and robust.kpis["robust_cut_intervals_count"] == 1
    assert plain.kpis["robust_price_micro"] is None and plain.kpis["robust_cut_wh"] is None


def test_report_and_summary_say_so(robust):
    report = (robust.folder / "report.html").read_text(encoding="utf-8")
    assert "keep the limits also if any one delivery fails. That cost" in report
    assert "Of it, to stand failing deliveries" in report
    assert any(line.startswith("  price of standing failed deliveries: ") for line in summary(robust))
