"""Putting our contracts on a chain, and finding them there again."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from eth_abi.abi import encode
from eth_hash.auto import keccak

from adapters.chain.artefacts import load_artefact
from adapters.chain.contract import Contract
from adapters.chain.errors import (
    ChainError,
    ChainInputError,
    ChainUnavailableError,
    RevertedError,
)
from adapters.chain.keys import KeyRing
from adapters.chain.node import Node
from adapters.chain.options import Device
from adapters.chain.outbox import Outbox, Post
from adapters.chain.typed import account_id, market_key

AT_ONCE = 25
"""Transactions that are on their way at a time."""
SETUP = 0
"""Owner of the outbox rows that belong to no batch."""
ROLES = ("PROPOSER_ROLE", "REGISTRAR_ROLE", "DISPUTER_ROLE", "ARBITER_ROLE", "PAUSER_ROLE")


@dataclass(frozen=True)
class Terms:
    """What a deployment fixes, in simulated seconds."""

    market_id: str
    window_s: int = 21_600
    withdraw_delay_s: int = 172_800


@dataclass(frozen=True)
class Deployment:
    """Where our contracts are."""

    chain_id: int
    settlement: str
    currency: str
    registry: str = ""
    certificates: str = ""
    block: int = 0  # the settlement's; nothing of ours is older

    def on(self, node: Node) -> "Deployment":
        """Let a node look for events since this deployment."""
        node.first_block = self.block
        return self

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        draft = path.with_name(path.name + ".new")
        draft.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")
        draft.replace(path)

    @classmethod
    def load(cls, path: Path, chain_id: int) -> "Deployment":
        """Read it back. Raises ChainInputError where it is not one, or is of another chain."""
        try:
            found = cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ChainInputError(
                f"{path.name} is no deployment file ({error}): twin chain deploy writes one"
            ) from error
        if found.chain_id != chain_id:
            raise ChainInputError(
                f"{path.name} is of chain {found.chain_id}, the node is of chain {chain_id}"
            )
        return found


def wait_idle(outbox: Outbox, timeout_s: float = 120.0, poll_s: float = 0.0) -> None:
    """Pump until every transaction is settled. Raises ChainUnavailableError after ``timeout_s``."""
    give_up = time.monotonic() + timeout_s
    outbox.pump()
    while not outbox.is_idle():
        if time.monotonic() > give_up:
            raise ChainUnavailableError(
                f"the node mined nothing for {timeout_s:g} s: is it running and mining?"
            )
        if poll_s:
            time.sleep(poll_s)
        outbox.pump()


def create(outbox: Outbox, name: str, types: list[str], values: list[object], poll_s: float = 0.0) -> str:
    """Deploy one shipped contract and wait for it. Returns its address."""
    artefact = load_artefact(name)
    kind = f"create {name}"
    outbox.post(Post(SETUP, kind, None, artefact.bytecode + encode(types, values), 6_000_000))
    wait_idle(outbox, poll_s=poll_s)
    row = [r for r in outbox.rows(SETUP, kind) if r["status"] != "replaced"][-1]
    if row["status"] != "confirmed" or row["contract"] is None:
        raise ChainError(f"deployment of {name} failed (transaction {row['hash']})")
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(row["contract"]))


def deploy_all(node: Node, keys: KeyRing, outbox: Outbox, terms: Terms, poll_s: float = 0.0) -> Deployment:
    """Deploy play money and the settlement contract on a development chain; the operator gets every role."""
    if not keys.public:
        raise ChainInputError(
            "play money is for development chains; give the address of the currency instead"
        )
    operator = keys.operator.address
    token = create(outbox, "TestCurrency", ["address"], [operator], poll_s)
    settlement = deploy_settlement(outbox, keys, terms, token, poll_s)
    currency = Contract(node, "TestCurrency", token)
    outbox.post(
        *_grants(node, settlement, operator),
        Post(SETUP, "approve", token, currency.data("approve", settlement, 2**256 - 1), 100_000),
    )
    wait_idle(outbox, poll_s=poll_s)
    return Deployment(node.chain_id(), settlement, token, block=_block_of(outbox)).on(node)


def _block_of(outbox: Outbox) -> int:
    blocks = [row["block_number"] for row in outbox.rows(SETUP, "create EnergySettlement")]
    return int([block for block in blocks if block is not None][-1])


def deploy_community(
    node: Node, keys: KeyRing, outbox: Outbox, terms: Terms, token: str, interval_s: int, poll_s: float = 0.0
) -> Deployment:
    """Deploy everything: the settlement (over play money where ``token`` is empty), registry and certificates."""
    if token:
        settlement = deploy_settlement(outbox, keys, terms, token, poll_s)
        outbox.post(*_grants(node, settlement, keys.operator.address))
        wait_idle(outbox, poll_s=poll_s)
        base = Deployment(node.chain_id(), settlement, token, block=_block_of(outbox)).on(node)
    else:
        base = deploy_all(node, keys, outbox, terms, poll_s)
    registry = create(outbox, "AssetRegistry", ["address"], [keys.operator.address], poll_s)
    types = ["address", "address", "uint64"]
    certificates = create(outbox, "GreenCertificates", types, [base.settlement, registry, interval_s], poll_s)
    return replace(base, registry=registry, certificates=certificates)


KINDS = ("house", "pv", "battery", "ev")
"""Kinds of assets, in the registry's order."""


