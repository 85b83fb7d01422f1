"""The batches of an outbox: a table of what each says, how far it is, and why it waits or was refused."""

import json
from typing import Any

from adapters.chain import wire
from adapters.chain.outbox import Outbox
from adapters.chain.port import SettlementBatch

PHASES = {"new": 0, "proposing": 1, "proposed": 2, "disputed": 2, "finalising": 3, "final": 4, "rejected": 4}
DOUBLES = ("BadPeriod", "AlreadySettled")
"""Refusals that mean the period is settled already: the next batch may go on."""
NOT_SENT, UNDONE = "not sent", "undone by the arbiter"


class Batches:
    """Rows of one outbox, in the order in which they were given."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox, self._db = outbox, outbox.db

    def add(self, batch: SettlementBatch) -> int:
        """Store a batch durably. Returns its number."""
        cursor = self._db.execute(
            "INSERT INTO batches (digest, body, status) VALUES (?, ?, 'new')",
            (batch.digest.hex(), json.dumps(wire.batch_to_json(batch))),
        )
        self._outbox.crash("batch stored")
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def find(self, batch: SettlementBatch) -> int | None:
        """Number of a stored batch that says the same and was not refused."""
        body = json.dumps(wire.batch_to_json(batch))
        query = "SELECT seq FROM batches WHERE digest = ? AND body = ? AND status != 'rejected'"
        row = self._db.execute(query, (batch.digest.hex(), body)).fetchone()
        return None if row is None else int(row[0])

    def having(self, *statuses: str) -> list[Any]:
        """Rows with one of these states."""
        marks = ",".join("?" * len(statuses))
        query = f"SELECT * FROM batches WHERE status IN ({marks}) ORDER BY seq"
        return list(self._db.execute(query, statuses))

    def note(self, row: Any, **fields: Any) -> None:
        """Write fields of a row."""
        names = ", ".join(f"{name} = ?" for name in fields)
        self._db.execute(f"UPDATE batches SET {names} WHERE seq = ?", (*fields.values(), row["seq"]))

    def wait(self, row: Any, reason: str) -> None:
        """Say why a batch stays where it is."""
        if reason != row["reason"]:
            self.note(row, reason=reason)

    def progress(self) -> tuple[int, int, int]:
        """How far everything is; rises while something moves: rows settled, phases passed, confirmations gained.

        What is signed again, dropped and mined once more is no progress: a wait for it must end.
        """
        settled = "SELECT count(*) FROM txs WHERE status NOT IN ('signed', 'mined')"
        states = self._db.execute("SELECT status, count(*) FROM batches GROUP BY status").fetchall()
        mined = self._db.execute("SELECT block_number FROM txs WHERE status = 'mined'").fetchall()
        height = self._outbox.node.height() if mined else 0
        depth = sum(max(0, height - number + 1) for (number,) in mined)
        passed = sum(PHASES[status] * count for status, count in states)
        return int(self._db.execute(settled).fetchone()[0]), passed, depth

    def waits_because(self) -> str:
        """Why the first batch that is not recorded waits; empty where there is no reason but time."""
        return next((str(row["reason"]) for row in self.having("new", "proposing") if row["reason"]), "")

    def has_earlier(self, seq: int) -> bool:
        """Whether an earlier batch is not at its end, nor on its way there."""
        query = "SELECT 1 FROM batches WHERE seq < ? AND status NOT IN ('final', 'finalising', 'rejected')"
        return self._db.execute(query, (seq,)).fetchone() is not None

    def stopped_by(self) -> str | None:
        """Why nothing more is sent: a batch was refused, and has not been given again since (by the next run)."""
        rows = self._db.execute(
            "SELECT reason FROM batches AS refused WHERE status = 'rejected' AND NOT EXISTS (SELECT 1 FROM batches"
            " AS later WHERE later.seq > refused.seq AND later.body = refused.body AND later.status != 'rejected')"
            " ORDER BY seq"
        )
        for (reason,) in rows:
            if not reason.startswith((*DOUBLES, NOT_SENT, UNDONE)):
                return str(reason)
        return None
