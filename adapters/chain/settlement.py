"""Batches on one deployed ``EnergySettlement``: what each needs next, until it is final or refused."""

import json
from collections.abc import Callable
from typing import Any

from adapters.chain import typed, wire
from adapters.chain.accounts import Accounts
from adapters.chain.batches import NOT_SENT, UNDONE, Batches
from adapters.chain.contract import Contract
from adapters.chain.errors import ChainInputError, RevertedError
from adapters.chain.holdings import STATUS, Holdings
from adapters.chain.keys import KeyRing
from adapters.chain.node import Node
from adapters.chain.outbox import Outbox, Post
from adapters.chain.port import BatchReceipt, SettlementBatch
from adapters.chain.receipts import receipt_of

RACED, MOST_RACES = "WrongPrev", 5
"""Refused because another sender's batch came first: it is made again on top of that one."""
BROKE = "InsufficientBalance"
PAUSED = "EnforcedPause"
"""Refused while the contract is paused: the batch waits in the outbox."""
MOVED = ("WrongStatus", "WindowOpen")
"""Refused because it is not as we think: disputed, finalised by somebody else, or recorded anew in a later block."""
MOST_TRIES = 3
"""Transactions of one kind that may fail for one batch: each costs gas, and what failed so often fails again."""
GAS_PER_BYTE = 250
"""Gas allowed per byte of packed positions, of which an account has 40: 10,000 an account, of which it needs 7,000."""
RECORDED = ("proposing", "proposed", "disputed", "finalising", "final")


