"""Batches on one deployed ``EnergySettlement``: what each needs next, until it is final or refused."""

import json
from collections.abc import Callable
from typing import Any

from adapters.chain import typed, wire
from adapters.chain.accounts import Accounts
from adapters.chain.contract import Contract
from adapters.chain.errors import ChainInputError, RevertedError
from adapters.chain.keys import KeyRing
from adapters.chain.node import Node
from adapters.chain.outbox import Outbox, Post
from adapters.chain.port import BatchReceipt, SettlementBatch
from adapters.chain.receipts import receipt_of

DOUBLES = ("BadPeriod", "AlreadySettled")
"""Refusals that mean the period is settled already: the next batch may go on."""
UNDONE = "undone by the arbiter"
RACED, MOST_RACES = "WrongPrev", 5
"""Refused because another sender's batch came first: it is made again on top of that one."""
BROKE = "InsufficientBalance"
RECORDED = ("proposing", "proposed", "disputed", "finalising", "final")
STATUS = ("none", "proposed", "disputed", "final", "rejected")
"""The contract's own states, in its order."""


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
        self.currency = Contract(node, "TestCurrency", token)
        self.accounts = Accounts(self.contract, self.currency, keys.operator.address, outbox)
        self.window_s = int(self.contract.read("windowS"))
        self._market = bytes(self.contract.read("market"))
        self._domain_chain_id = node.chain_id()
        outbox.bind("contract", address.lower())

    def check_market(self, market_id: str) -> None:
        """Raise ChainInputError where the contract settles another market."""
        if self._market != typed.market_key(market_id):
            raise ChainInputError(
                f"the contract at {self.contract.address} does not settle market {market_id!r}"
            )

    def add(self, batch: SettlementBatch) -> int:
        """Store a batch durably. Returns its number."""
        cursor = self.outbox.db.execute(
            "INSERT INTO batches (digest, body, status) VALUES (?, ?, 'new')",
            (batch.digest.hex(), json.dumps(wire.batch_to_json(batch))),
        )
        self.outbox.crash("batch stored")
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def find(self, batch: SettlementBatch) -> int | None:
        """Number of a stored batch that says the same and was not refused."""
        body = json.dumps(wire.batch_to_json(batch))
        query = "SELECT seq FROM batches WHERE digest = ? AND body = ? AND status != 'rejected'"
        row = self.outbox.db.execute(query, (batch.digest.hex(), body)).fetchone()
        return None if row is None else int(row[0])

    def pump(self) -> bool:
        """Advance everything by one step. Returns whether anything changed."""
        before = self.outbox.db.total_changes
        self.outbox.pump()
        for row in self._batches("finalising", "proposing", "proposed"):
            getattr(self, f"_advance_{row['status']}")(row)
        new = self._batches("new")
        if new and not self._batches("proposing"):
            blocked = self._stopped_by()
            if blocked is None:
                self._advance_new(new[0])
            else:
                self._reject(new[0], f"not sent: an earlier batch was refused ({blocked})")
        return self.outbox.db.total_changes != before

    def pending(self) -> list[int]:
        """Numbers of batches that the chain has not recorded or refused yet."""
        return [row["seq"] for row in self._batches("new", "proposing")]

    def due(self) -> bool:
        """Whether a batch is on its way to its end, by the node's time."""
        if self._batches("finalising"):
            return True
        now_s = self.node.now_s()
        return any(
            json.loads(row["header"])["deadline_s"] <= now_s
            and not row["reason"]  # the contract refuses to finalise it
            and not self._waits_for_earlier(row["seq"])
            for row in self._batches("proposed")
        )

    def open_deadline_s(self) -> int | None:
        """Latest deadline of batches that wait for their window, None where none does."""
        rows = self._batches("proposed")
        return max((json.loads(row["header"])["deadline_s"] for row in rows), default=None)

    def next_deadline_s(self, after_s: int) -> int | None:
        """First deadline of a proposed batch that is later than ``after_s``."""
        deadlines = [json.loads(row["header"])["deadline_s"] for row in self._batches("proposed")]
        return min((deadline for deadline in deadlines if deadline > after_s), default=None)

    def receipt(self, seq: int) -> BatchReceipt:
        """What is known of a batch now."""
        return receipt_of(self.outbox, self.node, seq)

    def nets_of(self, seqs: list[int]) -> dict[str, int]:
        """What every account gained by these batches: the contract's nets, less what all its other batches moved.

        Others are whatever else the chain itself recorded, of this outbox or of another, before or meanwhile.
        """
        names = {typed.account_id(name): name for name in self._names()}
        nets = self.nets_micro()
        mine = {row["batch_id"] for row in self._batches(*RECORDED) if row["seq"] in seqs}
        for event in self.contract.history("BatchProposed"):
            if "0x" + event["id"].hex() in mine:
                continue
            status = STATUS[self.contract.read("statusOf", event["id"])]
            packed = self.contract.arguments("propose", self.node.sent_data(event["transaction"]))[1]
            for account, delta in typed.unpack(packed):
                moved = {"final": delta, "rejected": 0}.get(status, min(delta, 0))
                nets[names[account]] -= moved
        return nets

    def _names(self) -> list[str]:
        return [event["name"] for event in self.contract.history("AccountOpened")]

    def nets_micro(self) -> dict[str, int]:
        """What every account of the contract gained by batches, deposits and withdrawals left out."""
        names = self._names()
        if not names:
            return {}
        nets = self.contract.read("netOf", [typed.account_id(name) for name in names])
        return dict(zip(names, (int(n) for n in nets), strict=True))

    def money_sum_micro(self) -> int:
        """The contract's own sum over all accounts and all money on its way. Zero, always."""
        return int(self.contract.read("moneySum"))

    def batch_of(self, row: Any) -> SettlementBatch:
        """The batch of a stored row."""
        return wire.batch_from_json(json.loads(row["body"]))

    def _advance_new(self, row: Any) -> None:
        if any(r["status"] in ("signed", "mined") for k in ("open", "deposit") for r in self._rows(row, k)):
            return
        batch = self.batch_of(row)
        self.clock(batch.period_end_s)
        if self.accounts.open(row["seq"], batch):
            return
        short = self.accounts.short(batch)
        if short and not self.keys.public:
            self._reject(
                row,
                f"accounts cannot pay their debit, deposit first: {', '.join(short)}",
            )
            return
        if short:
            self.accounts.fund(row["seq"], batch, short)
            return
        head = bytes(self.contract.read("head"))
        header = typed.header_of(batch, head, int(self.contract.read("epoch")))
        positions = typed.pack(typed.positions_of(batch))
        struct = typed.batch_id(self._market, header, positions)
        digest = typed.typed_digest(self._domain_chain_id, self.contract.address, struct)
        signatures = [(i, o.sign(digest)) for i, o in enumerate(self.keys.oracles[: self.keys.threshold])]
        data = self.contract.data("propose", header.values(), positions, signatures)
        if self.preflight:
            try:
                self.node.call(self.contract.address, data, self.keys.operator.address)
            except RevertedError as error:
                reason = self.contract.reason(error)
                if reason.startswith(BROKE) and self.accounts.forget(batch):
                    return  # somebody else moved their money: look again
                self._reject(row, reason)
                return
        gas = 250_000 + 1_000 * len(positions) + 40_000 * len(signatures)
        kept = {"prev": head.hex(), "epoch": header.epoch, "deadline_s": 0}
        self.outbox.post(
            Post(row["seq"], "propose", self.contract.address, data, gas),
            note="UPDATE batches SET status = 'proposing', batch_id = ?, header = ? WHERE seq = ?",
            note_values=("0x" + struct.hex(), json.dumps(kept), row["seq"]),
        )

    def _advance_proposing(self, row: Any) -> None:
        tried = self._rows(row, "propose")
        done = [r for r in tried if r["status"] == "confirmed"]
        if done:
            block = self.node.block(done[-1]["block_number"])
            kept = json.loads(row["header"]) | {"deadline_s": int(block["timestamp"], 16) + self.window_s}
            self._note(row, status="proposed", header=json.dumps(kept))
            self.accounts.debited(self.batch_of(row))
        elif tried and all(r["status"] in ("failed", "replaced") for r in tried):
            why = self._why_failed(tried[-1])
            if self.contract.read("recordOf", bytes.fromhex(row["batch_id"][2:]))[0]:
                self.refresh(
                    row
                )  # another transaction has brought it: an earlier one of ours, or somebody's copy
                self.accounts.debited(self.batch_of(row))
            elif why.startswith(RACED) and len(tried) < MOST_RACES:
                self._note(row, status="new")
            else:
                self._reject(row, why)

    def _advance_proposed(self, row: Any) -> None:
        kept = json.loads(row["header"])
        if not self.node.now_s() >= kept["deadline_s"] or self._waits_for_earlier(row["seq"]):
            return
        batch = self.batch_of(row)
        header = typed.header_of(batch, bytes.fromhex(kept["prev"]), kept["epoch"])
        positions = typed.pack(typed.positions_of(batch))
        data = self.contract.data("finalise", header.values(), positions)
        refusal = self._refusal_to_finalise(row, data)
        if refusal:
            if refusal != row["reason"]:
                self._note(row, reason=refusal)
            return
        self.outbox.post(
            Post(row["seq"], "finalise", self.contract.address, data, 150_000 + 1_000 * len(positions)),
            note="UPDATE batches SET status = 'finalising', reason = '' WHERE seq = ?",
            note_values=(row["seq"],),
        )

    def _refusal_to_finalise(self, row: Any, data: bytes) -> str:
        """Why the contract would refuse now (paused, or an earlier batch of another sender is open): it costs gas.

        Not asked where an earlier batch is on its way to its end, which the node does not know yet.
        """
        tried = self.preflight or self._rows(row, "finalise")
        if not tried or any(r["seq"] < row["seq"] for r in self._batches("finalising")):
            return ""
        try:
            self.node.call(self.contract.address, data, self.keys.operator.address)
        except RevertedError as error:
            return self.contract.reason(error)
        return ""

    def _advance_finalising(self, row: Any) -> None:
        tried = self._rows(row, "finalise")
        if any(r["status"] == "confirmed" for r in tried):
            self._note(row, status="final")
        elif tried and all(r["status"] in ("failed", "replaced") for r in tried):
            self.refresh(row)

    def refresh(self, row: Any) -> None:
        """Take a batch's state and deadline from the contract: disputed, undone, or its window is still open."""
        status, _, deadline_s = self.contract.read("recordOf", bytes.fromhex(row["batch_id"][2:]))
        kept = json.loads(row["header"]) | {"deadline_s": int(deadline_s)}
        reason = UNDONE if STATUS[status] == "rejected" else row["reason"]
        self._note(row, status=STATUS[status], header=json.dumps(kept), reason=reason)

    def refresh_disputed(self) -> None:
        """Look whether disputes were decided."""
        for row in self._batches("disputed"):
            self.refresh(row)

    def _waits_for_earlier(self, seq: int) -> bool:
        query = "SELECT 1 FROM batches WHERE seq < ? AND status NOT IN ('final', 'finalising', 'rejected')"
        return self.outbox.db.execute(query, (seq,)).fetchone() is not None

    def _stopped_by(self) -> str | None:
        rows = self.outbox.db.execute("SELECT reason FROM batches WHERE status = 'rejected' ORDER BY seq")
        for (reason,) in rows:
            if not reason.startswith((*DOUBLES, "not sent", UNDONE)):
                return str(reason)
        return None

    def _why_failed(self, tx: Any) -> str:
        if tx["block_number"] is None:
            return "replaced and lost"
        try:
            self.node.call(
                tx["to_address"], tx["data"], self.keys.operator.address, max(0, tx["block_number"] - 1)
            )
        except RevertedError as error:
            return self.contract.reason(error)
        return "reverted, but a repeated call does not: out of gas, or the state changed within the block"

    def _reject(self, row: Any, reason: str) -> None:
        self._note(row, status="rejected", reason=reason)

    def _rows(self, row: Any, kind: str) -> list[Any]:
        return self.outbox.rows(row["seq"], kind)

    def _note(self, row: Any, **fields: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in fields)
        self.outbox.db.execute(f"UPDATE batches SET {names} WHERE seq = ?", (*fields.values(), row["seq"]))

    def _batches(self, *statuses: str) -> list[Any]:
        marks = ",".join("?" * len(statuses))
        query = f"SELECT * FROM batches WHERE status IN ({marks}) ORDER BY seq"
        return list(self.outbox.db.execute(query, statuses))
