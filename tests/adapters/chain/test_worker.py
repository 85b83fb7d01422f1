"""The chain in a process of its own."""

import os
import signal
import time

import pytest

from adapters.chain.errors import ChainError, ChainInputError, ChainUnavailableError
from adapters.chain.factory import open_chain
from adapters.chain.worker import WorkerChain

START_S = 1_453_114_800


@pytest.fixture
def worker():
    opened = open_chain("embedded", market_id="street", start_s=START_S)
    assert isinstance(opened, WorkerChain)
    yield opened
    opened.close()


def test_it_settles_what_the_chain_in_this_process_settles(worker, make_batch):
    here = open_chain("embedded", market_id="street", start_s=START_S, in_process=True)
    started = time.perf_counter()
    for chain in (worker, here):
        for day in range(3):
            chain.submit(make_batch(day))
        if chain is worker:
            assert time.perf_counter() - started < 0.5, "submit must not wait for the chain"
        chain.submit(make_batch(2))
    assert worker.drain() == here.drain()
    assert worker.balances_micro() == here.balances_micro()
    assert worker.money_sum_micro() == 0


def test_many_large_batches_never_block_submit(worker, make_batch):
    # more than a pipe holds, while the process is still starting
    batches = [make_batch(day, n=150) for day in range(40)]
    started = time.perf_counter()
    for batch in batches:
        worker.submit(batch)
    assert time.perf_counter() - started < 2
    worker.close()  # closing does not wait for them


def test_a_wrong_batch_is_refused_at_once(worker, make_batch):
    with pytest.raises(ChainInputError, match="sum to"):
        worker.submit(make_batch(0, accounts=("a",), deltas_micro=(1,)))


def test_a_process_that_dies_is_named_and_nothing_hangs(worker, make_batch):
    worker.submit(make_batch(0))
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(ChainUnavailableError, match="code -9"):
        worker.drain()
    with pytest.raises(ChainUnavailableError, match="code -9"):
        worker.submit(make_batch(1))
    worker.close()


def test_an_interrupt_of_the_terminal_does_not_reach_it(worker, make_batch):
    assert os.getpgid(worker.pid) != os.getpgid(0)
    worker.submit(make_batch(0))
    worker.drain()  # it has started, and its handler is in place
    os.kill(worker.pid, signal.SIGINT)
    worker.submit(make_batch(1))
    assert [r.status for r in worker.drain()] == ["final", "final"]


def test_close_twice_then_use_is_an_error(worker, make_batch):
    worker.close()
    worker.close()
    with pytest.raises(ChainError, match="closed"):
        worker.submit(make_batch(0))


def test_a_fault_inside_the_process_comes_back_with_its_text(make_batch):
    # the process refuses to open an unknown chain; the caller hears it at the next wait
    broken = WorkerChain("nonsense", "street", 0)
    try:
        with pytest.raises(ChainInputError, match="allowed: embedded"):
            broken.drain()
    finally:
        broken.close()


def test_a_silent_process_is_given_up(make_batch):
    slow = WorkerChain("embedded", "street", START_S, silence_s=0.01)
    try:
        with pytest.raises(ChainUnavailableError, match=r"silent for 0\.01 s"):
            slow.drain()
    finally:
        slow.close()
