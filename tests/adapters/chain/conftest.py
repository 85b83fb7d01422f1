"""Batches from a seed, chains to run them on, and a bench that calls the contracts by hand."""

import fcntl
import hashlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.chain import typed
from adapters.chain.artefacts import load_artefact
from adapters.chain.contract import Contract
from adapters.chain.deploy import Terms, create, deploy_all
from adapters.chain.errors import ChainError, RevertedError
from adapters.chain.evm import Evm
from adapters.chain.http_node import HttpNode
from adapters.chain.keys import Signer, embedded_keys
from adapters.chain.local_node import ANVIL, CACHE, LocalNode, find_anvil
from adapters.chain.node import Node, Receipt
from adapters.chain.outbox import Outbox
from adapters.chain.port import SettlementBatch
from adapters.chain.provider import RpcNode
from adapters.chain.rpc import connect

START_S = 1_453_114_800
DAY_S = 86_400
MARKET = "street"
ROOT = Path(__file__).parents[3]
TEST_ARTEFACTS = Path(__file__).parent / "artefacts"


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., SettlementBatch]:
    """make_batch(day, n=6, seed=0, **changes): a balanced batch of one day."""

    def make(day: int, n: int = 6, seed: int = 0, **changes: Any) -> SettlementBatch:
        rng = random.Random(f"{seed}/{day}")
        names = (*(f"house_{i:02d}" for i in range(n - 1)), "supplier")
        deltas = [rng.randint(-3_000_000, 3_000_000) for _ in range(n - 1)]
        fields: dict[str, Any] = {
            "market_id": MARKET,
            "period_start_s": START_S + day * DAY_S,
            "period_end_s": START_S + (day + 1) * DAY_S,
            "accounts": names,
            "deltas_micro": (*deltas, -sum(deltas)),
            "gross_energy_wh": 1000 + day,
            "root": hashlib.sha256(b"root %d" % day).digest(),
            "digest": hashlib.sha256(b"digest %d" % day).digest(),
        }
        return SettlementBatch(**(fields | changes))

    return make


@pytest.fixture(scope="session")
def anvil() -> Iterator[LocalNode]:
    """A real node, installed from npm where it is not there yet; by one of the tests' workers, the others wait."""
    lock = ROOT / CACHE.parent / "anvil.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            find_anvil()
        except ChainError:
            install = ["npm", "install", "--ignore-scripts", "--no-save", "--prefix", str(CACHE), ANVIL]
            subprocess.run(install, cwd=ROOT, check=True, capture_output=True, timeout=240)
    with LocalNode(START_S - 600) as node:
        yield node


class Refused(Exception):
    """A contract refused; the text is its error."""


