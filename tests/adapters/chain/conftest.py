"""Batches from a seed, shared by the chain tests."""

import hashlib
import random
from collections.abc import Callable

import pytest

from adapters.chain.port import SettlementBatch

START_S = 1_453_114_800
DAY_S = 86_400
MARKET = "street"


@pytest.fixture
def make_batch() -> Callable[..., SettlementBatch]:
    """make_batch(day, n=6, seed=0, **changes): a balanced batch of one day."""

    def make(day: int, n: int = 6, seed: int = 0, **changes: object) -> SettlementBatch:
        rng = random.Random(f"{seed}/{day}")
        names = (*(f"house_{i:02d}" for i in range(n - 1)), "supplier")
        deltas = [rng.randint(-3_000_000, 3_000_000) for _ in range(n - 1)]
        fields: dict[str, object] = {
            "market_id": MARKET,
            "period_start_s": START_S + day * DAY_S,
            "period_end_s": START_S + (day + 1) * DAY_S,
            "accounts": names,
            "deltas_micro": (*deltas, -sum(deltas)),
            "gross_energy_wh": 1000 + day,
            "root": hashlib.sha256(b"root %d" % day).digest(),
            "digest": hashlib.sha256(b"digest %d" % day).digest(),
        }
        return SettlementBatch(**(fields | changes))  # type: ignore[arg-type]

    return make
