"""Keys that sign. Those of the embedded chain are fixed and public; real ones come from keystores."""

from dataclasses import dataclass, field
from typing import Any

from eth_hash.auto import keccak


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


def embedded_keys(oracles: int = 5, threshold: int = 3) -> KeyRing:
    """The fixed keys of the embedded chain: worthless anywhere else, and the reason why runs repeat."""
    label = b"p2p-grid-twin embedded chain: "
    return KeyRing(
        operator=Signer(keccak(label + b"operator")),
        oracles=tuple(Signer(keccak(label + b"oracle %d" % i)) for i in range(oracles)),
        threshold=threshold,
        public=True,
    )
