"""Waiting for a node that leaves a transaction in its pool, and for one that has no word for mining."""

import pytest

from adapters.chain import deploy
from adapters.chain.deploy import SETUP, wait_idle
from adapters.chain.errors import ChainUnavailableError, NodeRefusedError
from adapters.chain.outbox import Post

pytestmark = pytest.mark.parametrize("bench", ["embedded"], indirect=True)


@pytest.fixture
def waiting(bench, monkeypatch):
    """An outbox with a transaction that its node accepts and does not mine."""
    if bench.node.request("evm_setAutomine", False) is not None:
        pytest.fail("the node goes on mining")
    monkeypatch.setattr(deploy, "REMIND_S", 0.05)
    bench.outbox.post(Post(SETUP, "left behind", bench.operator.address, b"", 30_000))
    return bench.outbox


def test_a_development_node_is_reminded(waiting):
    wait_idle(waiting, timeout_s=60)
    (row,) = waiting.rows(SETUP, "left behind")
    assert row["status"] == "confirmed"


def test_a_node_without_that_word_is_waited_for_in_vain_and_told_so(waiting, monkeypatch):
    asked = waiting.node.request

    def request(method, *params):
        if method == "evm_mine":
            raise NodeRefusedError(f"the method {method} does not exist")
        return asked(method, *params)

    monkeypatch.setattr(waiting.node, "request", request)
    with pytest.raises(ChainUnavailableError, match=r"mined nothing for 0\.3 s"):
        wait_idle(waiting, timeout_s=0.3)
