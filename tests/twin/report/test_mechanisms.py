"""Mechanisms compared: only where there is a comparison, every number the run's, and honest about what it is."""

import re
from html import unescape

import numpy as np
import pytest

from adapters.export.run_folder import RunFolder
from twin.report.mechanisms import label, mechanisms_context, mechanisms_payload
from twin.report.pack import unpack
from twin.report.render import write_report
from twin.results import RunResult
from twin.tables import TABLES

HOSTILE = '</script><b onclick="window.hacked=1">'
PRICES = {
    "call_auction": (200_000, None, 80_000),
    "amm": (190_000, 195_000, 191_000),
    "bill_sharing": (None,) * 3,
}
GAINS = {"call_auction": (1_500_000, 0, 2_500_000), "amm": (900_000, 100_000, 700_000), "bill_sharing": (-1_250_000, 0, 5_000_000)}  # fmt: skip
HOUSES = ("Load 10", "Load 9", HOSTILE)


def record(name, **more):
    return {
        "mechanism": name, "settles": name == "call_auction", "reference": False, "price_micro_per_kwh": 192_880,
        "volume_wh": 236_641, "welfare_micro": 44_891_741, "gap_ppm": 12_345, "gains_micro": sum(GAINS[name]),
        "gained_count": 2, "lost_count": sum(g < 0 for g in GAINS[name]), "pool_micro": 27_559_949, "jain": 0.381, "gini": 0.489,
        **more,
    }  # fmt: skip


REFERENCES = [
    {"mechanism": "none", "settles": False, "reference": False, "volume_wh": 0, "welfare_micro": 0, "gap_ppm": 1_000_000,
     "price_micro_per_kwh": None, "gains_micro": 0, "gained_count": 0, "lost_count": 0, "pool_micro": 0, "jain": None, "gini": None},
    {"mechanism": "welfare optimum", "settles": False, "reference": True, "welfare_micro": 50_000_000, "gap_ppm": 0,
     "volume_wh": None, "price_micro_per_kwh": None},
]  # fmt: skip


