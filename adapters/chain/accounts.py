"""Accounts on the settlement contract: opened when a batch first names them, and what they can pay."""

from collections.abc import Iterator
from typing import TypeVar

from adapters.chain.contract import Contract
from adapters.chain.errors import RevertedError
from adapters.chain.outbox import Outbox, Post
from adapters.chain.port import SettlementBatch
from adapters.chain.typed import account_id

T = TypeVar("T")
PREFUND_MICRO = 10**12
"""Play money deposited for an account of a development chain when somebody cannot pay (a million)."""
AT_ONCE = 100
"""Accounts in one transaction: more would pass what one may spend (EIP-7825: 16,777,216 gas)."""
ZERO_ADDRESS = "0x" + "00" * 20


class Accounts:
    """Accounts known to be open, with a lower bound of each free balance: credits are not counted."""

    def __init__(self, contract: Contract, currency: Contract, custodian: str, outbox: Outbox) -> None:
        self._contract, self._currency = contract, currency
        self._custodian, self._outbox = custodian, outbox
        self._bounds: dict[str, int] = {}
        self._forgotten = b""

    def open(self, seq: int, batch: SettlementBatch, try_first: bool = False) -> bool:
        """Open the accounts of a batch that are not yet; whether there were any.

        With ``try_first`` each transaction is tried as a call. Raises RevertedError where the contract refuses it.
        """
        unknown = sorted(name for name in batch.accounts if name not in self._bounds)
        if not unknown:
            return False
        states = self._contract.read("accountsOf", [account_id(name) for name in unknown])
        missing = []
        for name, (owner, balance, _, _) in zip(unknown, states, strict=True):
            if owner == ZERO_ADDRESS:
                missing.append(name)
            else:
                self._bounds[name] = int(balance)
        posts = []
        for names in _parts(missing):
            data = self._contract.data("openAccounts", names, [self._custodian] * len(names))
            if try_first and not self._may_open(data):
                return True
            posts.append(Post(seq, "open", self._contract.address, data, 100_000 + 100_000 * len(names)))
        if posts:
            self._outbox.post(*posts)
        return bool(posts)

    def _may_open(self, data: bytes) -> bool:
        """False where somebody has opened one of the accounts just now: look again."""
        try:
            self._contract.node.call(self._contract.address, data, self._custodian)
        except RevertedError as error:
            reason = self._contract.reason(error)
            if reason.startswith("AccountExists"):
                return False
            raise RevertedError(error.data, reason) from error
        return True

    def short(self, batch: SettlementBatch) -> list[str]:
        """Accounts that cannot pay their debit in a batch. The chain is asked only where the bound is too low."""
        debits = _debits(batch)
        if not any(self._bounds[name] < debit for name, debit in debits.items()):
            return []
        names = sorted(set(batch.accounts))
        states = self._contract.read("accountsOf", [account_id(name) for name in names])
        self._bounds.update({name: int(state[1]) for name, state in zip(names, states, strict=True)})
        return [name for name in names if self._bounds[name] < debits.get(name, 0)]

    def fund(self, seq: int, batch: SettlementBatch, short: list[str]) -> None:
        """Deposit play money for those who are short, and for all who never had any: they would come one by one."""
        debits, names = _debits(batch), sorted(set(batch.accounts))
        states = self._contract.read("accountsOf", [account_id(name) for name in names])
        had = {name: int(state[2]) for name, state in zip(names, states, strict=True)}
        raises = {n: max(PREFUND_MICRO, 2 * debits.get(n, 0)) for n in names if n in short or not had[n]}
        mint = self._currency.data("mint", self._custodian, sum(raises.values()))
        posts = [Post(seq, "mint", self._currency.address, mint, 200_000)]
        for part in _parts(list(raises.items())):
            totals = [had[name] + amount for name, amount in part]
            data = self._contract.data("deposit", [account_id(name) for name, _ in part], totals)
            posts.append(Post(seq, "deposit", self._contract.address, data, 200_000 + 70_000 * len(part)))
        self._outbox.post(*posts)

    def forget(self, batch: SettlementBatch) -> bool:
        """Look the accounts of a batch up again before it is tried again; False where that was done just now."""
        if batch.digest == self._forgotten:
            return False
        self._forgotten = batch.digest
        for name in batch.accounts:
            self._bounds.pop(name, None)
        return True

    def debited(self, batch: SettlementBatch) -> None:
        """Lower the bounds by what a recorded batch took."""
        for name, debit in _debits(batch).items():
            self._bounds[name] = self._bounds.get(name, 0) - debit


def _parts(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


def _debits(batch: SettlementBatch) -> dict[str, int]:
    pairs = zip(batch.accounts, batch.deltas_micro, strict=True)
    return {name: -delta for name, delta in pairs if delta < 0}
