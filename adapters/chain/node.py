"""A node as settlement sees it: JSON-RPC words over a transport, with errors that say what to do."""

from dataclasses import dataclass
from typing import Any, Protocol

from adapters.chain.errors import ChainUnavailableError, NodeRefusedError, RevertedError


class Transport(Protocol):
    """Carries one JSON-RPC request. Raises ChainUnavailableError where nobody answers."""

    def request(self, method: str, params: Any) -> dict[str, Any]:
        """Return the body of the answer, with 'result' or 'error'."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


@dataclass(frozen=True)
class Log:
    """An event as the node gives it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    transaction: str


@dataclass(frozen=True)
class Sent:
    """Who sent a mined transaction, in lower case, and with which nonce."""

    hash: str
    sender: str
    nonce: int


@dataclass(frozen=True)
class Receipt:
    """A mined transaction as the node gives it."""

    succeeded: bool
    block_number: int
    block_hash: str
    gas: int
    contract: str | None
    logs: tuple[Log, ...]


class Node:
    """The words that settlement needs, with plain types."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.first_block = 0  # before it none of our contracts existed

    def request(self, method: str, *params: Any) -> Any:
        """Ask. Raises RevertedError, NodeRefusedError or ChainUnavailableError."""
        body = self.transport.request(method, list(params))
        error = body.get("error")
        if error is None:
            return body.get("result")
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
        data = error.get("data") if isinstance(error, dict) else None
        if isinstance(data, dict):  # some nodes nest it
            data = data.get("data")
        if isinstance(data, str) and data.startswith("0x"):
            raise RevertedError(bytes.fromhex(data[2:]), text)
        if "revert" in text:
            raise RevertedError(b"", text)
        raise NodeRefusedError(f"{method}: {text}")

    def chain_id(self) -> int:
        """Chain id."""
        return int(self.request("eth_chainId"), 16)

    def nonce(self, address: str, block: int | str = "latest") -> int:
        """Transactions of an address in mined blocks, up to a block."""
        at = hex(block) if isinstance(block, int) else block
        return int(self.request("eth_getTransactionCount", address, at), 16)

    def balance_wei(self, address: str) -> int:
        """Balance of an address for gas."""
        return int(self.request("eth_getBalance", address, "latest"), 16)

    def code(self, address: str) -> bytes:
        """Runtime code at an address."""
        return bytes.fromhex(self.request("eth_getCode", address, "latest")[2:])

    def send_raw(self, raw: bytes) -> str:
        """Send a signed transaction. Returns its hash."""
        return str(self.request("eth_sendRawTransaction", "0x" + raw.hex()))

    def receipt(self, digest: str) -> Receipt | None:
        """Receipt of a mined transaction, None while it is not mined."""
        raw = self.request("eth_getTransactionReceipt", digest)
        if raw is None or raw.get("blockHash") is None:
            return None
        return Receipt(
            succeeded=int(raw["status"], 16) == 1,
            block_number=int(raw["blockNumber"], 16),
            block_hash=raw["blockHash"],
            gas=int(raw["gasUsed"], 16),
            contract=raw.get("contractAddress"),
            logs=tuple(_log(item) for item in raw["logs"]),
        )

    def sent_data(self, digest: str) -> bytes:
        """Data of a mined transaction. Raises ChainUnavailableError where the node does not have it."""
        raw = self.request("eth_getTransactionByHash", digest)
        if not isinstance(raw, dict):
            raise ChainUnavailableError(f"the node does not have transaction {digest}")
        return bytes.fromhex(raw["input"][2:])

    def block(self, number: int | str = "latest") -> dict[str, Any]:
        """Header of a block. Raises ChainUnavailableError where the node does not have it."""
        at = hex(number) if isinstance(number, int) else number
        raw = self.request("eth_getBlockByNumber", at, False)
        if not isinstance(raw, dict):
            raise ChainUnavailableError(f"the node does not have block {number}")
        return raw

    def block_hash(self, number: int) -> str | None:
        """Hash of a block; None where the node does not have it (yet)."""
        raw = self.request("eth_getBlockByNumber", hex(number), False)
        return str(raw["hash"]) if isinstance(raw, dict) else None

    def transactions(self, number: int) -> list[Sent]:
        """Transactions of a block; none where the node does not have it (yet)."""
        raw = self.request("eth_getBlockByNumber", hex(number), True)
        found = raw["transactions"] if isinstance(raw, dict) else []
        return [Sent(tx["hash"], tx["from"].lower(), int(tx["nonce"], 16)) for tx in found]

    def height(self) -> int:
        """Number of the newest block."""
        return int(self.request("eth_blockNumber"), 16)

    def now_s(self) -> int:
        """Timestamp of the newest block."""
        return int(self.block()["timestamp"], 16)

    def call(self, to: str, data: bytes, sender: str | None = None, block: int | str = "latest") -> bytes:
        """Read, or try out, without a transaction. Raises RevertedError."""
        message = {"to": to, "data": "0x" + data.hex()} | ({"from": sender} if sender else {})
        answer = self.request("eth_call", message, hex(block) if isinstance(block, int) else block)
        return bytes.fromhex(answer[2:])

    def logs(self, address: str, topics: list[str | None]) -> list[Log]:
        """Events of a contract since ``first_block``, oldest first.

        Many providers answer for so many blocks or events only; they are asked in parts then. Raises NodeRefusedError
        where not even one block is answered.
        """
        query = {"address": address, "topics": topics}
        try:
            return self._logs(query | {"fromBlock": hex(self.first_block), "toBlock": "latest"})
        except NodeRefusedError:
            start, last = self.first_block, self.height()
        found, width = [], last - start + 1
        while start <= last:
            end = min(start + width - 1, last)
            try:
                found += self._logs(query | {"fromBlock": hex(start), "toBlock": hex(end)})
                start = end + 1
            except NodeRefusedError:
                if width <= 1:
                    raise
                width = (width + 1) // 2
        return found

    def _logs(self, query: dict[str, Any]) -> list[Log]:
        return [_log(item) for item in self.request("eth_getLogs", query)]

    def mine_at(self, time_s: int) -> None:
        """Make a block with this timestamp, on a node whose time can be moved."""
        self.request("evm_setNextBlockTimestamp", time_s)
        self.request("evm_mine")

    def has_time_control(self) -> bool:
        """Whether the node's clock can be moved (the embedded chain, anvil)."""
        client = str(self.request("web3_clientVersion")).lower()
        return client.startswith(("p2p-grid-twin", "anvil", "hardhat"))

    def close(self) -> None:
        """Release the connection."""
        self.transport.close()


def _log(raw: dict[str, Any]) -> Log:
    return Log(
        address=raw["address"],
        topics=tuple(bytes.fromhex(topic[2:]) for topic in raw["topics"]),
        data=bytes.fromhex(raw["data"][2:]),
        block_number=int(raw["blockNumber"], 16),
        transaction=raw["transactionHash"],
    )
