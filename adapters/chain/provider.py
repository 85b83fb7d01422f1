"""JSON-RPC over the chain in memory: the words that a settlement adapter needs, and no socket.

It speaks the dialect of geth and anvil (also anvil's `evm_mine`, `evm_setNextBlockTimestamp`, `anvil_reorg`
and `anvil_dropTransaction`), so that one adapter runs over it and over a real node.
"""

from collections.abc import Callable
from typing import Any

from adapters.chain.evm import Evm, EvmBlock, ExecutionRevertedError, Mined, TransactionRefusedError

ZERO = "0x" + "00" * 32


class RpcError(Exception):
    """A JSON-RPC error answer."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        self.body: dict[str, Any] = {"code": code, "message": message}
        if data is not None:
            self.body["data"] = data
        super().__init__(message)


def _hex(value: int | bytes) -> str:
    return hex(value) if isinstance(value, int) else "0x" + bytes(value).hex()


def _raw(value: Any) -> bytes:
    return bytes.fromhex(value[2:]) if isinstance(value, str) else bytes(value)


def _int(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


class RpcNode:
    """Answers JSON-RPC methods from an ``Evm``."""

    def __init__(self, evm: Evm) -> None:
        self.evm = evm
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "p2p-grid-twin/embedded",
            "eth_chainId": lambda: _hex(evm.chain_id),
            "net_version": lambda: str(evm.chain_id),
            "eth_blockNumber": lambda: _hex(evm.head.number),
            "eth_gasPrice": lambda: _hex(evm.head.header.base_fee_per_gas + 10**9),
            "eth_maxPriorityFeePerGas": lambda: _hex(10**9),
            "eth_getBalance": lambda who, at="latest": _hex(self._state(at).get_balance(_raw(who))),
            "eth_getTransactionCount": self._nonce,
            "eth_getCode": lambda who, at="latest": _hex(self._state(at).get_code(_raw(who))),
            "eth_getStorageAt": lambda who, slot, at="latest": _hex(
                self._state(at).get_storage(_raw(who), _int(slot)).to_bytes(32, "big")
            ),
            "eth_call": self._call,
            "eth_estimateGas": lambda tx, at="latest": _hex(evm.estimate_gas(*self._message(tx))),
            "eth_sendRawTransaction": lambda raw: _hex(evm.send_raw(_raw(raw))),
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionByHash": self._transaction,
            "eth_getBlockByNumber": lambda at, full=False: self._block(self._at(at), full),
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getLogs": self._logs,
            "evm_mine": self._mine,
            "evm_setNextBlockTimestamp": lambda t: evm.set_next_time(_int(t)),
            "evm_setAutomine": lambda on: setattr(evm, "auto_mine", bool(on)),
            "anvil_reorg": lambda depth, _pairs=(): evm.reorganise(_int(depth), keep=False),
            "anvil_dropTransaction": lambda digest: (
                _hex(digest) if evm.pending.pop(_raw(digest), None) else None
            ),
        }

    def request(self, method: str, params: Any) -> dict[str, Any]:
        """Answer one request as a JSON-RPC body without id."""
        handler = self._methods.get(method)
        try:
            if handler is None:
                raise RpcError(-32601, f"method {method} is not known to the embedded chain")
            return {"jsonrpc": "2.0", "id": 1, "result": handler(*(params or []))}
        except RpcError as fault:
            return {"jsonrpc": "2.0", "id": 1, "error": fault.body}
        except ExecutionRevertedError as error:
            body = RpcError(
                3 if error.data else -32000, str(error), _hex(error.data) if error.data else None
            ).body
            return {"jsonrpc": "2.0", "id": 1, "error": body}
        except TransactionRefusedError as error:
            return {"jsonrpc": "2.0", "id": 1, "error": RpcError(-32000, str(error)).body}

    def close(self) -> None:
        """Nothing to release."""

    def _at(self, at: Any) -> EvmBlock | None:
        if at in ("latest", "pending", "safe", "finalized", None):
            return self.evm.head
        number = 0 if at == "earliest" else _int(at)
        return self.evm.blocks[number] if 0 <= number < len(self.evm.blocks) else None

    def _state(self, at: Any) -> Any:
        block = self._at(at)
        if block is None:
            raise RpcError(-32000, f"no block {at}")
        return self.evm.state(block)

    def _nonce(self, who: Any, at: Any = "latest") -> str:
        address = _raw(who)
        nonce = self._state(at).get_nonce(address)
        if at == "pending":
            waiting = {t.nonce for t in self.evm.pending.values() if t.sender == address}
            while nonce in waiting:
                nonce += 1
        return _hex(nonce)

    def _message(self, tx: dict[str, Any]) -> tuple[bytes, bytes, bytes, int]:
        data = tx.get("data", tx.get("input", "0x"))
        sender = _raw(tx["from"]) if tx.get("from") else bytes(20)
        return sender, _raw(tx["to"]) if tx.get("to") else b"", _raw(data), _int(tx.get("value", 0))

    def _call(self, tx: dict[str, Any], at: Any = "latest") -> str:
        block = self._at(at)
        if block is None:
            raise RpcError(-32000, f"no block {at}")
        return _hex(self.evm.call(*self._message(tx), block=block))

    def _mine(self, time_s: Any = None) -> str:
        if time_s is not None:
            self.evm.set_next_time(_int(time_s))
        self.evm.mine()
        return "0x0"

    def _log(self, entry: Mined, block: EvmBlock, position: int) -> dict[str, Any]:
        log = entry.receipt.logs[position]
        return {
            "address": _hex(log.address),
            "topics": [_hex(topic.to_bytes(32, "big")) for topic in log.topics],
            "data": _hex(log.data),
            "blockNumber": _hex(block.number),
            "blockHash": _hex(block.hash),
            "transactionHash": _hex(entry.hash),
            "transactionIndex": _hex(entry.index),
            "logIndex": _hex(entry.log_offset + position),
            "removed": False,
        }

    def _receipt(self, digest: Any) -> dict[str, Any] | None:
        entry = self.evm.mined.get(_raw(digest))
        if entry is None:
            return None
        block = self.evm.blocks[entry.block_number]
        return {
            "transactionHash": _hex(entry.hash),
            "transactionIndex": _hex(entry.index),
            "blockHash": _hex(block.hash),
            "blockNumber": _hex(block.number),
            "from": _hex(entry.transaction.sender),
            "to": _hex(entry.transaction.to) if entry.transaction.to else None,
            "gasUsed": _hex(entry.gas_used),
            "cumulativeGasUsed": _hex(entry.receipt.gas_used),
            "contractAddress": _hex(entry.contract) if entry.contract else None,
            "logs": [self._log(entry, block, i) for i in range(len(entry.receipt.logs))],
            "logsBloom": _hex(entry.receipt.bloom.to_bytes(256, "big")),
            "status": "0x1" if entry.receipt.state_root == b"\x01" else "0x0",
            "effectiveGasPrice": _hex(block.header.base_fee_per_gas + 10**9),
            "type": "0x2",
        }

    def _transaction(self, digest: Any) -> dict[str, Any] | None:
        entry = self.evm.mined.get(_raw(digest))
        transaction = entry.transaction if entry else self.evm.pending.get(_raw(digest))
        if transaction is None:
            return None
        block = self.evm.blocks[entry.block_number] if entry else None
        return {
            "hash": _hex(bytes(transaction.hash)),
            "nonce": _hex(transaction.nonce),
            "from": _hex(transaction.sender),
            "to": _hex(transaction.to) if transaction.to else None,
            "input": _hex(transaction.data),
            "value": _hex(transaction.value),
            "gas": _hex(transaction.gas),
            "blockNumber": _hex(block.number) if block else None,
            "blockHash": _hex(block.hash) if block else None,
            "transactionIndex": _hex(entry.index) if entry else None,
        }

    def _block(self, block: EvmBlock | None, full: bool = False) -> dict[str, Any] | None:
        if block is None:
            return None
        return {
            "number": _hex(block.number),
            "hash": _hex(block.hash),
            "parentHash": _hex(block.header.parent_hash),
            "timestamp": _hex(block.header.timestamp),
            "gasLimit": _hex(block.header.gas_limit),
            "gasUsed": _hex(block.header.gas_used),
            "baseFeePerGas": _hex(block.header.base_fee_per_gas),
            "stateRoot": _hex(block.header.state_root),
            "transactions": [
                self._transaction(_hex(entry.hash)) if full else _hex(entry.hash)
                for entry in block.transactions
            ],
        }

    def _block_by_hash(self, digest: Any, full: bool = False) -> dict[str, Any] | None:
        wanted = _raw(digest)
        return self._block(next((b for b in reversed(self.evm.blocks) if b.hash == wanted), None))

    def _logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first = self._at(query.get("fromBlock", "latest"))
        last = self._at(query.get("toBlock", "latest")) or self.evm.head
        wanted = query.get("address")
        addresses = {_raw(a) for a in ([wanted] if isinstance(wanted, str) else wanted or [])}
        logs = []
        for block in self.evm.blocks[first.number if first else len(self.evm.blocks) : last.number + 1]:
            for entry in block.transactions:
                for i, log in enumerate(entry.receipt.logs):
                    if addresses and bytes(log.address) not in addresses:
                        continue
                    if _topics_match([t.to_bytes(32, "big") for t in log.topics], query.get("topics") or []):
                        logs.append(self._log(entry, block, i))
        return logs


def _topics_match(topics: list[bytes], wanted: list[Any]) -> bool:
    if len(wanted) > len(topics):
        return False
    for topic, want in zip(topics, wanted, strict=False):
        if want is None:
            continue
        if topic not in {_raw(w) for w in (want if isinstance(want, list) else [want])}:
            return False
    return True
