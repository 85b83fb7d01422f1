"""What the oracles sign: the EIP-712 struct of a batch, in Python. The contract computes the same."""

from dataclasses import dataclass

from eth_abi.abi import encode
from eth_hash.auto import keccak

from adapters.chain.port import SettlementBatch

BATCH_TYPE = (
    b"Batch(bytes32 market,bytes32 prev,uint64 periodStart,uint64 periodEnd,uint32 epoch,"
    b"uint64 grossEnergyWh,bytes32 fillsRoot,bytes32 readingsRoot,bytes32 digest,bytes positions)"
)
DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


@dataclass(frozen=True)
class Header:
    """The batch struct as the contract takes it, in its order."""

    prev: bytes
    period_start_s: int
    period_end_s: int
    epoch: int
    gross_energy_wh: int
    fills_root: bytes
    readings_root: bytes
    digest: bytes

    def values(self) -> tuple[bytes | int, ...]:
        """Fields in ABI order."""
        return (
            self.prev,
            self.period_start_s,
            self.period_end_s,
            self.epoch,
            self.gross_energy_wh,
            self.fills_root,
            self.readings_root,
            self.digest,
        )


Positions = tuple[tuple[bytes, int], ...]


def account_id(name: str) -> bytes:
    """On-chain id of an account: keccak-256 of its name in UTF-8."""
    return bytes(keccak(name.encode("utf-8")))


def market_key(market_id: str) -> bytes:
    """On-chain id of a market."""
    return bytes(keccak(market_id.encode("utf-8")))


def positions_of(batch: SettlementBatch) -> Positions:
    """Net positions by account id, ascending, without zeros: what the contract wants."""
    pairs = zip(batch.accounts, batch.deltas_micro, strict=True)
    return tuple(sorted((account_id(name), delta) for name, delta in pairs if delta))


def header_of(batch: SettlementBatch, prev: bytes, epoch: int) -> Header:
    """The struct of a batch that follows ``prev``."""
    return Header(
        prev,
        batch.period_start_s,
        batch.period_end_s,
        epoch,
        batch.gross_energy_wh,
        batch.root,
        batch.readings_root,
        batch.digest,
    )


def pack(positions: Positions) -> bytes:
    """Positions as the contract takes them: 32 bytes of account id and 8 of signed delta each."""
    return b"".join(account + delta.to_bytes(8, "big", signed=True) for account, delta in positions)


def unpack(packed: bytes) -> Positions:
    """The inverse of ``pack``."""
    return tuple(
        (packed[at : at + 32], int.from_bytes(packed[at + 32 : at + 40], "big", signed=True))
        for at in range(0, len(packed), 40)
    )


def batch_id(market: bytes, header: Header, positions: bytes) -> bytes:
    """EIP-712 struct hash of a batch with packed positions: its id on chain."""
    h = header
    types = ["bytes32"] * 3 + ["uint64", "uint64", "uint32", "uint64"] + ["bytes32"] * 4
    values = [
        keccak(BATCH_TYPE),
        market,
        h.prev,
        h.period_start_s,
        h.period_end_s,
        h.epoch,
        h.gross_energy_wh,
        h.fills_root,
        h.readings_root,
        h.digest,
        keccak(positions),
    ]
    return bytes(keccak(encode(types, values)))


def typed_digest(chain_id: int, contract: str, struct_hash: bytes, name: str = "EnergySettlement") -> bytes:
    """EIP-712 digest of a struct in the domain of one contract on one chain."""
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [keccak(DOMAIN_TYPE), keccak(name.encode()), keccak(b"1"), chain_id, contract],
        )
    )
    return bytes(keccak(b"\x19\x01" + domain + struct_hash))
