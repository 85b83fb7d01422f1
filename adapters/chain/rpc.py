"""Settlement on a real node over JSON-RPC, by HTTP or WebSocket."""

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.chain.contract import Contract
from adapters.chain.deploy import Deployment, Terms, deploy_all, deploy_registry, register
from adapters.chain.errors import ChainInputError, ChainUnavailableError
from adapters.chain.keys import KeyRing, embedded_keys, keys_from_environment
from adapters.chain.ledger import LedgerChain
from adapters.chain.node import Node
from adapters.chain.options import Device, RpcOptions
from adapters.chain.outbox import Outbox
from adapters.chain.settlement import Settlement


class HttpTransport:
    """JSON-RPC over HTTP, by web3's provider without its retries: the outbox repeats what must be repeated."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        from web3 import HTTPProvider

        self._url = url
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None
        )

    def request(self, method: str, params: Any) -> dict[str, Any]:
        """Ask the node. Raises ChainUnavailableError where it does not answer."""
        from requests.exceptions import RequestException

        try:
            return dict(self._provider.make_request(method, params))
        except (RequestException, OSError, ValueError) as error:
            raise ChainUnavailableError(
                f"no answer from {shown(self._url)}: {type(error).__name__}"
            ) from error

    def close(self) -> None:
        """Close the sessions."""
        from requests import Session

        for session in self._provider._request_session_manager.session_cache._data.values():
            if isinstance(session, Session):
                session.close()


class WebSocketTransport:
    """JSON-RPC over one WebSocket, one request at a time; reconnects at the next request after a break."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._socket: Any = None
        self._open = ExitStack()
        self._next_id = 0
        self._lock = threading.Lock()

    def request(self, method: str, params: Any) -> dict[str, Any]:
        """Ask the node. Raises ChainUnavailableError where it does not answer."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        with self._lock:
            self._next_id += 1
            body = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}
            try:
                if self._socket is None:
                    self._socket = self._open.enter_context(
                        connect(self._url, open_timeout=self._timeout_s, max_size=2**25)
                    )
                self._socket.send(json.dumps(body))
                while True:
                    answer = json.loads(self._socket.recv(timeout=self._timeout_s))
                    if answer.get("id") == self._next_id:
                        return dict(answer)
            except (WebSocketException, OSError, ValueError, EOFError) as error:
                self._drop()
                raise ChainUnavailableError(
                    f"no answer from {shown(self._url)}: {type(error).__name__}"
                ) from error

    def close(self) -> None:
        """Close the socket."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        self._socket = None
        self._open.close()