class Settlement:
    """Settles batches in order through one operator. ``pump`` does what can be done now and never waits.

    A batch is 'new', 'proposing', 'proposed', 'finalising', 'final', 'disputed', or 'rejected' with a reason.
    ``clock`` is told the simulated time at which a batch is made. ``preflight`` tries each batch as a call
    before it is signed, which saves a reverted transaction.
    """

    def __init__(
        self,
        node: Node,
        keys: KeyRing,
        outbox: Outbox,
        address: str,
        token: str,
        clock: Callable[[int], None],
        preflight: bool,
    ) -> None:
        self.node, self.keys, self.outbox = node, keys, outbox
        self.clock, self.preflight = clock, preflight
        self.contract = Contract(node, "EnergySettlement", address)
        self.contract.check_code()
        self.batches = Batches(outbox)
        self.holdings = Holdings(self.contract)
        self.currency = Contract(node, "TestCurrency", token)
        self.accounts = Accounts(self.contract, self.currency, keys.operator.address, outbox)
        self.window_s = int(self.contract.read("windowS"))
        self._market = bytes(self.contract.read("market"))
        self._domain_chain_id = node.chain_id()
        self._now_s: int | None = None
        outbox.bind("contract", address.lower())

    def check_market(self, market_id: str) -> None:
        """Raise ChainInputError where the contract settles another market."""
        if self._market != typed.market_key(market_id):
            raise ChainInputError(
                f"the contract at {self.contract.address} does not settle market {market_id!r}"
            )

    def pump(self) -> bool:
        """Advance everything by one step. Returns whether anything changed."""
        before = self.outbox.db.total_changes
        self._now_s = None
        self.outbox.pump()
        for row in self.batches.having("finalising", "proposing", "proposed"):
            getattr(self, f"_advance_{row['status']}")(row)
        new = self.batches.having("new")
        if new and not self.batches.having("proposing"):
            blocked = self.batches.stopped_by()
            if blocked is None:
                self._advance_new(new[0])
            else:
                self._reject(new[0], f"{NOT_SENT}: an earlier batch was refused ({blocked})")
        return self.outbox.db.total_changes != before

    def pending(self) -> list[int]:
        """Numbers of batches that the chain has not recorded or refused yet."""
        return [row["seq"] for row in self.batches.having("new", "proposing")]

    def due(self) -> bool:
        """Whether a batch is on its way to its end, by the node's time."""
        if self.batches.having("finalising"):
            return True
        now_s = self.node.now_s()
        return any(
            json.loads(row["header"])["deadline_s"] <= now_s
            and not row["reason"]  # the contract refuses to finalise it
            and not self.batches.has_earlier(row["seq"])
            for row in self.batches.having("proposed")
        )

    def open_deadline_s(self) -> int | None:
        """Latest deadline of batches that wait for their window, None where none does."""
        rows = self.batches.having("proposed")
        return max((json.loads(row["header"])["deadline_s"] for row in rows), default=None)

    def next_deadline_s(self, after_s: int) -> int | None:
        """First deadline of a proposed batch that is later than ``after_s``."""
        deadlines = [json.loads(row["header"])["deadline_s"] for row in self.batches.having("proposed")]
        return min((deadline for deadline in deadlines if deadline > after_s), default=None)

    def receipt(self, seq: int) -> BatchReceipt:
        """What is known of a batch now."""
        return receipt_of(self.outbox, self.node, seq)

    def nets_of(self, seqs: list[int]) -> dict[str, int]:
        """What every account gained by these batches alone."""
        mine = {row["batch_id"] for row in self.batches.having(*RECORDED) if row["seq"] in seqs}
        return self.holdings.nets_without_others(mine)

    def batch_of(self, row: Any) -> SettlementBatch:
        """The batch of a stored row."""
        return wire.batch_from_json(json.loads(row["body"]))

    def _advance_new(self, row: Any) -> None:
        if any(r["status"] in ("signed", "mined") for k in ("open", "deposit") for r in self._rows(row, k)):
            return
        batch = self.batch_of(row)
        self.clock(batch.period_end_s)
        if self._has_accounts(row, batch):
            self._propose(row, batch)

    def _has_accounts(self, row: Any, batch: SettlementBatch) -> bool:
        """Whether all accounts of a batch are open and can pay; does what is missing, or says why it cannot."""
        hopeless = self._hopeless(row, "open") or self._hopeless(row, "deposit")
        if hopeless:
            self._reject(row, hopeless)
            return False
        try:
            if self.accounts.open(row["seq"], batch, self.preflight):
                return False
        except RevertedError as error:
            self._reject(row, f"its accounts cannot be opened: {error}")
            return False
        short = self.accounts.short(batch)
        if short and not self.keys.public:
            self._reject(row, f"accounts cannot pay their debit, deposit first: {', '.join(short)}")
        elif short and self.preflight and self.contract.read("paused"):
            self.batches.wait(row, PAUSED)
        elif short:
            self.accounts.fund(row["seq"], batch, short)
        return not short

    def _propose(self, row: Any, batch: SettlementBatch) -> None:
        head = bytes(self.contract.read("head"))
        header = typed.header_of(batch, head, int(self.contract.read("epoch")))
        positions = typed.pack(typed.positions_of(batch))
        struct = typed.batch_id(self._market, header, positions)
        digest = typed.typed_digest(self._domain_chain_id, self.contract.address, struct)
        signatures = [(i, o.sign(digest)) for i, o in enumerate(self.keys.oracles[: self.keys.threshold])]
        data = self.contract.data("propose", header.values(), positions, signatures)
        reason = self._refusal(data) if self.preflight else ""
        if reason.startswith(BROKE) and self.accounts.forget(batch):
            return  # somebody else moved their money: look again
        # Raced: the head came from a node behind this address that lags.
        if reason.startswith((PAUSED, RACED)):
            self.batches.wait(row, reason)
            return
        if reason:
            self._reject(row, reason)
            return
        gas = 250_000 + GAS_PER_BYTE * len(positions) + 40_000 * len(signatures)
        kept = {"prev": head.hex(), "epoch": header.epoch, "deadline_s": 0}
        self.outbox.post(
            Post(row["seq"], "propose", self.contract.address, data, gas),
            note="UPDATE batches SET status = 'proposing', reason = '', batch_id = ?, header = ? WHERE seq = ?",
            note_values=("0x" + struct.hex(), json.dumps(kept), row["seq"]),
        )

    def _advance_proposing(self, row: Any) -> None:
        tried = self._rows(row, "propose")
        done = [r for r in tried if r["status"] == "confirmed"]
        if done:
            block = self.node.block(done[-1]["block_number"])
            kept = json.loads(row["header"]) | {"deadline_s": int(block["timestamp"], 16) + self.window_s}
            self.batches.note(row, status="proposed", header=json.dumps(kept))
            self.accounts.debited(self.batch_of(row))
        elif tried and all(r["status"] in ("failed", "replaced") for r in tried):
            failed = [r for r in tried if r["status"] == "failed"]
            why = self._why_failed(([None, *failed])[-1])
            if self.contract.read("recordOf", bytes.fromhex(row["batch_id"][2:]))[0]:
                # another transaction has brought it: an earlier one of ours, or somebody's copy
                self.refresh(row)
                self.accounts.debited(self.batch_of(row))
            elif why.startswith((RACED, PAUSED)) and len(failed) < MOST_RACES:
                self.batches.note(row, status="new")
            else:
                self._reject(row, why)

    def _advance_proposed(self, row: Any) -> None:
        kept = json.loads(row["header"])
        if not self._time_s() >= kept["deadline_s"] or self.batches.has_earlier(row["seq"]):
            return
        hopeless = self._hopeless(row, "finalise")
        if hopeless:
            self.batches.wait(row, hopeless)
            return
        batch = self.batch_of(row)
        header = typed.header_of(batch, bytes.fromhex(kept["prev"]), kept["epoch"])
        positions = typed.pack(typed.positions_of(batch))
        data = self.contract.data("finalise", header.values(), positions)
        refusal = self._refusal_to_finalise(row, data)
        if refusal.startswith(MOVED):
            self.refresh(row)
            return
        if refusal:
            self.batches.wait(row, refusal)
            return
        self.outbox.post(
            Post(
                row["seq"], "finalise", self.contract.address, data, 150_000 + GAS_PER_BYTE * len(positions)
            ),
            note="UPDATE batches SET status = 'finalising', reason = '' WHERE seq = ?",
            note_values=(row["seq"],),
        )

    def _refusal_to_finalise(self, row: Any, data: bytes) -> str:
        """Why the contract would refuse now (paused, or an earlier batch of another sender is open): it costs gas.

        Not asked where an earlier batch is on its way to its end, which the node does not know yet.
        """
        tried = self.preflight or self._rows(row, "finalise")
        if not tried or any(r["seq"] < row["seq"] for r in self.batches.having("finalising")):
            return ""
        return self._refusal(data)

    def _refusal(self, data: bytes) -> str:
        """Why the contract would refuse this now, tried as a call; empty where it would not."""
        try:
            self.node.call(self.contract.address, data, self.keys.operator.address)
        except RevertedError as error:
            return self.contract.reason(error)
        return ""

    def _advance_finalising(self, row: Any) -> None:
        tried = self._rows(row, "finalise")
        if any(r["status"] == "confirmed" for r in tried):
            self.batches.note(row, status="final")
        elif tried and all(r["status"] in ("failed", "replaced") for r in tried):
            self.refresh(row)

    def refresh(self, row: Any) -> None:
        """Take a batch's state and deadline from the contract: disputed, undone, or its window is still open."""
        status, _, deadline_s = self.contract.read("recordOf", bytes.fromhex(row["batch_id"][2:]))
        if STATUS[status] == "none":
            return  # a node that lags behind does not know it yet
        kept = json.loads(row["header"]) | {"deadline_s": int(deadline_s)}
        reason = UNDONE if STATUS[status] == "rejected" else row["reason"]
        self.batches.note(row, status=STATUS[status], header=json.dumps(kept), reason=reason)

    def refresh_disputed(self) -> None:
        """Look whether disputes were decided."""
        for row in self.batches.having("disputed"):
            self.refresh(row)

    def _hopeless(self, row: Any, kind: str) -> str:
        """Why a kind of transaction is not tried again for a batch; empty where it may be."""
        failed = [r for r in self._rows(row, kind) if r["status"] == "failed"]
        if len(failed) < MOST_TRIES:
            return ""
        return f"{kind} failed {len(failed)} times, the last time: {self._why_failed(failed[-1])}"

    def _why_failed(self, tx: Any) -> str:
        if tx is None:
            return "replaced and lost"
        try:
            self.node.call(
                tx["to_address"], tx["data"], self.keys.operator.address, max(0, tx["block_number"] - 1)
            )
        except RevertedError as error:
            return self.contract.reason(error)
        return "reverted, but a repeated call does not: out of gas, or the state changed within the block"

    def _time_s(self) -> int:
        """The node's time, asked once in a pump."""
        if self._now_s is None:
            self._now_s = self.node.now_s()
        return self._now_s

    def _reject(self, row: Any, reason: str) -> None:
        self.batches.note(row, status="rejected", reason=reason)

    def _rows(self, row: Any, kind: str) -> list[Any]:
        return self.outbox.rows(row["seq"], kind)
