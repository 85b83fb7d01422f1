"""One sender of transactions: nonce, fee, signature, receipt, and the reason where the contract refused."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from adapters.chain.artefacts import Artefact
from adapters.chain.errors import BatchRefusedError, ChainError, ChainUnavailableError
from adapters.chain.keys import Signer

TIP_WEI = 10**9


@dataclass(frozen=True)
class TxResult:
    """A mined transaction."""

    hash: str
    block_number: int
    gas: int
    contract: str | None


class Transactor:
    """Sends transactions of one key over one web3 connection, one after the other."""

    def __init__(self, w3: Any, signer: Signer, confirm_timeout_s: float = 120.0) -> None:
        self._w3 = w3
        self.signer = signer
        self.chain_id = int(w3.eth.chain_id)
        self._nonce = int(w3.eth.get_transaction_count(signer.address, "pending"))
        self._confirm_timeout_s = confirm_timeout_s

    def send(self, to: str | None, data: bytes, gas: int, errors: Artefact | None = None) -> TxResult:
        """Send, wait until mined. Raises BatchRefusedError where the contract reverts."""
        base_fee = int(self._w3.eth.get_block("latest")["baseFeePerGas"])
        fields: dict[str, Any] = {
            "chainId": self.chain_id,
            "nonce": self._nonce,
            "gas": gas,
            "maxFeePerGas": 2 * base_fee + TIP_WEI,
            "maxPriorityFeePerGas": TIP_WEI,
            "value": 0,
            "data": data,
        }
        if to is not None:
            fields["to"] = to
        raw, digest = self.signer.sign_transaction(fields)
        self._w3.eth.send_raw_transaction(raw)
        self._nonce += 1
        receipt = self._wait(digest)
        if receipt["status"] != 1:
            raise BatchRefusedError(self._reason(fields, receipt, errors))
        return TxResult(
            "0x" + digest.hex(), receipt["blockNumber"], receipt["gasUsed"], receipt["contractAddress"]
        )

    def _wait(self, digest: bytes) -> Any:
        from web3.exceptions import TimeExhausted

        try:
            return self._w3.eth.wait_for_transaction_receipt(digest, timeout=self._confirm_timeout_s)
        except TimeExhausted as error:
            raise ChainUnavailableError(
                f"transaction 0x{digest.hex()} was not mined within {self._confirm_timeout_s:g} s"
            ) from error

    def _reason(self, fields: dict[str, Any], receipt: Any, errors: Artefact | None) -> str:
        """Ask the chain once more, as a call on the state before the block, why it reverted."""
        call = {k: fields[k] for k in ("to", "data", "gas") if k in fields} | {"from": self.signer.address}
        try:
            self._w3.eth.call(call, max(0, receipt["blockNumber"] - 1))
        except Exception as error:
            return revert_reason(error, errors)
        return "reverted, but a repeated call did not: out of gas, or the state changed in between"


def revert_reason(error: BaseException, artefact: Artefact | None) -> str:
    """Name the custom error of a revert with its arguments, from any of web3's exceptions."""
    from eth_abi.abi import decode

    data = getattr(error, "data", None)
    if not isinstance(data, str) or len(data) < 10 or artefact is None:
        return str(error) or type(error).__name__
    known = error_table(artefact.name)
    entry = known.get(data[2:10])
    if entry is None:
        return f"reverted with {data[:74]}"
    name, types, inputs = entry
    values = decode(types, bytes.fromhex(data[10:]))
    shown = (
        f"{key}={'0x' + value.hex() if isinstance(value, bytes) else value}"
        for key, value in zip(inputs, values, strict=True)
    )
    return f"{name}({', '.join(shown)})"


@cache
def error_table(contract: str) -> dict[str, tuple[str, list[str], list[str]]]:
    """Custom errors of a shipped contract: selector as hex to (name, types, argument names)."""
    from eth_hash.auto import keccak

    from adapters.chain.artefacts import load_artefact

    table = {}
    for item in load_artefact(contract).abi:
        if item["type"] != "error":
            continue
        types = [i["type"] for i in item["inputs"]]
        selector = bytes(keccak(f"{item['name']}({','.join(types)})".encode()))[:4].hex()
        table[selector] = (item["name"], types, [i["name"] for i in item["inputs"]])
    return table


def deploy(
    transactor: Transactor, artefact: Artefact, types: list[str], values: list[Any]
) -> tuple[str, int]:
    """Deploy a shipped contract. Returns (address, gas)."""
    from eth_abi.abi import encode

    result = transactor.send(None, artefact.bytecode + encode(types, values), gas=8_000_000, errors=artefact)
    if result.contract is None:
        raise ChainError(f"deployment of {artefact.name} gave no address")
    return result.contract, result.gas