class Bench:
    """Our contracts on a fresh deployment, to be called by anybody. Windows are 1 h, the withdrawal delay 2 h."""

    WINDOW_S, DELAY_S = 3600, 7200

    def __init__(self, node: Node) -> None:
        self.node, self.keys = node, embedded_keys()
        self.operator = self.keys.operator
        if node.balance_wei(self.operator.address) == 0:
            node.request("anvil_setBalance", self.operator.address, hex(10**24))
        self.outbox = Outbox(":memory:", node, self.operator)
        self.deployment = deploy_all(node, self.keys, self.outbox, Terms(MARKET, self.WINDOW_S, self.DELAY_S))
        self.settlement = Contract(node, "EnergySettlement", self.deployment.settlement)
        self.currency = Contract(node, "TestCurrency", self.deployment.currency)
        self.market = typed.market_key(MARKET)

    def create(self, name: str, types: list[str], values: list[Any], folder: Path | None = None) -> Contract:
        """Deploy another contract, from the package or from the tests."""
        if folder is None:
            return Contract(self.node, name, create(self.outbox, name, types, values))
        artefact = load_artefact(name, folder)
        from eth_abi.abi import encode
        from eth_utils.address import to_checksum_address

        receipt = self.transact(self.operator, None, artefact.bytecode + encode(types, values))
        assert receipt.contract is not None
        return Contract(self.node, name, to_checksum_address(receipt.contract), artefact)

    def signer(self, name: str) -> Signer:
        """A key with money for gas."""
        signer = Signer(hashlib.sha256(name.encode()).digest())
        if self.node.balance_wei(signer.address) == 0:
            fields = {"to": signer.address, "value": 10**20, "data": b""}
            self._send(self.operator, fields)
        return signer

    def send(self, contract: Contract, name: str, *args: Any, by: Signer | None = None) -> Receipt:
        """Call a function in a transaction. Raises Refused with the contract's error."""
        data = contract.data(name, *args)
        signer = by or self.operator
        try:
            self.node.call(contract.address, data, signer.address)
        except RevertedError as error:
            raise Refused(contract.reason(error)) from None
        return self.transact(signer, contract.address, data)

    def transact(self, signer: Signer, to: str | None, data: bytes) -> Receipt:
        """Send a transaction that must succeed."""
        fields: dict[str, Any] = {"data": data, "value": 0} | ({"to": to} if to else {})
        receipt = self._send(signer, fields)
        assert receipt.succeeded
        return receipt

    def _send(self, signer: Signer, fields: dict[str, Any]) -> Receipt:
        fields |= {
            "chainId": self.node.chain_id(),
            "nonce": self.node.nonce(signer.address),
            "gas": 8_000_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
        }
        raw, _ = signer.sign_transaction(fields)
        digest = self.node.send_raw(raw)
        for _ in range(1500):
            receipt = self.node.receipt(digest)
            if receipt is not None:
                return receipt
            time.sleep(0.02)  # a node under load mines when it gets to it
        raise AssertionError("not mined")

    def open(self, **deposits_micro: int) -> None:
        """Open accounts and give each play money."""
        names = list(deposits_micro)
        self.send(self.settlement, "openAccounts", names, [self.operator.address] * len(names))
        self.send(self.currency, "mint", self.operator.address, sum(deposits_micro.values()))
        paid = {n: v for n, v in deposits_micro.items() if v}
        self.send(self.settlement, "deposit", [typed.account_id(n) for n in paid], [paid[n] for n in paid])

    def header(self, day: int = 0, **changes: Any) -> typed.Header:
        """The struct of a day's batch on top of the contract's head."""
        fields = {
            "prev": bytes(self.settlement.read("head")),
            "period_start_s": START_S + day * DAY_S,
            "period_end_s": START_S + (day + 1) * DAY_S,
            "epoch": self.settlement.read("epoch"),
            "gross_energy_wh": 1,
            "fills_root": b"\x01" * 32,
            "readings_root": b"\x02" * 32,
            "digest": b"\x03" * 32,
        }
        return typed.Header(**(fields | changes))

    def sign(
        self,
        header: typed.Header,
        positions: bytes,
        oracles: tuple[int, ...] = (0, 1, 2),
        chain_id: int | None = None,
        address: str | None = None,
    ) -> list[tuple[int, bytes]]:
        """Signatures of some oracles over a batch."""
        digest = typed.typed_digest(
            chain_id or self.node.chain_id(),
            address or self.settlement.address,
            typed.batch_id(self.market, header, positions),
        )
        return [(i, self.keys.oracles[i].sign(digest)) for i in oracles]

    def propose(self, header: typed.Header, positions: bytes, signatures: Any = None) -> bytes:
        """Propose a batch; its id."""
        signed = self.sign(header, positions) if signatures is None else signatures
        self.send(self.settlement, "propose", header.values(), positions, signed)
        return typed.batch_id(self.market, header, positions)

    def settle(self, header: typed.Header, positions: bytes) -> bytes:
        """Propose a batch, let its window pass, finalise it."""
        batch_id = self.propose(header, positions)
        self.wait(self.WINDOW_S)
        self.send(self.settlement, "finalise", header.values(), positions)
        return batch_id

    def wait(self, seconds: int) -> None:
        """Let simulated time pass."""
        self.node.mine_at(self.node.now_s() + seconds)

    def balance(self, name: str) -> int:
        """Free balance of an account."""
        return int(self.settlement.read("accountsOf", [typed.account_id(name)])[0][1])


def packed(**deltas: int) -> bytes:
    """Packed positions by account name, sorted."""
    return typed.pack(tuple(sorted((typed.account_id(name), delta) for name, delta in deltas.items())))


@pytest.fixture(name="packed")
def packed_positions() -> Callable[..., bytes]:
    """packed(a=-5, b=5): positions as the contract takes them."""
    return packed


@pytest.fixture
def test_artefacts() -> Path:
    """Folder of the contracts that only the tests deploy."""
    return TEST_ARTEFACTS


@pytest.fixture
def refused() -> type[Refused]:
    """What the bench raises where a contract refuses."""
    return Refused


@pytest.fixture(params=["embedded", pytest.param("anvil", marks=pytest.mark.slow)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A fresh deployment on the embedded chain, and on a real node in the slow step."""
    if request.param == "embedded":
        keys = embedded_keys()
        yield Bench(Node(RpcNode(Evm(413_117, START_S - 600, (keys.operator.canonical_address,)))))
        return
    node = connect(request.getfixturevalue("anvil").url)
    yield Bench(node)
    node.close()


class Served(HttpNode):
    """A chain in memory behind a real HTTP socket. While it is away it keeps its port and hangs up on everybody."""

    def __init__(self, evm):
        super().__init__(RpcNode(evm))
        self.evm, self.away = evm, False
        self.start()

    def start(self):
        super().start()
        self._server.handle_error = lambda *_: None

    def up(self):
        self.away = False

    def down(self):
        self.away = True

    def answer(self, raw):
        if self.away:
            raise ConnectionAbortedError
        return super().answer(raw)


@pytest.fixture
def served():
    operator = embedded_keys().operator
    node = Served(Evm(413_117, START_S - 600, (operator.canonical_address,)))
    yield node
    node.stop()
