"""Signatures of participants over a text, outside any transaction: who signed it can be read from the signature."""

from eth_hash.auto import keccak

from adapters.chain.errors import ChainInputError
from adapters.chain.keys import Signer


def participant_signer(seed: int, participant: str) -> Signer:
    """A participant's key in a simulation: derived from seed and id, so that runs repeat. Worthless anywhere else."""
    return Signer(keccak(f"p2p-grid-twin participant key: {seed}\x1f{participant}".encode()))


def sign_text(signer: Signer, message: bytes) -> bytes:
    """65-byte signature over the keccak-256 of a text."""
    return signer.sign(keccak(message))


def signer_of(message: bytes, signature: bytes) -> str:
    """Address of the key that signed a text. Raises ``ChainInputError`` where the signature is none."""
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    try:
        if len(signature) != 65:
            raise BadSignature(f"{len(signature)} bytes")
        raw = Signature(signature[:64] + bytes([(signature[64] - 27) % 256]))
        return str(raw.recover_public_key_from_msg_hash(keccak(message)).to_checksum_address())
    except (BadSignature, ValidationError) as error:
        raise ChainInputError(f"signature: {error}; must be 65 bytes that secp256k1 can recover") from None
