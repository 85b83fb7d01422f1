"""Whether a run can settle on a node: everything that can be known before, read without changing anything."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from eth_hash.auto import keccak

from adapters.chain.accounts import ZERO_ADDRESS
from adapters.chain.contract import Contract
from adapters.chain.deploy import Deployment
from adapters.chain.enrol import registry_problems
from adapters.chain.errors import ChainError, ChainInputError
from adapters.chain.keys import KeyRing, embedded_keys, keys_from_environment
from adapters.chain.node import Node
from adapters.chain.options import Device, RpcOptions
from adapters.chain.rpc import funds_problem, reach, shown
from adapters.chain.sole import check_free
from adapters.chain.typed import account_id, market_key

T = TypeVar("T")
NEW = "new"
Problem = tuple[str, str]
"""The option that a problem belongs to (empty: none), and what is wrong and to be done."""


@dataclass(frozen=True)
class Needs:
    """What a run needs on chain: ``accounts``, of which the ``payers`` need a deposit, and metering ``devices``."""

    accounts: Sequence[str] = ()
    payers: Sequence[str] = ()
    devices: Sequence[Device] = ()


def preflight(market_id: str, options: RpcOptions, needs: Needs | None = None) -> list[Problem]:
    """Everything that stands against settling a market on a node; nothing is sent, no file is made.

    Where there is play money (a development chain), accounts and devices are entered by the run itself.
    """
    found: list[Problem] = []
    keys = _try(found, "", lambda: embedded_keys() if options.development else keys_from_environment())
    node = _try(found, "url", lambda: reach(options.url))
    bound = {} if keys is None else {"sender": keys.operator.address}
    if node is not None:
        try:
            bound |= _node(found, node, keys, market_id, options, needs or Needs())
        except ChainError as error:
            found.append(("url", str(error)))
        finally:
            node.close()
    found += [("outbox", text) for text in _outbox(Path(options.outbox), bound)]
    return found


def _try(found: list[Problem], key: str, make: Callable[[], T]) -> T | None:
    try:
        return make()
    except ChainInputError as error:
        found.append((key, str(error)))
        return None


def _node(
    found: list[Problem],
    node: Node,
    keys: KeyRing | None,
    market_id: str,
    options: RpcOptions,
    needs: Needs,
) -> dict[str, str]:
    """Problems of a node that answers. Returns what an outbox for it is bound to."""
    chain_id = node.chain_id()
    bound = {"chain_id": str(chain_id)}
    if options.chain_id and chain_id != options.chain_id:
        text = f"the node at {shown(options.url)} is of chain {chain_id}, expected {options.chain_id}"
        found.append(("chain_id", text))
        return bound  # all else would be of the wrong chain
    if keys is not None and not (options.development and node.has_time_control()):
        found += [("", text) for text in funds_problem(node, keys)]
    path = Path(options.deployment)
    if options.development and not (options.deployment and path.exists()):
        return bound | {"contract": NEW}
    deployment = _try(found, "deployment", lambda: Deployment.load(path, chain_id))
    if deployment is None:
        return bound
    contract = Contract(node, "EnergySettlement", deployment.settlement)
    before = len(found)
    _try(found, "deployment", contract.check_code)
    if len(found) == before:
        found += _contract(contract, keys, market_id)
        if not options.development:
            found += _accounts(contract, keys, needs)
        if needs.devices:
            found += [("deployment", text) for text in _registry(node, deployment, options, needs.devices)]
    return bound | {"contract": deployment.settlement.lower()}


def _contract(contract: Contract, keys: KeyRing | None, market_id: str) -> Iterator[Problem]:
    """Problems of a contract that is ours: its market, oracles, role, and whether it takes batches now."""
    if bytes(contract.read("market")) != market_key(market_id):
        yield (
            "deployment",
            f"the contract at {contract.address} does not settle market {market_id!r}: deploy one with --market",
        )
    if keys is not None:
        known = [str(address).lower() for address in contract.read("oracles")]
        threshold = int(contract.read("threshold"))
        mine = [oracle.address.lower() for oracle in keys.oracles]
        if (known, threshold) != (mine, keys.threshold):
            yield (
                "",
                f"the contract's oracles are {threshold} of {', '.join(known)}; the keys given are {keys.threshold} of "
                f"{', '.join(mine)}: set TWIN_CHAIN_ORACLES and TWIN_CHAIN_THRESHOLD to the contract's, in its order",
            )
        role = bytes(keccak(b"PROPOSER_ROLE"))
        if not contract.read("hasRole", role, keys.operator.address):
            yield "", f"the operator {keys.operator.address} may not propose batches: it lacks PROPOSER_ROLE"
    if contract.read("paused"):
        yield "deployment", f"the contract at {contract.address} is paused: it takes no batches now"


def _accounts(contract: Contract, keys: KeyRing | None, needs: Needs) -> Iterator[Problem]:
    """Problems of accounts: of those who pay and have nothing, and of those that nobody may open."""
    if not needs.accounts:
        return
    states = contract.read("accountsOf", [account_id(name) for name in needs.accounts])
    pairs = list(zip(needs.accounts, states, strict=True))
    broke = [name for name, state in pairs if name in needs.payers and not state[1]]
    if broke:
        yield "", f"{len(broke)} accounts have no money on the contract: twin chain deposit ({_some(broke)})"
    closed = [name for name, state in pairs if name not in broke and state[0] == ZERO_ADDRESS]
    role = bytes(keccak(b"REGISTRAR_ROLE"))
    if closed and keys is not None and not contract.read("hasRole", role, keys.operator.address):
        yield (
            "",
            f"{len(closed)} accounts are not open ({_some(closed)}) and the operator {keys.operator.address} may not "
            "open them: it lacks REGISTRAR_ROLE",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _registry(
    node: Node, deployment: Deployment, options: RpcOptions, devices: Sequence[Device]
) -> Iterator[str]:
    """Why what the devices sign could not be proven afterwards (`twin chain reconcile`)."""
    if not deployment.registry:
        if not options.development:
            yield "the deployment has no registry for the devices' keys: twin chain deploy makes one"
        return
    registry = Contract(node, "AssetRegistry", deployment.registry)
    try:
        registry.check_code()
    except ChainInputError as error:
        yield str(error)
        return
    yield from registry_problems(registry, devices, options.development)


def _outbox(path: Path, bound: dict[str, str]) -> Iterator[str]:
    """Problems of the outbox file, which is not made here."""
    if not path.parent.is_dir():
        yield f"there is no folder {path.parent.name or path.parent}: make it, or name another file"
        return
    if not path.exists():
        return
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            have = dict(db.execute("SELECT key, value FROM meta"))
        finally:
            db.close()
    except sqlite3.Error as error:
        yield f"{path.name} is no outbox ({error}): name another file"
        return
    try:
        check_free(path)
    except ChainInputError as error:
        yield str(error)
        return
    if bound.get("contract") == NEW and "contract" in have:
        yield (
            f"{path.name} belongs to the contract {have['contract']}, and a new one would be deployed: name the "
            "deployment's file, or another outbox"
        )
        return
    for key, value in bound.items():
        if have.get(key, value).lower() != value.lower():
            yield f"{path.name} was made for {key} {have[key]}, this is {value}: give each chain and contract its own"
