"""Real processes killed at any moment: what was settled stays settled, and nothing is settled twice or lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from adapters.chain.contract import Contract
from adapters.chain.deploy import Deployment
from adapters.chain.errors import ChainError
from adapters.chain.options import RpcOptions
from adapters.chain.reconcile import reconcile
from adapters.chain.rpc import connect
from adapters.chain.worker import WorkerChain

START_S = 1_453_114_800
DAYS = 6
ROOT = Path(__file__).parents[3]


def proposed(served, path):
    node = connect(served.url)
    contract = Contract(node, "EnergySettlement", Deployment.load(path, node.chain_id()).settlement)
    events = contract.history("BatchProposed")
    node.close()
    return [event["batch"][7] for event in events]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_the_settlement_process_is_killed_again_and_again(seed, served, tmp_path, make_batch):
    rng, kills = random.Random(seed), 0
    path = tmp_path / "deployment.json"
    options = RpcOptions(
        served.url, str(tmp_path / "outbox.sqlite"), str(path), confirmations=1, development=True
    )
    batches = [make_batch(day, n=5) for day in range(DAYS)]
    for attempt in range(7):
        chain = WorkerChain("rpc", "street", START_S, options)
        try:
            for batch in batches:  # a run that starts again comes to the same batches
                chain.submit(batch)
            if attempt < 6:
                time.sleep(rng.uniform(0.2, 2.5))
                os.kill(chain.pid, signal.SIGKILL)
                kills += 1
                continue
            receipts = chain.drain()
            held = chain.balances_micro()
        except ChainError:
            assert attempt < 6
        finally:
            chain.close()
    assert kills >= 3
    assert [r.status for r in receipts] == ["final"] * DAYS
    sums: Counter[str] = Counter()
    for batch in batches:
        for name, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            sums[name] += delta
    assert held == dict(sums)
    assert proposed(served, path) == [batch.digest for batch in batches]


@pytest.mark.slow
def test_a_whole_run_is_killed_and_run_again(served, tmp_path):
    text = (ROOT / "scenarios" / "chain_outage.yaml").read_text("utf-8")
    head, rest = text.split("settlement:\n")
    assert "outages:" in rest
    rpc = f"  rpc: {{url: '{served.url}', outbox: o.sqlite, deployment: d.json, confirmations: 1, development: true}}\n"
    (tmp_path / "s.yaml").write_text(f"{head}settlement:\n  chain: rpc\n  batch_s: 3600\n{rpc}")
    rng, command = (
        random.Random(1),
        [sys.executable, "-m", "twin", "run", "s.yaml", "--out", "run", "--quiet"],
    )
    for _ in range(3):
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(4, 9))
        process.kill()
        process.wait()
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        time.sleep(0.5)  # the settlement process sees its input end, and ends
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    findings = reconcile(tmp_path / "run", served.url)
    assert all(finding.agrees for finding in findings), findings
    assert len(proposed(served, tmp_path / "d.json")) == 18
