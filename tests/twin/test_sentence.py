"""The verdict in one sentence, and the names that it shares with the report and the command line."""

from types import SimpleNamespace

import numpy as np
import pytest

from twin.attributed import responsible
from twin.check_names import check_words
from twin.scenario.limits_section import LimitsSection
from twin.sentence import sentence
from twin.verdict import Check


def scenario(judge="trades"):
    return SimpleNamespace(title="A street", name="street", judge=judge, limits=LimitsSection())


def limit(name, value, bound, unit="pu", verdict="fail", judged=True):
    sign = -1 if name.endswith("min") else 1
    return Check(name, verdict, value, bound, unit, sign * (bound - value), "Bus 9", judged=judged)


@pytest.mark.parametrize(
    ("judge", "wanted"),
    [
        ("trades", "the trades of “A street” keep"),
        ("feeder", "the feeder of “A street” without trades keeps"),
    ],
)
def test_a_pass_names_the_nearest_limit(judge, wanted):
    checks = [
        limit(f"{judge}.voltage_max", 1.0963, 1.1, verdict="pass"),
        limit(f"{judge}.line_loading", 53.0, 100.0, "percent", verdict="pass"),
        limit("other.voltage_max", 1.2, 1.1, verdict="fail", judged=False),
    ]
    text = sentence(scenario(judge), "pass", checks)
    assert (
        text == f"Pass: {wanted} every assessed limit; the closest is highest voltage at Bus 9, by 0.0037 pu."
    )


def test_a_pass_does_not_claim_a_limit_that_the_feeder_breaks_by_itself():
    checks = [
        limit("trades.voltage_max", 1.2, 1.1, verdict="pass"),
        limit("feeder.voltage_max", 1.2, 1.1, judged=False),
        limit("trades.line_loading", 53.0, 100.0, "percent", verdict="pass"),
    ]
    assert sentence(scenario(), "pass", checks) == (
        "Pass: the trades of “A street” worsen no limit, but the feeder breaks "
        "highest voltage (1.200 pu, limit 1.1 pu, at Bus 9) without them as well."
    )


def test_a_failure_lists_what_is_broken_and_by_how_much():
    checks = [
        limit("trades.voltage_min", 0.89996, 0.9),
        limit("feeder.voltage_min", 0.8, 0.9, judged=False),
        limit("trades.transformer_loading", 131.2, 100.0, "percent"),
        Check("expect.cut_wh", "fail", 1_234_567, 1000, "", -1_233_567),
        Check("money", "fail", 0, 0, "micro", detail="the chain's balances differ from the ledger's"),
    ]
    assert sentence(scenario(), "fail", checks) == (
        "Fail: the trades of “A street” break lowest voltage (0.89996 pu, limit 0.9 pu, at Bus 9), "
        "transformer loading (131 %, limit 100 %, at Bus 9); cut_wh is 1234567, expected is at most 1000; "
        "money: the chain's balances differ from the ledger's."
    )
    checks[1] = limit("feeder.voltage_min", 0.8, 0.9)
    assert "break lowest voltage, with trades (0.89996 pu" in sentence(scenario("both"), "fail", checks)
    only = sentence(scenario(), "fail", [Check("expect.ev_short_count", "fail", 1, 2, "", -1)])
    assert only == "Fail: ev_short_count is 1, expected is at least 2."


def test_what_is_not_known_is_said():
    lost = Check("power_flow", "inconclusive", 2, 0, "steps", detail="first in interval 3: Bus 9 is NaN.")
    assert (
        sentence(scenario(), "inconclusive", [lost])
        == "Inconclusive: power flow: first in interval 3: Bus 9 is NaN."
    )
    assert sentence(scenario(), "inconclusive", []) == "Inconclusive: nothing could be assessed."


def test_names_in_words():
    assert check_words("feeder.voltage_min") == "lowest voltage, without trades"
    assert check_words("expect.cut_wh") == "cut_wh, expected"
    assert check_words("something_new") == "something new"


@pytest.mark.parametrize(
    ("share", "named"),
    [
        ([0.1, -0.3, 0.7, 0.2, -0.1, 0.4, 0.05, 0.6], ["p2", "p7", "p5", "p3", "p0", "p1"]),
        ([0.0, 0.2, 0.0], ["p1"]),
        ([-0.2, 0.0], ["p0"]),
        ([0.0], []),
    ],
)
def test_five_who_burden_and_one_who_relieves(share, named):
    shares = SimpleNamespace(share_of_change=np.array(share))
    names = tuple(f"p{i}" for i in range(len(share)))
    found = responsible(shares, names, "pu")
    assert [person["participant"] for person in found] == named
    assert all(person["share"] == share[int(person["participant"][1:])] for person in found)
