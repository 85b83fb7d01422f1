"""What the check ``settlement`` says of batches: final, under way, disputed, not finalised, refused."""

import pytest

from adapters.chain.port import BatchReceipt, SettlementBatch
from twin.chain_checks import chain_checks


def pairs(*states):
    batch = SettlementBatch("m", 0, 1, ("a", "b"), (1, -1), 0, bytes(32), bytes(32))
    return [(batch, BatchReceipt(bytes(32), "", 1, 1, status, reason)) for status, reason in states]


@pytest.mark.parametrize(
    ("states", "verdict", "said"),
    [
        ([("final", "")] * 2, "pass", "2 batches are final"),
        ([("final", ""), ("proposed", "")], "pass", "1 PROPOSED of 2 batches: their window is open"),
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
