"""Netting of ledger entries into one settlement batch that does not depend on the order of arrival.

Bytes, all integers big-endian and signed: an entry is the line ``p2p-entry-1`` + account (2 bytes of
length, then UTF-8) + kind (1) + interval (8) + reference (8) + energy (8) + money (8). The digest is
SHA-256 over ``p2p-batch-1`` + market id (2 bytes of length, UTF-8) + period start (8) + period end (8) +
gross energy (8) + Merkle root over the lines (32) + number of positions (4) + per position account (length,
UTF-8) + delta (8).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from numba import njit

from market.errors import SettlementError
from market.merkle import merkle_root
from market.money import fills_money_micro
from market.orders import SUPPLIER, Fills

TRADE, SUPPLY, NETWORK, IMBALANCE, ROUNDING, OTHER = range(6)
"""Kinds of ledger entries."""

ENTRY_DTYPE = np.dtype(
    [
        ("account", np.int32),  # row in the account list
        ("kind", np.int8),
        ("interval", np.int64),
        ("reference", np.int64),  # order id of a trade, otherwise what the ledger likes
        ("energy_wh", np.int64),  # signed as the account sees it: + into the grid
        ("money_micro", np.int64),  # + the account receives
    ]
)

Entries = npt.NDArray[np.void]
"""A one-dimensional array of ``ENTRY_DTYPE``."""


@dataclass(frozen=True)
class NettedBatch:
    """Net positions of a period; the fields are those of the chain adapter's ``SettlementBatch``.

    ``accounts`` are sorted and hold no zero position; ``deltas_micro`` sum to zero; ``gross_energy_wh`` is
    the energy sold by all accounts (sum of the positive energies); ``root`` commits to the entries,
    ``digest`` to all.
    """

    market_id: str
    period_start_s: int
    period_end_s: int
    accounts: tuple[str, ...]
    deltas_micro: tuple[int, ...]
    gross_energy_wh: int
    root: bytes
    digest: bytes


@njit(cache=True)
def _positions(entries, net, gross):  # type: ignore[no-untyped-def]
    """Add up money per account and the energy put in; return False where a row or a sum leaves its range."""
    limit = np.int64(2**62)
    for i in range(entries.size):
        account = entries[i]["account"]
        money = entries[i]["money_micro"]
        energy = entries[i]["energy_wh"]
        if account < 0 or account >= net.size or money > limit or money < -limit or energy > limit:
            return False
        net[account] += money
        if net[account] > limit or net[account] < -limit:
            return False
        if energy > 0:
            gross[0] += energy
            if gross[0] > limit:
                return False
    return True


def net_positions(n_accounts: int, entries: Entries) -> tuple[npt.NDArray[np.int64], int]:
    """Return (net money per account row, gross energy in Wh) of balanced entries.

    Raises:
        SettlementError: An account row outside 0..n_accounts-1, an amount or a sum beyond 2**62, or entries
            whose money does not sum to exactly zero.
    """
    if entries.dtype != ENTRY_DTYPE or entries.ndim != 1:
        raise SettlementError(
            f"entries: got {entries.dtype}, {entries.ndim} dimensions; must be a list of ENTRY_DTYPE"
        )
    net = np.zeros(n_accounts, dtype=np.int64)
    gross = np.zeros(1, dtype=np.int64)
    if entries.size and not _positions(entries, net, gross):
        raise SettlementError(
            f"entries: an account is outside 0 to {n_accounts - 1}, or an amount or sum is beyond 2**62"
        )
    total = sum(int(x) for x in net)
    if total != 0:
        raise SettlementError(f"entries: money sums to {total} micro, must be exactly zero")
    return net, int(gross[0])


def entry_lines(accounts: Sequence[str], entries: Entries) -> list[bytes]:
    """Return the canonical bytes of every entry, one line each, in the order of the entries."""
    names = [sha256(_text(a)).digest() for a in accounts]
    packed = np.zeros(
        entries.size,
        dtype=[
            ("kind", ">i1"),
            ("interval", ">i8"),
            ("reference", ">i8"),
            ("energy_wh", ">i8"),
            ("money_micro", ">i8"),
        ],
    )
    for column in packed.dtype.names or ():
        packed[column] = entries[column]
    raw, width = packed.tobytes(), packed.dtype.itemsize
    rows = entries["account"].tolist()
    return [b"p2p-entry-1" + names[a] + raw[i * width : (i + 1) * width] for i, a in enumerate(rows)]


def net(
    accounts: Sequence[str],
    entries: Entries,
    market_id: str = "local",
    period_start_s: int = 0,
    period_end_s: int = 0,
) -> NettedBatch:
    """Net entries of a period into one batch with its Merkle root and digest.

    Args:
        accounts: ids by row (participants, then for instance 'supplier', 'network', 'pool'); all different.
        entries: array of ``ENTRY_DTYPE`` in any order; its money sums to zero.
        market_id: named in the digest, so that two markets never make the same batch.
        period_start_s: first second of the period, named in the digest.
        period_end_s: first second after it.

    Raises:
        SettlementError: Accounts or entries are not valid (see ``net_positions``).
    """
    if len(set(accounts)) != len(accounts):
        raise SettlementError("accounts: ids must be unique")
    net_micro, gross_wh = net_positions(len(accounts), entries)
    root = merkle_root(entry_lines(accounts, entries))
    positions = sorted((accounts[i], int(net_micro[i])) for i in np.flatnonzero(net_micro).tolist())
    head = b"p2p-batch-1" + _text(market_id)
    for number in (period_start_s, period_end_s, gross_wh):
        head += number.to_bytes(8, "big", signed=True)
    body = b"".join(_text(a) + d.to_bytes(8, "big", signed=True) for a, d in positions)
    digest = sha256(head + root + len(positions).to_bytes(4, "big") + body).digest()
    return NettedBatch(
        market_id,
        period_start_s,
        period_end_s,
        tuple(a for a, _ in positions),
        tuple(d for _, d in positions),
        gross_wh,
        root,
        digest,
    )


@njit(cache=True)
def _book(fills, money, pool_row, supplier_row, entries):  # type: ignore[no-untyped-def]
    """Write the participant's and the counterparty's entry of every fill."""
    for i in range(fills.size):
        supplier = fills[i]["counterparty"] == SUPPLIER
        for j in (2 * i, 2 * i + 1):
            entries[j]["kind"] = SUPPLY if supplier else TRADE
            entries[j]["interval"] = fills[i]["interval"]
            entries[j]["reference"] = fills[i]["order_id"]
        entries[2 * i]["account"] = fills[i]["participant"]
        entries[2 * i]["energy_wh"] = fills[i]["energy_wh"] * fills[i]["side"]
        entries[2 * i]["money_micro"] = money[i]
        entries[2 * i + 1]["account"] = supplier_row if supplier else pool_row
        entries[2 * i + 1]["money_micro"] = -money[i]


def entries_from_fills(fills: Fills, pool_row: int, supplier_row: int) -> Entries:
    """Return balanced entries of fills: one per participant row, one counter entry to pool or supplier.

    Both sides of a bilateral trade are fills; each is booked against the pool, which keeps the rounding only.
    """
    entries = np.zeros(2 * fills.size, dtype=ENTRY_DTYPE)
    if fills.size:
        _book(fills, fills_money_micro(fills), pool_row, supplier_row, entries)
    return entries


def _text(text: str) -> bytes:
    raw = text.encode()
    if not 0 < len(raw) < 2**15:
        raise SettlementError(f"id: got {text[:40]!r}; must have 1 to {2**15 - 1} bytes")
    return len(raw).to_bytes(2, "big") + raw
