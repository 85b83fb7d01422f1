"""Four ways to settle the same trades, over the whole life of a batch: gas per trade, and time from meter to final.

``python -m benchmarks.chain_designs`` measures them on the embedded chain, whose gas is that of a real node, and
writes the plot and the table of docs/explanation/settlement.md. The three that are not the product's are in
``contracts/SettlementDesigns.sol``.
"""

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.plot import Line, log_plot

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "settlement.md"
PICTURE = ROOT / "docs" / "images" / "settlement_designs.svg"
START_S = 1_453_114_800
TX_GAS_CAP = 2**24
BLOCK_S, BLOCK_GAS, CONFIRMATIONS, WINDOW_S, DAY_S = 12, 30_000_000, 3, 21_600, 86_400
TRADES = (10, 30, 100, 300, 1000)
PEOPLE = (10, 20, 50, 100, 200)
DESIGNS = ("direct", "batched", "netted", "root")
TITLES = {
    "direct": "direct: a transaction per trade",
    "batched": "batched: every trade in one batch",
    "netted": "netted: what each account gains",
    "root": "Merkle root: each account claims",
}


@dataclass(frozen=True)
class Life:
    """Gas of a batch from recording to finality, withdrawals left out; ``transactions`` are what it takes."""

    record: int
    finalise: int
    claims: int
    transactions: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.record + self.finalise + self.claims


def trades_of(people: int, count: int, seed: int = 0) -> list[tuple[int, int, int]]:
    """Random trades: seller, buyer, micro. Everybody takes part where there are trades enough."""
    rng = random.Random(f"{seed}/{people}/{count}")
    order = rng.sample(range(people), people)
    pairs = [(order[i], order[(i + 1) % people]) for i in range(people)]
    picked = [pairs[i] if i < people else tuple(rng.sample(range(people), 2)) for i in range(count)]
    return [(seller, buyer, rng.randint(1_000, 500_000)) for seller, buyer in picked]


def net_of(people: int, trades: list[tuple[int, int, int]]) -> list[int]:
    """What each gains."""
    net = [0] * people
    for seller, buyer, amount in trades:
        net[seller] += amount
        net[buyer] -= amount
    return net


