"""Keys that sign. Those of the embedded chain are fixed and public; real ones come from keystores."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from adapters.chain.errors import ChainInputError


class Signer:
    """One secp256k1 key. Its text never shows the key."""

    def __init__(self, secret: bytes) -> None:
        from eth_keys.datatypes import PrivateKey

        self._key: Any = PrivateKey(secret)
        self.address: str = self._key.public_key.to_checksum_address()

    @property
    def canonical_address(self) -> bytes:
        """The address as 20 bytes."""
        return bytes(self._key.public_key.to_canonical_address())

    def sign(self, digest: bytes) -> bytes:
        """65-byte signature (r, s, v with v 27 or 28) over a 32-byte digest, deterministic (RFC 6979)."""
        raw = bytes(self._key.sign_msg_hash(digest).to_bytes())
        return raw[:64] + bytes([raw[64] + 27])

    def sign_transaction(self, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        """Sign an EIP-1559 transaction. Returns (raw bytes, hash)."""
        from eth_account import Account

        signed = Account.from_key(self._key.to_bytes()).sign_transaction(fields)
        return bytes(signed.raw_transaction), bytes(signed.hash)

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce__(self) -> Any:
        raise TypeError("a Signer is not pickled: a key must not travel")


@dataclass(frozen=True)
class KeyRing:
    """The operator, who sends, and the oracles, who sign batches: ``threshold`` of them must agree."""

    operator: Signer
    oracles: tuple[Signer, ...]
    threshold: int
    public: bool = field(default=False)  # True for development keys that anybody knows


def load_keystore(path: Path, password: str) -> Signer:
    """Open a keystore file (Web3 Secret Storage). Raises ChainInputError; the text never holds a secret."""
    from eth_account import Account

    try:
        return Signer(bytes(Account.decrypt(path.read_text("utf-8"), password)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        cause = "wrong password" if "MAC mismatch" in str(error) else type(error).__name__
        raise ChainInputError(f"keystore {path.name} cannot be opened: {cause}") from None


def keys_from_environment(environment: Mapping[str, str] = os.environ) -> KeyRing:
    """Operator and oracles from keystore files that the environment names.

    ``TWIN_CHAIN_KEYSTORE`` and ``TWIN_CHAIN_PASSWORD`` open the operator's; ``TWIN_CHAIN_ORACLES`` names the
    oracles' files in the contract's order (separated as in PATH), with the same password, or with that of
    ``TWIN_CHAIN_ORACLE_PASSWORD``; ``TWIN_CHAIN_THRESHOLD`` says how many must sign (default: a majority).
    """
    missing = [
        k
        for k in ("TWIN_CHAIN_KEYSTORE", "TWIN_CHAIN_PASSWORD", "TWIN_CHAIN_ORACLES")
        if not environment.get(k)
    ]
    if missing:
        raise ChainInputError(
            f"set {', '.join(missing)}: keys come from keystore files, never from a scenario"
        )
    password = environment["TWIN_CHAIN_PASSWORD"]
    oracle_password = environment.get("TWIN_CHAIN_ORACLE_PASSWORD", password)
    files = environment["TWIN_CHAIN_ORACLES"].split(os.pathsep)
    text = environment.get("TWIN_CHAIN_THRESHOLD", str(len(files) // 2 + 1))
    if not text.isdigit() or not 2 * int(text) > len(files) >= int(text):
        raise ChainInputError(f"TWIN_CHAIN_THRESHOLD is {text!r}: give a majority of {len(files)} oracles")
    return KeyRing(
        operator=load_keystore(Path(environment["TWIN_CHAIN_KEYSTORE"]), password),
        oracles=tuple(load_keystore(Path(file), oracle_password) for file in files),
        threshold=int(text),
    )


def embedded_keys(oracles: int = 5, threshold: int = 3) -> KeyRing:
    """The fixed keys of the embedded chain: worthless anywhere else, and the reason why runs repeat."""
    label = b"p2p-grid-twin embedded chain: "
    return KeyRing(
        operator=Signer(keccak(label + b"operator")),
        oracles=tuple(Signer(keccak(label + b"oracle %d" % i)) for i in range(oracles)),
        threshold=threshold,
        public=True,
    )
