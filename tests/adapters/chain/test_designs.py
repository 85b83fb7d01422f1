"""The benchmark of settlement designs settles what it measures, and the docs say what it measures."""

import importlib
import re
from pathlib import Path

import pytest
from eth_hash.auto import keccak

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "explanation" / "settlement.md"


@pytest.fixture(scope="module")
def designs():
    """benchmarks.chain_designs, which is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.chain_designs")


def test_a_batch_of_trades_and_single_trades_give_what_netting_gives(designs):
    trades = designs.trades_of(6, 9)
    one, other = designs.Bench(6), designs.Bench(6)
    packed = b"".join(
        s.to_bytes(2, "big") + b.to_bytes(2, "big") + a.to_bytes(8, "big") for s, b, a in trades
    )
    batch = b"\x01" * 32
    one.call("proposeTrades", batch, packed, one.sign(batch, bytes(keccak(packed))))
    one.wait()
    one.call("finaliseTrades", batch, packed)
    for i, trade in enumerate(trades):
        other.call("direct", i.to_bytes(32, "big"), *trade)
    for bench in (one, other):
        held = [bench.contract.read("balanceOf", i) - 10**12 for i in range(6)]
        assert held == designs.net_of(6, trades)


@pytest.fixture(scope="module")
def netted():
    """benchmarks.chain_bench.netted_gas."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.chain_bench").netted_gas


def test_ten_times_the_trades_cost_the_same_but_for_zero_bytes_of_their_hashes(netted):
    few, many = netted(6, 12), netted(6, 12, pieces=10)
    apart = [sum(many[:2]) - sum(few[:2]), 12 * (few[2] - many[2])]
    assert apart[0] == apart[1], "a zero byte of calldata costs 4 gas, any other 16; nothing else differs"
    assert few != many, "they commit to other fills"


@pytest.mark.slow
def test_only_the_netted_design_does_not_grow_with_trades_and_is_the_cheapest(designs):
    life = designs.life
    few, many = (life("netted", 6, n).total for n in (12, 120))
    assert many <= 1.01 * few
    assert life("batched", 6, 120).total > 3 * life("batched", 6, 12).total
    assert life("direct", 6, 120).total == pytest.approx(10 * life("direct", 6, 12).total, rel=0.01)
    assert many < min(life(design, 6, 120).total for design in ("direct", "batched", "root"))


@pytest.mark.slow
def test_the_table_of_the_docs_is_what_is_measured_now(designs):
    shown = re.search(r"<!-- designs -->\n(.*)\n<!-- /designs -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert shown is not None
    assert shown[1].split("\n\n")[0] == designs.table(0).split("\n\n")[0]