class Bench:
    """A chain with ``SettlementDesigns`` and funded accounts on it."""

    def __init__(self, people: int) -> None:
        from eth_abi.abi import encode
        from eth_utils.address import to_checksum_address

        from adapters.chain.artefacts import load_artefact
        from adapters.chain.contract import Contract
        from adapters.chain.evm import Evm
        from adapters.chain.keys import embedded_keys
        from adapters.chain.node import Node
        from adapters.chain.provider import RpcNode

        self.keys = embedded_keys()
        self.evm = Evm(413_117, START_S, (self.keys.operator.canonical_address,))
        self.node, self.nonce = Node(RpcNode(self.evm)), 0
        artefact = load_artefact("SettlementDesigns", Path(__file__).parent / "artefacts")
        oracles = [oracle.address for oracle in self.keys.oracles]
        made = self.send(None, artefact.bytecode + encode(["address[]"], [oracles]))
        self.contract = Contract(self.node, "SettlementDesigns", to_checksum_address(made.contract), artefact)
        self.call("fund", people, 10**12)

    def send(self, to: str | None, data: bytes) -> Any:
        """A transaction that must succeed; its receipt."""
        fields: dict[str, Any] = {"data": data, "value": 0, "chainId": self.evm.chain_id, "nonce": self.nonce}
        fields |= {"gas": TX_GAS_CAP, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
        raw, digest = self.keys.operator.sign_transaction(fields | ({"to": to} if to else {}))
        self.evm.send_raw(raw)
        self.nonce += 1
        receipt = self.node.receipt("0x" + digest.hex())
        if receipt is None or not receipt.succeeded:
            raise RuntimeError("a transaction of the benchmark failed")
        return receipt

    def call(self, name: str, *args: Any) -> int:
        """Gas of one call."""
        return int(self.send(self.contract.address, self.contract.data(name, *args)).gas)

    def sign(self, batch: bytes, content: bytes) -> list[bytes]:
        """Three of five signatures."""
        from eth_abi.abi import encode
        from eth_hash.auto import keccak

        types = ["uint256", "address", "bytes32", "bytes32"]
        values = [self.evm.chain_id, self.contract.address, batch, content]
        digest = bytes(keccak(encode(types, values)))
        return [oracle.sign(digest) for oracle in self.keys.oracles[:3]]

    def wait(self) -> None:
        """Let the window pass."""
        self.node.mine_at(self.node.now_s() + WINDOW_S)


def direct(people: int, count: int) -> Life:
    """A transaction per trade, final at once; the mean of up to 50 of them, for each costs the same."""
    bench, trades = Bench(people), trades_of(people, count)
    sample = trades[:50]
    for i, trade in enumerate(sample[:3]):
        bench.call("direct", b"\x01" * 31 + bytes([i]), *trade)
    gas = [bench.call("direct", b"\x02" * 30 + i.to_bytes(2, "big"), *t) for i, t in enumerate(sample)]
    return Life(sum(gas) * count // len(gas), 0, 0, count)


def batched(people: int, count: int) -> Life:
    """Every trade in a batch with its event; split where one transaction cannot hold it."""
    from eth_hash.auto import keccak

    bench, trades = Bench(people), trades_of(people, count)
    record = finalise = transactions = 0
    for start in range(0, count, 1000):
        packed = b"".join(
            s.to_bytes(2, "big") + b.to_bytes(2, "big") + a.to_bytes(8, "big")
            for s, b, a in trades[start : start + 1000]
        )
        batch = start.to_bytes(32, "big")
        record += bench.call("proposeTrades", batch, packed, bench.sign(batch, bytes(keccak(packed))))
        bench.wait()
        finalise += bench.call("finaliseTrades", batch, packed)
        transactions += 2
    return Life(record, finalise, 0, transactions)


def root(people: int, count: int) -> Life:
    """A root of net positions, and a claim for each account that has one."""
    from market.merkle import merkle_proof, merkle_root

    bench, net = Bench(people), net_of(people, trades_of(people, count))
    lines = [
        b"net" + i.to_bytes(2, "big") + delta.to_bytes(8, "big", signed=True) for i, delta in enumerate(net)
    ]
    content, batch = merkle_root(lines), b"\x07" * 32
    record = bench.call("proposeRoot", batch, content, bench.sign(batch, content))
    bench.wait()
    finalise, claims, claimed = bench.call("finaliseRoot", batch), 0, 0
    for i, delta in enumerate(net):
        if delta:
            path = merkle_proof(lines, lines[i])
            bits = sum(1 << k for k, (left, _) in enumerate(path) if left)
            claims += bench.call("claim", batch, i, delta, [sibling for _, sibling in path], bits)
            claimed += 1
    return Life(record, finalise, claims, 2 + claimed)


def netted(people: int, count: int) -> Life:
    """The product's contract: one position per account."""
    import hashlib

    from adapters.chain.embedded import EmbeddedChain
    from adapters.chain.port import SettlementBatch

    chain = EmbeddedChain("bench", START_S)
    names = tuple(f"house_{i:03d}" for i in range(people))
    for day, trades in enumerate((trades_of(people, 4 * people, seed=1), trades_of(people, count))):
        begin_s, root_of = START_S + day * DAY_S, hashlib.sha256(b"%d" % day).digest()
        deltas = tuple(net_of(people, trades))
        chain.submit(SettlementBatch("bench", begin_s, begin_s + DAY_S, names, deltas, 1, root_of, root_of))
    receipt = chain.drain()[1]
    chain.close()
    return Life(receipt.gas, receipt.gas_finalise, 0, 2)


MEASURE: dict[str, Callable[[int, int], Life]] = {
    "direct": direct,
    "batched": batched,
    "netted": netted,
    "root": root,
}


@cache
def life(design: str, people: int, count: int) -> Life:
    """Measure a design."""
    return MEASURE[design](people, count)


def latency_s(design: str, people: int, count: int, batch_s: int) -> int:
    """Longest simulated time from a meter's reading to money that is final: the first interval of a batch.

    Waiting for the batch to close, blocks for all its transactions (30 million gas every 12 s, three on top), and
    the window where there is one. A direct trade waits for no batch.
    """
    measured = life(design, people, count)

    def blocks_s(gas: int) -> int:
        return (math.ceil(gas / BLOCK_GAS) + CONFIRMATIONS) * BLOCK_S

    if design == "direct":
        return blocks_s(measured.total * 900 // batch_s)  # an interval's share at a time
    claims_s = blocks_s(measured.claims) if measured.claims else 0
    return batch_s - 900 + blocks_s(measured.record) + WINDOW_S + blocks_s(measured.finalise) + claims_s


def table(withdrawal: int) -> str:
    """The table of the docs."""
    head = (
        "| design | 100 trades: gas | per trade | 1,000 trades: gas | per trade | 1,000 trades of 200: gas | "
        "transactions (100) | meter to final, daily batches |\n|---|---|---|---|---|---|---|---|\n"
    )
    rows = []
    for design in DESIGNS:
        few, many, wide = (life(design, *c).total for c in ((50, 100), (50, 1000), (200, 1000)))
        hours = latency_s(design, 50, 100, DAY_S) / 3600
        told = f"{hours:.1f} h" if hours >= 1 else f"{hours * 3600:.0f} s"
        rows.append(
            f"| {TITLES[design]} | {few:,} | {few // 100:,} | {many:,} | {many // 1000:,} | {wide:,} | "
            f"{life(design, 50, 100).transactions} | {told} |"
        )
    note = (
        f"\n\n50 participants unless said otherwise; record, finalise and claim. In every design a withdrawal costs "
        f"{withdrawal:,} gas more (announce and pull), whenever an owner wants one."
    )
    return head + "\n".join(rows) + note


def plot() -> str:
    """The picture of the docs: gas per trade against trades, and against participants."""
    left = [Line(TITLES[d], [(n, life(d, 50, n).total / n) for n in TRADES]) for d in DESIGNS]
    right = [Line(TITLES[d], [(p, life(d, p, 1000).total / 1000) for p in PEOPLE]) for d in DESIGNS]
    return log_plot(
        [("trades in the batch (50 participants)", left), ("participants (1,000 trades)", right)],
        "gas per trade, recorded, final and claimed",
    )


def main() -> None:
    """Measure, and write plot and table into the docs."""
    from benchmarks.chain_bench import withdrawal_gas

    PICTURE.write_text(plot(), "utf-8")
    text = PAGE.read_text("utf-8")
    marked = re.compile(r"(<!-- designs -->\n).*?(\n<!-- /designs -->)", re.DOTALL)
    made = table(withdrawal_gas())
    PAGE.write_text(marked.sub(lambda match: match[1] + made + match[2], text), "utf-8")
    print(made)


if __name__ == "__main__":
    main()