def shown(url: str) -> str:
    """A node's address without what may be a password or an access key."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def connect(url: str, timeout_s: float = 10.0) -> Node:
    """A node by its address. Raises ChainInputError for a scheme that is not HTTP or WebSocket."""
    if url.startswith(("http://", "https://")):
        return Node(HttpTransport(url, timeout_s))
    if url.startswith(("ws://", "wss://")):
        return Node(WebSocketTransport(url, timeout_s))
    raise ChainInputError(f"address of the node is {url!r}: it must begin with http, https, ws or wss")


def reach(url: str) -> Node:
    """A node that answers now. Raises ChainInputError where it does not: nothing was begun yet."""
    node = connect(url)
    try:
        node.chain_id()
    except ChainUnavailableError as error:
        node.close()
        raise ChainInputError(f"{error}: start the node, or correct its address") from error
    return node


def open_rpc(
    market_id: str,
    start_s: int,
    options: RpcOptions,
    terms: Terms | None = None,
    devices: Sequence[Device] = (),
) -> LedgerChain:
    """Attach to (or, in development, deploy) our contracts on a node; in development ``devices`` are registered.

    Raises ChainInputError where the node does not answer, for another chain id or market and an operator
    without funds, ArtefactError where the contract is missing or is not ours.
    """
    node = reach(options.url)
    keys = embedded_keys() if options.development else keys_from_environment()
    check_node(node, keys, options)
    outbox = Outbox(options.outbox, node, keys.operator, confirmations=options.confirmations)
    time_control = options.development and node.has_time_control()
    try:
        deployment = _deployment(node, keys, outbox, market_id, options, terms)
        registry = deployment.registry
        if devices and options.development:
            registry = _registered(node, keys, outbox, deployment, options, devices)
        ahead_s = max(0, node.now_s() - start_s) if time_control else 0
        clock = _Clock(node, ahead_s) if time_control else _no_clock
        settlement = Settlement(
            node, keys, outbox, deployment.settlement, deployment.currency, clock=clock, preflight=True
        )
        settlement.check_market(market_id)
    except Exception:
        outbox.close()
        node.close()
        raise
    return LedgerChain(
        "rpc",
        market_id,
        settlement,
        immediate=False,
        time_control=time_control,
        patience_s=options.patience_s,
        poll_s=0.02 if time_control else 1.0,
        registry=registry,
    )


def check_node(node: Node, keys: KeyRing, options: RpcOptions) -> None:
    """Refuse a node of another chain and an operator that cannot pay for gas."""
    chain_id = node.chain_id()
    if options.chain_id and chain_id != options.chain_id:
        raise ChainInputError(
            f"the node at {shown(options.url)} is of chain {chain_id}, expected {options.chain_id}"
        )
    problem = funds_problem(node, keys)
    if problem and options.development and node.has_time_control():
        node.request("anvil_setBalance", keys.operator.address, hex(10**24))
    elif problem:
        raise ChainInputError(problem[0])


def funds_problem(node: Node, keys: KeyRing) -> list[str]:
    """What is wrong where the operator cannot pay for gas: one sentence, or none."""
    if node.balance_wei(keys.operator.address) > 0:
        return []
    return [
        f"the operator {keys.operator.address} has no funds for gas on chain {node.chain_id()}: "
        "send it some of the chain's own coin"
    ]


def _deployment(
    node: Node, keys: KeyRing, outbox: Outbox, market_id: str, options: RpcOptions, terms: Terms | None
) -> Deployment:
    if options.deployment and Path(options.deployment).exists():
        return Deployment.load(Path(options.deployment), node.chain_id()).on(node)
    if not options.development:
        raise ChainInputError("name the file of the deployment (twin chain deploy writes it)")
    outbox.confirmations = 0  # a development node makes a block per transaction and none on top
    deployment = deploy_all(node, keys, outbox, terms or Terms(market_id), poll_s=0.02)
    outbox.confirmations = options.confirmations
    if options.deployment:
        deployment.save(Path(options.deployment))
    return deployment


def _registered(
    node: Node,
    keys: KeyRing,
    outbox: Outbox,
    deployment: Deployment,
    options: RpcOptions,
    devices: Sequence[Device],
) -> str:
    """Enter devices into the deployment's registry, which is made where there is none. Returns its address."""
    outbox.confirmations, kept = 0, outbox.confirmations
    try:
        if deployment.registry:
            registry = Contract(node, "AssetRegistry", deployment.registry)
            registry.check_code()
            register(registry, keys, outbox, devices, poll_s=0.02)
            return deployment.registry
        address = deploy_registry(node, keys, outbox, devices, poll_s=0.02)
    finally:
        outbox.confirmations = kept
    if options.deployment:
        replace(deployment, registry=address).save(Path(options.deployment))
    return address


class _Clock:
    """Moves a development node's time to simulated time, plus what the node was ahead at the start."""

    def __init__(self, node: Node, ahead_s: int) -> None:
        self._node, self._ahead_s = node, ahead_s

    def __call__(self, time_s: int) -> None:
        if time_s + self._ahead_s > self._node.now_s():
            self._node.mine_at(time_s + self._ahead_s)


def _no_clock(time_s: int) -> None:
    """A real chain's time is its own."""
