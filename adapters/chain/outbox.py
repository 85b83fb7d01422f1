"""Transactions of one sender that survive a crash: what is signed is stored before it is sent.

Each is a row: signed, sent and sent again with the same bytes until it is mined, watched until it is
``confirmations`` blocks deep, and taken back to 'signed' where a reorganisation drops it. Nothing here waits.
"""

import re
import sqlite3
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters.chain.errors import ChainInputError, NodeRefusedError, RevertedError
from adapters.chain.keys import Signer
from adapters.chain.node import Node, Receipt
from adapters.chain.sole import Sole
from adapters.chain.taker import LAG_BLOCKS, Taker, taker_of

TIP_WEI = 10**9
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS txs (
  id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, kind TEXT NOT NULL, nonce INTEGER NOT NULL,
  to_address TEXT, data BLOB NOT NULL, gas INTEGER NOT NULL, max_fee_wei INTEGER NOT NULL, raw BLOB NOT NULL,
  hash TEXT NOT NULL UNIQUE, status TEXT NOT NULL, signed_at_block INTEGER NOT NULL,
  block_number INTEGER, block_hash TEXT, gas_used INTEGER, contract TEXT
);
CREATE TABLE IF NOT EXISTS batches (
  seq INTEGER PRIMARY KEY, digest TEXT NOT NULL, body TEXT NOT NULL, status TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '', batch_id TEXT NOT NULL DEFAULT '', header TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS drops (hash TEXT NOT NULL, owner INTEGER NOT NULL, block_hash TEXT);
CREATE INDEX IF NOT EXISTS txs_owner ON txs (owner, kind);
CREATE INDEX IF NOT EXISTS txs_status ON txs (status);
CREATE INDEX IF NOT EXISTS batches_status ON batches (status);
"""
MOST_BUMPS = 16
"""A stuck transaction is signed again so often, for up to 6.6 times the fee; then it is only sent again."""
TOO_LOW = ("nonce too low", "nonce is too low", "oldnonce")
CHEAP = ("less than block base fee", "fee cap less than", "feetoolow")
ON_ITS_WAY = (
    "already known", "alreadyknown", "already imported", "underpriced", "replacement",
    "nonce too high", "nonce is too high", "noncegap",
)  # fmt: skip
"""What nodes call a nonce that is used, a fee below the block's, and what they have, or take a little later."""
KNOWN = re.compile(r"\bknown\b")
POST = ("owner", "kind", "to_address", "data")
"""What two versions of one post have in common."""
OPEN = ("signed", "mined")
"""States of a row that is not settled yet; the others are 'confirmed', 'failed' and 'replaced'."""


@dataclass(frozen=True)
class Post:
    """A transaction to be made: what for (``owner``, ``kind``), where to, with which data and gas limit."""

    owner: int
    kind: str
    to: str | None
    data: bytes
    gas: int


class Outbox:
    """The rows of one sender on one chain. ``crash`` is called with the name of each point between steps."""

    def __init__(
        self,
        path: str,
        node: Node,
        signer: Signer,
        confirmations: int = 0,
        stuck_blocks: int = 20,
        crash: Callable[[str], None] = lambda point: None,
    ) -> None:
        self.node, self.signer, self.crash = node, signer, crash
        self.confirmations, self.stuck_blocks = confirmations, stuck_blocks
        self.chain_id = node.chain_id()
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.executescript(SCHEMA)
        try:
            self.bind("chain_id", str(self.chain_id))
            self.bind("sender", signer.address)
            self._sole = Sole(path)
        except ChainInputError:
            self.db.close()
            raise
        # many an outbox in memory is simply let go; from Python 3.13 on, sqlite3 warns of what was not closed
        weakref.finalize(self, _close, self.db, self._sole)

    def post(self, *posts: Post, note: str = "", note_values: tuple[Any, ...] = ()) -> None:
        """Sign and store transactions in order, and a statement of the caller's, all in one step.

        They are sent by ``pump``.
        """
        self._store(posts, (), note, note_values)

    def pump(self) -> None:
        """Look at every open row once: find it mined, deep enough, dropped or stuck; send what is not mined."""
        rows = self._open_rows()
        if not rows:
            return
        height = self.node.height()
        for row in rows:
            receipt = self.node.receipt(row["hash"])
            if receipt is not None:
                self._found(row, receipt, height)
            elif row["status"] == "mined" and self._reorganised(row, height):
                self._dropped(row)
        for row in self._open_rows():
            if row["status"] == "signed":
                self._send(row, height)

    def drops(self, owner: int) -> int:
        """How often a reorganisation threw out a transaction of an owner."""
        (count,) = self.db.execute("SELECT count(*) FROM drops WHERE owner = ?", (owner,)).fetchone()
        return int(count)

    def rows(self, owner: int, kind: str) -> list[Any]:
        """Rows of an owner and kind, oldest first."""
        query = "SELECT * FROM txs WHERE owner = ? AND kind = ? ORDER BY id"
        return list(self.db.execute(query, (owner, kind)))

    def is_idle(self) -> bool:
        """Whether every row is settled."""
        return not self._open_rows()

    def close(self) -> None:
        """Close the file."""
        _close(self.db, self._sole)

    def bind(self, key: str, value: str) -> None:
        """A file belongs to one chain, contract and sender for ever."""
        self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        (have,) = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if have != value:
            raise ChainInputError(
                f"the outbox was made for {key} {have}, this is {value}: give each chain its own outbox file"
            )

    def _open_rows(self) -> list[Any]:
        return list(self.db.execute("SELECT * FROM txs WHERE status IN (?, ?) ORDER BY nonce, id", OPEN))

    def _next_nonce(self, replaced: tuple[int, ...] = ()) -> int:
        """One after the chain's count and after all rows that can still be mined."""
        pending = [row["nonce"] + 1 for row in self._open_rows() if row["id"] not in replaced]
        return int(max([self.node.nonce(self.signer.address), *pending]))

    def _sign(self, post: Post, nonce: int, fee: int, tip: int = TIP_WEI) -> tuple[bytes, str]:
        fields: dict[str, Any] = {
            "chainId": self.chain_id,
            "nonce": nonce,
            "gas": post.gas,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": min(tip, fee),
            "value": 0,
            "data": post.data,
        }
        if post.to is not None:
            fields["to"] = post.to
        raw, digest = self.signer.sign_transaction(fields)
        return raw, "0x" + digest.hex()

    def _store(
        self, posts: tuple[Post, ...], replaced: tuple[int, ...], note: str = "", values: tuple[Any, ...] = ()
    ) -> None:
        fee = 2 * int(self.node.block()["baseFeePerGas"], 16) + TIP_WEI
        height = self.node.height()
        first = self._next_nonce(replaced)
        signed = [(p, first + i, *self._sign(p, first + i, fee)) for i, p in enumerate(posts)]
        self.crash("signed, not stored")
        with self.db:
            self.db.execute("BEGIN")
            for row_id in replaced:
                self._set(row_id, status="replaced")
            for post, nonce, raw, digest in signed:
                self._insert(post, nonce, fee, raw, digest, height)
            if note:
                self.db.execute(note, values)
        self.crash("stored, not sent")

    def _insert(self, post: Post, nonce: int, fee: int, raw: bytes, digest: str, height: int) -> None:
        self.db.execute(
            "INSERT INTO txs (owner, kind, nonce, to_address, data, gas, max_fee_wei, raw, hash, status,"
            " signed_at_block) VALUES (?,?,?,?,?,?,?,?,?,'signed',?)",
            (post.owner, post.kind, nonce, post.to, post.data, post.gas, fee, raw, digest, height),
        )

    def _found(self, row: Any, receipt: Receipt, height: int) -> None:
        deep = height - receipt.block_number >= self.confirmations
        status = ("confirmed" if receipt.succeeded else "failed") if deep else "mined"
        if (row["status"], row["block_hash"]) == (status, receipt.block_hash):
            return
        self.crash("mined, not noted")
        with self.db:
            self.db.execute("BEGIN")
            self._set(
                row["id"],
                status=status,
                block_number=receipt.block_number,
                block_hash=receipt.block_hash,
                gas_used=receipt.gas,
                contract=receipt.contract,
            )
            if deep:
                self.db.execute(
                    "UPDATE txs SET status = 'replaced' WHERE nonce = ? AND id != ? AND status IN (?, ?)",
                    (row["nonce"], row["id"], *OPEN),
                )
        self.crash("noted")

    def _reorganised(self, row: Any, height: int) -> bool:
        """Whether another block is where a transaction was mined; a node that lags behind shows none, or no receipt."""
        if height < row["block_number"]:
            return False
        return self.node.block_hash(row["block_number"]) not in (None, row["block_hash"])

    def _dropped(self, row: Any) -> None:
        with self.db:
            self.db.execute("BEGIN")
            self._set(row["id"], status="signed", block_number=None, block_hash=None)
            self.db.execute(
                "INSERT INTO drops VALUES (?, ?, ?)", (row["hash"], row["owner"], row["block_hash"])
            )

    def _send(self, row: Any, height: int) -> None:
        twins = [r for r in self._open_rows() if r["nonce"] == row["nonce"]]
        if not twins:
            return  # signed anew with another nonce while a row before it was sent
        if any(r["status"] == "mined" for r in twins) or row["id"] != twins[-1]["id"]:
            return  # a twin is mined, or is the one that pays more
        if height - row["signed_at_block"] >= self.stuck_blocks:
            row = self._bump(row, height, len(twins))
        try:
            self.node.send_raw(row["raw"])
        except NodeRefusedError as error:
            self._refused(row, str(error).lower(), height, len(twins))
        except RevertedError:  # some development nodes mine it, and answer with its failure
            pass
        self.crash("sent, not noted")

    def _bump(self, row: Any, height: int, versions: int) -> Any:
        """Sign the same transaction again with an eighth more fee and tip (nodes ask for a tenth more of both)."""
        if versions > MOST_BUMPS:
            return row
        fee = max(row["max_fee_wei"] * 9 // 8 + 1, 2 * int(self.node.block()["baseFeePerGas"], 16) + TIP_WEI)
        tip = TIP_WEI * 9**versions // 8**versions + versions
        post = Post(row["owner"], row["kind"], row["to_address"], row["data"], row["gas"])
        raw, digest = self._sign(post, row["nonce"], fee, tip)
        with self.db:
            self.db.execute("BEGIN")
            self._insert(post, row["nonce"], fee, raw, digest, height)
        return self.db.execute("SELECT * FROM txs WHERE hash = ?", (digest,)).fetchone()

    def _refused(self, row: Any, text: str, height: int, versions: int) -> None:
        if any(word in text for word in TOO_LOW):
            taker = taker_of(
                self.node, self.signer.address, row["nonce"], height - self.confirmations, height
            )
            if taker is not None and not self._is_ours(row, taker, height):
                self._sign_anew(row, taker.hash)
        elif any(word in text for word in CHEAP) and versions <= MOST_BUMPS:
            self._bump(row, height, versions)  # blocks are dearer than when it was signed
        elif not any(word in text for word in (*ON_ITS_WAY, *CHEAP)) and not KNOWN.search(text):
            raise NodeRefusedError(f"{row['kind']} of batch {row['owner']}: {text}")

    def _is_ours(self, row: Any, taker: Taker, height: int) -> bool:
        """Whether the taker is a version of this very row, whose receipt is still to come.

        Raises NodeRefusedError where it will not come: then nobody can say whether the transaction succeeded.
        """
        versions = [r["hash"] for r in self._open_rows() if r["nonce"] == row["nonce"]]
        if taker.hash not in versions:
            return False
        if height - taker.block_number >= LAG_BLOCKS and self.node.receipt(taker.hash) is None:
            raise NodeRefusedError(
                f"{row['kind']} of batch {row['owner']}: block {taker.block_number} has the transaction {taker.hash}, "
                "and the node no longer has its receipt: name a node that keeps old receipts"
            )
        return True

    def _sign_anew(self, row: Any, taker: str) -> None:
        """Give a post another nonce. Those behind it keep theirs: they are valid, and may be mined at any moment."""
        versions = [r for r in self._open_rows() if r["nonce"] == row["nonce"]]
        found = self.db.execute("SELECT * FROM txs WHERE hash = ?", (taker,)).fetchone()
        same = found is not None and all(found[key] == row[key] for key in POST)
        if same and found["status"] == "replaced":
            self._set(found["id"], status="signed")  # given up once, and brought back by a reorganisation
            return
        post = Post(row["owner"], row["kind"], row["to_address"], row["data"], row["gas"])
        self._store((post,), tuple(r["id"] for r in versions))

    def _set(self, row_id: int, **fields: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in fields)
        self.db.execute(f"UPDATE txs SET {names} WHERE id = ?", (*fields.values(), row_id))


def _close(db: sqlite3.Connection, sole: Sole) -> None:
    """Close a file and let go of it; closing twice does nothing."""
    db.close()
    sole.close()