def deploy_registry(
    node: Node, keys: KeyRing, outbox: Outbox, devices: Sequence[Device], poll_s: float = 0.0
) -> str:
    """Deploy a registry and enter every metering device. Returns its address."""
    address = create(outbox, "AssetRegistry", ["address"], [keys.operator.address], poll_s)
    register(Contract(node, "AssetRegistry", address), keys, outbox, devices, poll_s)
    return address


def register(
    registry: Contract, keys: KeyRing, outbox: Outbox, devices: Sequence[Device], poll_s: float = 0.0
) -> None:
    """Enter the devices that a registry does not know, as the operator's; the meter point is named as the device.

    Raises ChainInputError where it knows one of them by another key.
    """
    posts = []
    for device in devices:
        known = key_of(registry, device.name)
        if known and known != device.key.lower():
            raise ChainInputError(
                f"the registry at {registry.address} has another key for {device.name}: another scenario or seed "
                "uses it; deploy another, or retire the asset"
            )
        if not known:
            kind, meter = KINDS.index(device.kind), bytes(keccak(device.name.encode()))
            asset = (
                keys.operator.address,
                kind,
                False,
                device.efficiency_ppm,
                device.key,
                device.capacity,
                meter,
            )
            data = registry.data("register", device.name, (*asset, bytes(32)))
            posts.append(Post(SETUP, "register", registry.address, data, 400_000))
    for start in range(0, len(posts), AT_ONCE):
        outbox.post(*posts[start : start + AT_ONCE])
        wait_idle(outbox, poll_s=poll_s)
    failed = [row for row in outbox.rows(SETUP, "register") if row["status"] == "failed"] if posts else []
    if failed:
        raise ChainError(
            f"{len(failed)} devices could not be registered; the first: transaction {failed[0]['hash']}"
        )


def key_of(registry: Contract, name: str) -> str:
    """Address of the key of a registered device that is not retired, in lower case; empty where there is none."""
    try:
        _, _, retired, _, key, *_ = registry.read("assetOf", account_id(name))
    except RevertedError:
        return ""
    return "" if retired else str(key).lower()


def deploy_settlement(outbox: Outbox, keys: KeyRing, terms: Terms, token: str, poll_s: float = 0.0) -> str:
    """Deploy the settlement contract alone, over an existing currency."""
    oracles = [oracle.address for oracle in keys.oracles]
    types = ["address", "bytes32", "uint64", "uint64", "address", "address[]", "uint8"]
    values = [
        token,
        market_key(terms.market_id),
        terms.window_s,
        terms.withdraw_delay_s,
        keys.operator.address,
        oracles,
        keys.threshold,
    ]
    return create(outbox, "EnergySettlement", types, values, poll_s)


def _grants(node: Node, settlement: str, operator: str) -> list[Post]:
    contract = Contract(node, "EnergySettlement", settlement)
    return [
        Post(
            SETUP,
            "grant",
            settlement,
            contract.data("grantRole", bytes(keccak(role.encode())), operator),
            100_000,
        )
        for role in ROLES
    ]
