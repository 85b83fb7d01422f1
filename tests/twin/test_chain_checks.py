"""What the check ``settlement`` says of batches: final, under way, disputed, not finalised, refused."""

import pytest

from adapters.chain.port import BatchReceipt, SettlementBatch
from twin.chain_checks import chain_checks
from twin.scenario.schema import Scenario
from twin.settlement_check import settlement_problems


def pairs(*states):
    batch = SettlementBatch("m", 0, 1, ("a", "b"), (1, -1), 0, bytes(32), bytes(32))
    return [(batch, BatchReceipt(bytes(32), "", 1, 1, status, reason)) for status, reason in states]


@pytest.mark.parametrize(
    ("states", "verdict", "said"),
    [
        ([("final", "")] * 2, "pass", "2 batches are final"),
        ([("final", ""), ("proposed", "")], "pass", "1 PROPOSED of 2 batches: their window is open"),
        (
            [("proposed", "PrevNotFinal(prev=0x1)")],
            "pass",
            "an earlier batch of another sender is open by the chain's",
        ),
        ([("proposed", "EnforcedPause()")], "inconclusive", "does not finalise them (EnforcedPause())"),
        (
            [("disputed", ""), ("proposed", "")],
            "inconclusive",
            "1 DISPUTED and 1 PROPOSED of 2 batches: an arbiter",
        ),
        (
            [("disputed", ""), ("proposed", "finalise failed")],
            "inconclusive",
            "an arbiter must decide the dispute and the contract does not finalise them (finalise failed)",
        ),
        (
            [("rejected", "SumNotZero()"), ("disputed", "")],
            "fail",
            "1 of 2 batches were refused; the first: SumNotZero",
        ),
    ],
)
def test_what_a_run_says_of_its_batches(states, verdict, said):
    (check,) = chain_checks(pairs(*states), on_chain=True)
    assert check.verdict == verdict and check.judged
    assert said in check.detail


def test_nothing_is_assessed_without_a_chain():
    (check,) = chain_checks([], on_chain=False)
    assert (check.verdict, check.judged) == ("not_assessed", False)


@pytest.mark.parametrize(
    ("chain", "count", "refused"), [("embedded", 1498, 1), ("embedded", 1497, 0), ("none", 5000, 0)]
)
def test_more_accounts_than_one_transaction_can_settle_are_wrong_input(chain, count, refused):
    fields = {"name": "x", "start": "2016-01-18T12:00:00+01:00", "duration_days": 1, "seed": 1}
    fields |= {"grid": {"source": "x"}, "settlement": {"chain": chain}}
    told = []
    scenario = Scenario.model_validate(fields, strict=False)
    settlement_problems(
        scenario, [f"h{i}" for i in range(count)], lambda *words: told.append(" ".join(words))
    )
    assert len(told) == refused
    assert all("1501, supplier, pool and network among them at most 1500" in text for text in told)
