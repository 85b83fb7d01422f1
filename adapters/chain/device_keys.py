"""Keys of metering devices: one signature per device and batch, over the newest link of its chain of readings.

The keys of a simulation are made from market and device name, so that a run repeats; a real device keeps its own, and
the registry holds its address.
"""

from eth_hash.auto import keccak

from adapters.chain.keys import Signer

LABEL = b"p2p-grid-twin device: "


class DeviceKey(Signer):
    """The key of one simulated device."""

    def __init__(self, market_id: str, device: str) -> None:
        super().__init__(keccak(LABEL + market_id.encode() + b"/" + device.encode()))


def batch_message(device: str, start_s: int, end_s: int, link: bytes) -> bytes:
    """What a device signs at the end of a batch: 32 bytes."""
    from adapters.chain.typed import account_id

    period = start_s.to_bytes(8, "big") + end_s.to_bytes(8, "big")
    return bytes(keccak(b"p2p-meter-batch-1" + account_id(device) + period + link))


class Verifier:
    """Says whether a signature is of a device's registered key."""

    def __init__(self, signer: Signer) -> None:
        """Take the public half of a key, as the registry would."""
        self.address = signer.address

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` (65 bytes, v 27 or 28) over the 32-byte message is the device's."""
        from eth_keys.datatypes import Signature
        from eth_keys.exceptions import BadSignature
        from eth_keys.main import KeyAPI
        from eth_utils.exceptions import ValidationError

        if len(signature) != 65 or signature[64] not in (27, 28):
            return False
        try:
            made = Signature(signature[:64] + bytes([signature[64] - 27]))
            recovered = KeyAPI().ecdsa_recover(message, made)
        except (BadSignature, ValidationError):
            return False
        return bool(recovered.to_checksum_address() == self.address)
