"""What settlement costs: gas of designs over a batch's whole life, seconds of a year on the embedded chain.

The designs are compared on the embedded chain, whose gas is that of a real node (the tests hold it against anvil).
"""

import hashlib
import os
import random
import time

from benchmarks import Row

START_S = 1_453_114_800
DAY_S = 86_400
YEAR_DAYS = 365


def _batch(day: int, participants: int, trades: int, seed: int = 0):  # type: ignore[no-untyped-def]
    """One day's batch of random local trades between neighbours, netted."""
    from adapters.chain.port import SettlementBatch

    rng = random.Random(f"{seed}/{day}/{participants}/{trades}")
    deltas = [0] * participants
    for _ in range(trades):
        one, other = rng.sample(range(participants), 2)
        amount = rng.randint(1_000, 500_000)
        deltas[one] += amount
        deltas[other] -= amount
    return SettlementBatch(
        "bench",
        START_S + day * DAY_S,
        START_S + (day + 1) * DAY_S,
        tuple(f"house_{i:03d}" for i in range(participants)),
        tuple(deltas),
        trades,
        hashlib.sha256(b"root %d" % day).digest(),
        hashlib.sha256(b"digest %d" % day).digest(),
    )


def netted_gas(participants: int, trades: int, pieces: int = 1) -> tuple[int, int, int]:
    """Gas of the second batch (accounts are open and funded by the first): record, finalise; zero bytes of calldata.

    Each trade is made in ``pieces``: more trades, of the same totals; the batch commits to other fills.
    """
    from dataclasses import replace

    from adapters.chain.embedded import EmbeddedChain

    chain = EmbeddedChain("bench", START_S)
    chain.submit(_batch(0, participants, 4 * participants))
    batch = _batch(1, participants, trades)
    fills = hashlib.sha256(b"%d trades" % (trades * pieces)).digest()
    chain.submit(replace(batch, root=fills, digest=hashlib.sha256(fills).digest()))
    receipt = chain.drain()[1]
    zeros = sum(
        bytes(row["data"]).count(0)
        for kind in ("propose", "finalise")
        for row in chain.settlement.outbox.rows(2, kind)
    )
    chain.close()
    return receipt.gas, receipt.gas_finalise, zeros


def withdrawal_gas() -> int:
    """Gas of announcing and pulling one withdrawal."""
    from adapters.chain.deploy import SETUP, wait_idle
    from adapters.chain.embedded import EmbeddedChain
    from adapters.chain.outbox import Post
    from adapters.chain.typed import account_id

    chain = EmbeddedChain("bench", START_S)
    chain.submit(_batch(0, 2, 5))
    chain.drain()
    settlement, outbox = chain.settlement, chain.settlement.outbox
    account, contract = account_id("house_000"), settlement.contract
    outbox.post(
        Post(SETUP, "request", contract.address, contract.data("requestWithdrawal", account, 5), 200_000)
    )
    wait_idle(outbox)
    chain.evm.set_next_time(chain.evm.head.header.timestamp + 200_000)
    outbox.post(Post(SETUP, "withdraw", contract.address, contract.data("withdraw", account), 200_000))
    wait_idle(outbox)
    spent = [row["gas_used"] for kind in ("request", "withdraw") for row in outbox.rows(SETUP, kind)]
    chain.close()
    return int(sum(spent))


def _year_s(participants: int, days: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a year of daily batches, from an empty chain to the last final one.

    With fewer ``days`` what follows the first batch, which opens and funds the accounts, is scaled to a year.
    """
    from adapters.chain.embedded import EmbeddedChain

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    batches = [_batch(day, participants, 500) for day in range(days)]
    begun = now()
    chain = EmbeddedChain("bench", START_S)
    chain.submit(batches[0])
    opened = now()
    for batch in batches[1:]:
        chain.submit(batch)
    receipts = chain.drain()
    ended = now()
    states, total = {receipt.status for receipt in receipts}, chain.money_sum_micro()
    chain.close()
    if states != {"final"} or total != 0:
        raise RuntimeError(f"the year was not settled: {states}, {total} micro")
    scale = (YEAR_DAYS - 1) / max(1, days - 1)
    wall, cpu = (o - b + scale * (e - o) for b, o, e in zip(begun, opened, ended, strict=True))
    return wall, cpu


def _submit_us(days: int) -> float:
    """What handing over a batch costs the simulation, in microseconds."""
    from adapters.chain.factory import open_chain

    chain = open_chain("embedded", market_id="bench", start_s=START_S)
    batches = [_batch(day, 58, 500) for day in range(days)]
    started = time.perf_counter()
    for batch in batches:
        chain.submit(batch)
    elapsed = time.perf_counter() - started
    chain.close()
    return elapsed / days * 1e6


def run() -> list[Row]:
    """Measure a whole year, about a minute; CHAIN_BENCH_DAYS=20 extrapolates it from as many days, and says so."""
    days = int(os.environ.get("CHAIN_BENCH_DAYS", str(YEAR_DAYS)))
    few, finalise, zeros = netted_gas(50, 100)
    *many, more_zeros = netted_gas(50, 100, pieces=10)
    other = sum(netted_gas(50, 1000)[:2])
    # a zero byte of calldata costs 4 gas, any other 16: a hash has as many as chance will have it
    life_few, life_many = few + finalise, sum(many) + 12 * (more_zeros - zeros)
    withdrawal = withdrawal_gas()
    life = few + finalise + 50 * withdrawal
    year_s, cpu_s = _year_s(58, days)
    how = "measured" if days == YEAR_DAYS else f"extrapolated from {days} days"
    submit_us = _submit_us(20)
    designs = _designs()
    return [
        Row("netted batch, 50 participants, 3 of 5 signatures: record", few, "gas", "one-step prototype", 460_000,
            460_000 / few, "at most 460,000 gas", few <= 460_000),
        Row("the same: finalise", finalise, "gas"),
        Row("whole life of a batch per participant, each withdrawing once", life / 50, "gas",
            note=f"record and finalise {(few + finalise) // 50}, withdrawal {withdrawal}"),
        Row("record and finalise 1,000 trades against 100 of the same totals", life_many, "gas", "100 trades",
            life_few, life_few / life_many, "1,000 trades no dearer than 100", life_many <= life_few,
            note=f"with hashes of as many zero bytes; 1,000 others, of other totals and debtors: {other}"),
        Row("a year of daily batches, 58 participants, embedded", year_s, "s", "budget", 60.0, 60.0 / year_s,
            "at most 60 s in all", year_s <= 60,
            note=f"{how}; {cpu_s:.1f} s of CPU, in a process beside the simulation"),
        Row("handing a batch to the settlement process", submit_us, "us", "one interval's share", 300.0,
            300.0 / submit_us, "not on the interval's critical path", submit_us < 1000),
        *designs,
    ]  # fmt: skip


def _designs() -> list[Row]:
    """The other designs against the netted one: record, finalise and claim."""
    from benchmarks.chain_designs import DAY_S, DESIGNS, TITLES, latency_s, life

    own = life("netted", 50, 1000).total
    rows = []
    for design in DESIGNS:
        gas, seconds = life(design, 50, 1000).total, latency_s(design, 50, 1000, DAY_S)
        told = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds} s"
        note = f"longest from meter to final, daily batches: {told}"
        name = f"1,000 trades of 50, {TITLES[design]}"
        rows.append(Row(name, gas, "gas", "netted", own, own / gas, note=note))
    return rows
