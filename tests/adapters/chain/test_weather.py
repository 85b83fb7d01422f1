"""Outages and reorganisations in simulated time: nothing is lost, nothing is settled twice."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from adapters.chain.embedded import replay
from adapters.chain.errors import ChainInputError
from adapters.chain.factory import open_chain
from adapters.chain.options import Outage, Weather
from adapters.chain.weather import WeatheredChain

START_S = 1_453_114_800
HOUR_S = 3600


@pytest.fixture
def hourly(make_batch):
    def make(hour):
        begin_s = START_S + hour * HOUR_S
        return replace(make_batch(hour, n=5), period_start_s=begin_s, period_end_s=begin_s + HOUR_S)

    return make


def totals(batches):
    sums: Counter[str] = Counter()
    for batch in batches:
        for name, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            sums[name] += delta
    return {name: value for name, value in sums.items() if value}


def settle(chain, batches):
    for batch in batches:
        chain.submit(batch)
    receipts = chain.drain()
    held = {name: value for name, value in chain.balances_micro().items() if value}
    assert held == totals(batches)
    assert chain.money_sum_micro() == 0
    proposed = chain.settlement.contract.history("BatchProposed")
    assert [event["batch"][7] for event in proposed] == [
        batch.digest for batch in batches
    ]  # each once, in order
    return receipts


def test_what_was_lost_and_what_waited_is_settled_once(hourly):
    away = Outage(START_S + 3 * HOUR_S + 40, START_S + 6 * HOUR_S + 40, 3)
    chain = WeatheredChain("street", START_S, Weather((away,)))
    batches = [hourly(hour) for hour in range(8)]
    receipts = settle(chain, batches)
    late = [r.recorded_s - b.period_end_s for b, r in zip(batches, receipts, strict=True)]
    assert [r.status for r in receipts] == ["final"] * 8
    assert [r.dropped for r in receipts] == [0, 0, 1, 0, 0, 0, 0, 0]  # of the third, taken just before
    assert all(r.recorded_s >= away.until_s for r in receipts[2:6]) and all(0 < x < 600 for x in late[:2])
    assert late[6] < 600
    assert all(r.final_s >= r.recorded_s + 21_600 for r in receipts)
    history = json.loads(json.dumps(chain.history()))
    assert (history["outages"], history["reorganised_blocks"]) == (1, 3)
    assert "0x" + replay(history).head.hash.hex() == history["head"]


def test_an_outage_beyond_the_end_and_two_in_a_row(hourly):
    outages = (
        Outage(START_S + 100, START_S + 2 * HOUR_S, 2),
        Outage(START_S + 2 * HOUR_S + 30, START_S + 9 * HOUR_S, 3),
    )
    chain = WeatheredChain("street", START_S, Weather(outages))
    receipts = settle(chain, [hourly(hour) for hour in range(4)])
    assert chain.outages == 2
    assert all(r.recorded_s >= START_S + 2 * HOUR_S for r in receipts)
    assert receipts[-1].recorded_s >= START_S + 9 * HOUR_S


def test_without_outages_the_plain_chain_is_used_and_a_wrong_batch_is_named(hourly):
    plain = open_chain("embedded", market_id="street", start_s=START_S, in_process=True, weather=Weather(()))
    assert not isinstance(plain, WeatheredChain)
    plain.close()
    chain = WeatheredChain("street", START_S, Weather((Outage(START_S, START_S + 60),)))
    with pytest.raises(ChainInputError, match="the deltas sum to 1"):
        chain.submit(replace(hourly(0), deltas_micro=(1, 0, 0, 0, 0)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_any_weather(hourly, seed):
    import random

    rng, outages, at_s = random.Random(seed), [], START_S
    for _ in range(rng.randint(1, 4)):
        at_s += rng.randint(0, 2 * HOUR_S)
        until_s = at_s + rng.randint(1, 3 * HOUR_S)
        outages.append(Outage(at_s, until_s, rng.randint(0, 3)))
        at_s = until_s
    chain = WeatheredChain("street", START_S, Weather(tuple(outages), rng.choice([5, 12, 60]), 3))
    assert [r.status for r in settle(chain, [hourly(hour) for hour in range(8)])] == ["final"] * 8
