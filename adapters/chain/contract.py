"""A deployed contract by name: calls, data of transactions, events and errors, from the shipped ABI.

eth-abi does the coding. web3's contract objects would do the same and cost a second of import and 20 ms a batch.
"""

from typing import Any

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from adapters.chain.artefacts import Artefact, check_deployed, load_artefact
from adapters.chain.errors import ChainInputError, RevertedError
from adapters.chain.node import Log, Node


def type_of(parameter: dict[str, Any]) -> str:
    """ABI type as eth-abi writes it: tuples spelt out."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(type_of(c) for c in parameter['components'])}){kind[5:]}"


class Contract:
    """One contract at one address."""

    def __init__(self, node: Node, name: str, address: str, artefact: Artefact | None = None) -> None:
        self.node, self.address = node, address
        self.artefact = artefact or load_artefact(name)
        self._functions = {item["name"]: item for item in self.artefact.abi if item["type"] == "function"}
        self._events = {
            keccak(f"{item['name']}({','.join(type_of(i) for i in item['inputs'])})".encode()): item
            for item in self.artefact.abi
            if item["type"] == "event"
        }
        self._selectors: dict[str, tuple[bytes, list[str], list[str]]] = {}

    def check_code(self) -> None:
        """Raise ArtefactError unless the code at the address is ours."""
        check_deployed(self.node.code(self.address), self.artefact, self.address)

    def data(self, name: str, *args: Any) -> bytes:
        """Data of a transaction that calls a function."""
        selector, inputs, _ = self._signature(name)
        return selector + encode(inputs, args)

    def arguments(self, name: str, data: bytes) -> tuple[Any, ...]:
        """What a transaction that called a function gave it."""
        selector, inputs, _ = self._signature(name)
        if data[:4] != selector:
            raise ChainInputError(f"a transaction to {self.address} does not call {name}")
        return tuple(decode(inputs, data[4:]))

    def read(self, name: str, *args: Any, sender: str | None = None, block: int | str = "latest") -> Any:
        """Call a view. One output comes bare, several as a tuple. Raises RevertedError with a named reason."""
        _, _, outputs = self._signature(name)
        try:
            answer = self.node.call(self.address, self.data(name, *args), sender, block)
        except RevertedError as error:
            raise RevertedError(error.data, self.reason(error)) from error
        values = decode(outputs, answer)
        return values[0] if len(values) == 1 else values

    def reason(self, error: RevertedError) -> str:
        """Why a call reverted: the custom error with its arguments."""
        return revert_reason(error, self.artefact)

    def events(self, logs: tuple[Log, ...] | list[Log], name: str) -> list[dict[str, Any]]:
        """Decode the events of one kind; indexed text comes as its hash."""
        found = []
        for log in logs:
            item = self._events.get(log.topics[0]) if log.topics else None
            if item is None or item["name"] != name or log.address.lower() != self.address.lower():
                continue
            indexed = [i for i in item["inputs"] if i["indexed"]]
            plain = [i for i in item["inputs"] if not i["indexed"]]
            values = dict(
                zip((i["name"] for i in plain), decode([type_of(i) for i in plain], log.data), strict=True)
            )
            for parameter, topic in zip(indexed, log.topics[1:], strict=True):
                values[parameter["name"]] = decode([type_of(parameter)], topic)[0]
            found.append(values | {"block_number": log.block_number, "transaction": log.transaction})
        return found

    def history(self, name: str, *indexed: bytes | None) -> list[dict[str, Any]]:
        """All events of one kind from the node, filtered by indexed 32-byte values."""
        topic = next(t for t, item in self._events.items() if item["name"] == name)
        wanted = [None if value is None else "0x" + value.hex() for value in indexed]
        return self.events(self.node.logs(self.address, ["0x" + topic.hex(), *wanted]), name)

    def _signature(self, name: str) -> tuple[bytes, list[str], list[str]]:
        found = self._selectors.get(name)
        if found is None:
            item = self._functions.get(name)
            if item is None:
                raise ChainInputError(f"{self.artefact.name} has no function {name}")
            inputs = [type_of(i) for i in item["inputs"]]
            selector = bytes(keccak(f"{name}({','.join(inputs)})".encode()))[:4]
            found = self._selectors[name] = (selector, inputs, [type_of(o) for o in item["outputs"]])
        return found


def revert_reason(error: RevertedError, artefact: Artefact) -> str:
    """Name the custom error of a revert with its arguments."""
    data = error.data
    if len(data) < 4:
        return str(error)
    entry = _error_table(artefact).get(data[:4])
    if entry is None:
        return f"reverted with 0x{data.hex()[:72]}"
    name, types, inputs = entry
    shown = (
        f"{key}={'0x' + value.hex() if isinstance(value, bytes) else value}"
        for key, value in zip(inputs, decode(types, data[4:]), strict=True)
    )
    return f"{name}({', '.join(shown)})"


def _error_table(artefact: Artefact) -> dict[bytes, tuple[str, list[str], list[str]]]:
    table = {
        bytes(keccak(b"Error(string)"))[:4]: ("Error", ["string"], ["text"]),
        bytes(keccak(b"Panic(uint256)"))[:4]: ("Panic", ["uint256"], ["code"]),
    }
    for item in artefact.abi:
        if item["type"] == "error":
            types = [type_of(i) for i in item["inputs"]]
            selector = bytes(keccak(f"{item['name']}({','.join(types)})".encode()))[:4]
            table[selector] = (item["name"], types, [i["name"] for i in item["inputs"]])
    return table