def folder_of(path, records, tables=True):
    market = {"agreements": [{"seller": "Load 9"}]}
    folder = RunFolder.create(path, {"currency": "EUR", "scenario": {"market": market}}, schemas=TABLES)
    for k in range(3 if tables else 0):
        for name in ("bill_sharing", "amm", "call_auction"):
            folder.append("mechanisms", {
                "interval": [k], "mechanism": [name], "settles": [name == "call_auction"], "price_micro_per_kwh": [PRICES[name][k]],
                "retail_micro_per_kwh": [320_000 if k < 2 else 260_000], "feed_in_micro_per_kwh": [80_000], "volume_wh": [100],
            })  # fmt: skip
    for name, gains in GAINS.items() if tables else ():
        paid = [3_000_000 - g + 7_000 * (name == "call_auction") for g in gains]
        folder.append("bills", {
            "participant": HOUSES, "mechanism": [name] * 3, "settles": [name == "call_auction"] * 3, "gain_micro": gains,
            "supplier_only_micro": [3_000_000] * 3, "paid_micro": paid, "saved_micro": [3_000_000 - p for p in paid],
        })  # fmt: skip
    whole = [
        {"mechanism": "call_auction", "saved_micro": 64_531_743},
        {"mechanism": "amm", "saved_micro": -5_260_000},
    ]
    folder.write_json(
        "verdict.json", {"verdict": "pass", "checks": [], "mechanisms": records, "whole_bills": whole}
    )
    folder.finish("finished", {})
    return path


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The settling one is listed last and 'no trade' among the shadows: the report puts both where they belong."""
    records = [REFERENCES[0], record("bill_sharing", price_micro_per_kwh=None), record("amm"), record("call_auction"), REFERENCES[1]]  # fmt: skip
    return folder_of(tmp_path_factory.mktemp("mechanisms") / "r", records)


def table_rows(html):
    section = html.split('id="mechanisms"', 1)[1].split("</section>", 1)[0]
    body = re.findall(r"<tbody>(.*?)</tbody>", section, re.S)
    rows = re.findall(r"<tr.*?</tr>", body[0], re.S)
    return [[unescape(re.sub(r"<[^>]+>", "", c)).strip() for c in re.findall(r"<td.*?</td>", row, re.S)] for row in rows]  # fmt: skip


def test_the_table(compared, read_page):
    page = read_page(write_report(compared))
    rows = table_rows(page.html)
    assert [row[0] for row in rows] == [
        "Call auction settles", "Bill sharing", "AMM", "No trade reference", "Welfare optimum reference",
    ]  # fmt: skip
    money = [
        "0.1929",
        "237\u00a0kWh",
        "44.89",
        "1.2\u00a0%",
        "4.00",
        "27.56",
        "2",
        "0",
        "0.38",
        "0.49",
        "64.53",
    ]
    assert rows[0][1:] == money
    assert rows[1][1] == "–" and rows[1][8] == "1"
    assert [row[-1] for row in rows[1:]] == ["–", "−5.26", "–", "–"], "whole bills, where there are any"
    assert rows[3][1:6] == ["–", "0\u00a0Wh", "0.00", "100.0\u00a0%", "0.00"]
    assert rows[4][1:6] == ["–", "–", "50.00", "0.0\u00a0%", "–"]
    section = page.section("Mechanisms compared", "Violations, and what")
    assert "Call auction settled" in section and "before the gate" in section and "changed nothing" in section
    assert "A gain counts local trades only" in section and '<a href="#market">' in page.html
    assert "Bill sharing has no price" in section and "McAfee" not in section
    assert "Agreements and preferences were served before" in section


def test_who_lost_and_the_bills(compared):
    context = mechanisms_context(RunResult(compared), "EUR")
    strips = {strip["label"]: strip for strip in context["dots"]}
    assert list(strips) == ["Call auction", "Bill sharing", "AMM"]
    assert strips["Bill sharing"]["losers"] == ["Load 10 −1.25\u00a0EUR"] and strips["AMM"]["lost"] == 0
    assert strips["Call auction"]["median"] == "1.50\u00a0EUR"
    # one scale for all: -1.25 is its left end, 5 its right
    at = [(dot["at"], dot["lost"]) for dot in strips["Bill sharing"]["dots"]]
    assert at == [(0.0, True), (20.0, False), (100.0, False)]
    assert strips["AMM"]["dots"][0]["at"] == pytest.approx(100 * (0.9 + 1.25) / 6.25, abs=0.01)
    people = {row["name"]: row for row in context["people"]}
    assert [row["name"] for row in context["people"]] == [HOSTILE, "Load 9", "Load 10"]
    assert people["Load 10"]["alone"]["text"] == "3.00"
    assert [c["text"] for c in people["Load 10"]["cells"]] == ["1.51", "4.25", "2.10"]
    assert [c["lost"] for c in people["Load 10"]["cells"]] == [False, True, False]
    assert people["Load 9"]["cells"][0]["lost"]  # the gate cut what its market had gained it: 3.007 paid


def test_prices_for_the_chart(compared):
    payload = mechanisms_payload(RunResult(compared))
    assert [p["label"] for p in payload["prices"]] == [
        "Call auction",
        "AMM",
    ]  # without a price there is no line
    assert [p["settles"] for p in payload["prices"]] == [True, False]
    np.testing.assert_allclose(unpack(payload["prices"][0]["price"]), [0.2, np.nan, 0.08], atol=1e-6)
    np.testing.assert_allclose(unpack(payload["prices"][1]["price"]), [0.19, 0.195, 0.191], atol=1e-6)
    np.testing.assert_allclose(unpack(payload["retail"]), [0.32, 0.32, 0.26], atol=1e-6)
    assert unpack(payload["feed_in"]).tolist() == [0.08] * 3


def test_names():
    assert label("supply_demand_ratio") == "Supply–demand ratio"
    assert label("call_auction (shadow)") == "Call auction (shadow)"
    assert label("something_new") == "Something new"


@pytest.mark.parametrize("records", [[], [record("call_auction")]])
def test_no_comparison_no_section(tmp_path, read_page, records):
    page = read_page(write_report(folder_of(tmp_path / "r", records, tables=False)))
    assert "Mechanisms" not in page.text and page.data["mechanisms"] is None
    assert 'id="mechanisms"' not in page.html and "#mechanisms" not in page.html.split("<script>")[0]


def test_without_its_tables_the_numbers_still_stand(tmp_path, read_page):
    page = read_page(write_report(folder_of(tmp_path / "r", [record("call_auction"), record("amm")], tables=False)))  # fmt: skip
    assert len(table_rows(page.html)) == 2 and "Bills of all" not in page.text


def test_names_of_participants_stay_text(compared, read_page):
    html = read_page(write_report(compared)).html
    assert "<b onclick" not in html and 'title="&lt;/script&gt;&lt;b onclick=' in html


@pytest.mark.slow
def test_in_the_browser(browser, compared):
    browser.open(write_report(compared))
    drawn = "[...document.querySelectorAll('#chart-mechanisms .u-series .u-label')].map(e => e.textContent)"
    assert browser.run(drawn) == ["Time", "retail", "feed-in", "AMM", "Call auction (settles)"]
    browser.run("document.querySelectorAll('#mechanisms table.sortable th button')[8].click()")
    first = "document.querySelector('#mechanisms tbody tr td').textContent.trim()"
    assert browser.run(first) == "Bill sharing"  # who made most people lose comes first
    left = "[...document.querySelectorAll('#mechanisms .dots i')].map(e => e.getBoundingClientRect().left)"
    inside = browser.run("[...document.querySelectorAll('#mechanisms .dots')].map(e => { const r = e.getBoundingClientRect(); return [r.left, r.right]; })[0]")  # fmt: skip
    assert all(inside[0] - 5 <= x <= inside[1] for x in browser.run(left)) and len(browser.run(left)) == 9
    for width in (390, 1280):
        browser.size(width, 844, mobile=width < 600)
        assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.problems == []
