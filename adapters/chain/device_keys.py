"""Keys of metering devices: one signature per device and batch, over the newest link of its chain of readings.

The keys of a simulation are made from market, seed and device name when a run begins, so that it repeats, and are
never written; a real device keeps its own. The registry holds their addresses. libsecp256k1 is called directly:
eth_keys takes three times as long.
"""

from hashlib import sha256
from typing import Any

from eth_hash.auto import keccak

LABEL = b"p2p-grid-twin device: "


class DeviceKey:
    """The key of one simulated device. Its text never shows it; ``address`` is in lower case."""

    def __init__(self, market_id: str, seed: int, device: str) -> None:
        from coincurve import PrivateKey

        secret = keccak(LABEL + f"{market_id}\x1f{seed}\x1f{device}".encode())
        self._key = PrivateKey(secret)
        self.public = bytes(self._key.public_key.format(compressed=False))
        self.address = address_of(self.public)

    def sign(self, message: bytes) -> bytes:
        """65-byte signature (r, s, v with v 27 or 28) over a 32-byte message, deterministic (RFC 6979)."""
        raw = self._key.sign_recoverable(message, hasher=None)
        return bytes(raw[:64]) + bytes([raw[64] + 27])

    def __repr__(self) -> str:
        return f"DeviceKey({self.address})"

    def __reduce__(self) -> Any:
        raise TypeError("a DeviceKey is not pickled: a key must not travel")


def batch_message(device_id: bytes, start_s: int, end_s: int, link: bytes) -> bytes:
    """What a device signs at the end of a batch: SHA-256, as of its chain. ``device_id`` is its id in the registry."""
    period = start_s.to_bytes(8, "big") + end_s.to_bytes(8, "big")
    return sha256(b"p2p-meter-batch-1" + device_id + period + link).digest()


def device_public(message: bytes, signature: bytes) -> bytes:
    """Public key (65 bytes) that signed a 32-byte message; empty where the signature (65 bytes, v 27 or 28) is none."""
    from coincurve import PublicKey

    if len(signature) != 65 or signature[64] not in (27, 28):
        return b""
    try:
        raw = signature[:64] + bytes([signature[64] - 27])
        return bytes(PublicKey.from_signature_and_message(raw, message, hasher=None).format(compressed=False))
    except Exception:
        return b""


def device_address(message: bytes, signature: bytes) -> str:
    """Address of the key that signed a 32-byte message, in lower case; empty where nobody did."""
    public = device_public(message, signature)
    return address_of(public) if public else ""


def address_of(public: bytes) -> str:
    """Address of a public key (65 bytes, uncompressed), in lower case."""
    return "0x" + keccak(public[1:])[-20:].hex()
