"""Keys of metering devices: one signature per device and batch, over the newest link of its chain of readings.

The keys of a simulation are made from market and device name, so that a run repeats; a real device keeps its own, and
the registry holds its address. libsecp256k1 is called directly: eth_keys takes three times as long.
"""

from hashlib import sha256
from typing import Any

from eth_hash.auto import keccak

from adapters.chain.keys import Signer

LABEL = b"p2p-grid-twin device: "


class DeviceKey:
    """The key of one simulated device. Its text never shows it."""

    def __init__(self, market_id: str, device: str) -> None:
        from coincurve import PrivateKey

        secret = keccak(LABEL + market_id.encode() + b"/" + device.encode())
        self._key = PrivateKey(secret)
        self.address = Signer(secret).address

    @property
    def public(self) -> bytes:
        """The public half, uncompressed; its hash is the address."""
        return bytes(self._key.public_key.format(compressed=False))

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


class Verifier:
    """Says whether a signature is of a device's registered key."""

    def __init__(self, key: DeviceKey) -> None:
        """Take the public half of a key, as the registry would."""
        self.address, self._public = key.address, key.public

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` (65 bytes, v 27 or 28) over the 32-byte message is the device's."""
        from coincurve import PublicKey

        if len(signature) != 65 or signature[64] not in (27, 28):
            return False
        try:
            raw = signature[:64] + bytes([signature[64] - 27])
            found = PublicKey.from_signature_and_message(raw, message, hasher=None)
        except Exception:
            return False
        return bool(found.format(compressed=False) == self._public)
