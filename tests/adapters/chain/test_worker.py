"""The chain in a process of its own."""

import io
import os
import signal

import pytest

from adapters.chain import server, wire
from adapters.chain.errors import ChainError, ChainInputError, ChainUnavailableError, RevertedError
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
    os.kill(worker.pid, signal.SIGSTOP)  # a submit that waits for the chain would never return
    for chain in (worker, here):
        for day in range(3):
            chain.submit(make_batch(day))
        chain.submit(make_batch(2))
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.drain() == here.drain()
    assert worker.balances_micro() == here.balances_micro()
    assert worker.money_sum_micro() == 0


def test_many_large_batches_never_block_submit(worker, make_batch):
    # more than a pipe holds, while the process is still starting
    os.kill(worker.pid, signal.SIGSTOP)
    for day in range(40):
        worker.submit(make_batch(day, n=150))
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


def test_a_long_wait_tells_now_and_then_that_it_is_one(monkeypatch):
    now, said = [0.0], io.BytesIO()
    monkeypatch.setattr(server.time, "monotonic", lambda: now[0])
    beat = server.Beat(said, every_s=5.0)
    for now[0] in (1.0, 4.9, 5.0, 5.1, 9.0, 10.5):
        beat()
    assert said.getvalue().splitlines() == [b'{"waits":true}'] * 2


def test_what_is_refused_between_two_commands_is_told_once_and_ends_no_process():
    class Refusing:
        idle_s = 0.1

        def pump(self):
            raise RevertedError(b"", "SumNotZero()")

    chain, said = Refusing(), io.BytesIO()
    server._look(chain, said)
    assert chain.idle_s is None
    error = wire.error_from_json(wire.load(said.getvalue()))
    assert isinstance(error, RevertedError) and str(error) == "SumNotZero()"
