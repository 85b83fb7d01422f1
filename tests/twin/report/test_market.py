"""The market's accounts in the report: only where there are any, every number the run's, and text is text."""

import re
from html import unescape

import pytest

from adapters.export.run_folder import RunFolder
from twin.report.market import market_context
from twin.report.render import write_report
from twin.results import RunResult
from twin.tables import TABLES

HOSTILE = '</script><b onclick="window.hacked=1">'
BILLS = [
    {"mechanism": "call_auction", "total_micro": 123_248_917, "supplier_only_micro": 187_780_660,
     "saved_micro": 64_531_743, "worse_off_count": 1, "jain": 0.338, "gini": 0.525},
    {"mechanism": "none", "total_micro": 192_000_000, "supplier_only_micro": 192_000_000, "saved_micro": 0,
     "worse_off_count": 0, "jain": None, "gini": None},
]  # fmt: skip
ACCOUNTS = [
    {"role": "arbitrageur", "participant": "Load 3", "slots": 32, "committed_wh": 0, "delivered_wh": 0,
     "money_micro": 403_442, "profit_micro": 403_442},
    {"role": "fund", "participant": "pool", "slots": 28, "committed_wh": 0, "delivered_wh": 0,
     "money_micro": -507_945, "profit_micro": -507_945},
    {"role": "provider", "participant": HOSTILE, "slots": 20, "committed_wh": 3_971, "delivered_wh": 3_835,
     "money_micro": 788_782, "profit_micro": 481_982},
]  # fmt: skip
AGREEMENTS = [
    {"contract_id": "7483db5a54d505fb", "seller": "a", "buyer": "b", "text": f"1. a sells {HOSTILE}"}
]
REFUSED = [
    {"asset": "Load 4/battery", "codes": ["not_signed", "stake_too_low"], "reasons": ["who", "how much"]}
]


@pytest.fixture
def folder(tmp_path):
    market = {"mechanism": "call_auction", "admission": {"condition": "stake"}}
    made = RunFolder.create(
        tmp_path / "run", {"currency": "EUR", "scenario": {"market": market}}, schemas=TABLES
    )
    made.append("admissions", {"asset": ["Load 4/battery", "Load 5/pv"], "admitted": [False, True]})
    for interval, provided in enumerate((0, 2_000)):
        made.append("pool_slots", {
            "interval": [interval], "provided_wh": [provided], "dissipated_wh": [20], "sold_wh": [5_000],
            "bought_wh": [6_000], "ahead_wh": [700], "kept_wh": [30], "residual_wh": [1_500],
            "withdrawn_wh": [40],
        })  # fmt: skip
    left = {
        "participant": HOSTILE,
        "left": 2,
        "withdrawn_wh": 1_300,
        "refused": {"last_provider": 3, "odd": 1},
    }
    record = {
        "withdrawals": [left],
        "whole_bills": BILLS,
        "pool_accounts": ACCOUNTS,
        "agreements": AGREEMENTS,
        "refused": REFUSED,
    }
    made.write_json("verdict.json", {"verdict": "pass", "checks": [], **record})
    made.finish("finished", {})
    return tmp_path / "run"


def text_of(html):
    found = re.search(r'<section class="card" id="market">(.*?)</section>', html, re.S)
    assert found
    return " ".join(
        unescape(re.sub(r"<[^>]+>", " ", found.group(1))).replace("\N{NO-BREAK SPACE}", " ").split()
    )


def test_every_number_is_the_runs(folder):
    html = write_report(folder).read_text()
    text = text_of(html)
    assert "Call auction settles 187.78 123.25 64.53 1 0.34 0.53" in text
    assert "No trade 192.00 192.00 0.00 0 – –" in text
    assert "Arbitrageur Load 3 32 – – 0.40 EUR 0.40 EUR" in text
    assert "The community’s fund pool 28 – – −0.51 EUR −0.51 EUR" in text
    assert "20 4.0 kWh 3.8 kWh 0.79 EUR 0.48 EUR" in text
    assert "2 slots: 1.4 kWh were traded ahead" in text
    assert "3.0 kWh found no neighbour" in text
    assert "2 1.3 kWh 3: its pool has traded and nobody else stands behind it; 1: odd" in text
    assert "1 of 2 assets were admitted (condition: stake)" in text
    assert "Load 4/battery not signed by its owner, stake too low" in text
    assert "1. a sells" in text
    assert "7483db5a54d505fb" in text


def test_names_and_contracts_are_text_and_the_section_is_linked(folder):
    html = write_report(folder).read_text()
    assert HOSTILE not in html
    assert '<a href="#market">' in html


def test_nothing_is_said_where_there_is_nothing(tmp_path):
    made = RunFolder.create(tmp_path / "run", {"currency": "EUR"}, schemas=TABLES)
    made.write_json("verdict.json", {"verdict": "pass", "checks": []})
    made.finish("finished", {})
    assert market_context(RunResult(tmp_path / "run"), "EUR") is None
    html = write_report(tmp_path / "run").read_text()
    assert 'id="market"' not in html
    assert '"#market"' not in html
