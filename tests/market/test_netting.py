from hashlib import sha256

import numpy as np
import pytest

from market.errors import SettlementError
from market.merkle import EMPTY_ROOT, leaf_hash, merkle_proof, merkle_root, verify_proof
from market.money import fills_money_micro
from market.netting import (
    ENTRY_DTYPE,
    NETWORK,
    TRADE,
    entries_from_fills,
    entry_lines,
    net,
    net_positions,
)
from market.orders import SUPPLIER, empty_fills

NAMES = ["house_2", "house_10", "house_1", "pool", "supplier"]
POOL_ROW, SUPPLIER_ROW = 3, 4


def entries(*rows):
    """Entries (account, kind, interval, reference, energy, money)."""
    return np.array(list(rows), dtype=ENTRY_DTYPE)


BALANCED = entries(
    (0, TRADE, 5, 1, 1000, 150), (1, TRADE, 5, 2, -1000, -151), (3, TRADE, 5, 0, 0, 1), (2, NETWORK, 6, 0, 0, 0)
)  # fmt: skip


def test_positions_by_hand():
    batch = net(NAMES, BALANCED, "street", 0, 900)
    assert batch.accounts == ("house_10", "house_2", "pool")  # sorted, without the zero of house_1
    assert batch.deltas_micro == (-151, 150, 1)
    assert batch.gross_energy_wh == 1000


def test_the_bytes_are_written_down_here_a_second_time():
    """An independent encoder of the stated layout gives the same root and digest."""

    def number(value, size=8):
        return value.to_bytes(size, "big", signed=True)

    def text(name):
        return len(name.encode()).to_bytes(2, "big") + name.encode()

    lines = []
    for row in BALANCED.tolist():
        account, kind, interval, reference, energy, money = row
        head = b"p2p-entry-1" + sha256(text(NAMES[account])).digest() + number(kind, 1)
        lines.append(head + b"".join(number(v) for v in (interval, reference, energy, money)))
    assert entry_lines(NAMES, BALANCED) == lines
    hashes = sorted(sha256(sha256(line).digest()).digest() for line in lines)
    pair = lambda a, b: sha256(a + b).digest()  # noqa: E731
    root = pair(pair(hashes[0], hashes[1]), pair(hashes[2], hashes[3]))
    body = (
        b"p2p-batch-1"
        + text("street")
        + number(0)
        + number(900)
        + number(1000)
        + root
        + (3).to_bytes(4, "big")
    )
    for name, delta in (("house_10", -151), ("house_2", 150), ("pool", 1)):
        body += text(name) + number(delta)
    batch = net(NAMES, BALANCED, "street", 0, 900)
    assert batch.root == root
    assert batch.digest == sha256(body).digest()


def random_fills(rng, n):
    fills = empty_fills(n)
    fills["order_id"] = np.arange(n)
    fills["participant"] = rng.integers(0, 3, n)
    fills["side"] = np.where(rng.random(n) < 0.5, 1, -1)
    fills["counterparty"] = np.where(rng.random(n) < 0.3, SUPPLIER, -1)
    fills["energy_wh"] = rng.integers(1, 5000, n)
    fills["price_micro_per_kwh"] = rng.integers(-1000, 320_000, n)
    fills["interval"] = rng.integers(0, 96, n)
    return fills


def test_nothing_depends_on_the_order_of_arrival():
    rng = np.random.default_rng(1)
    book = entries_from_fills(random_fills(rng, 200), POOL_ROW, SUPPLIER_ROW)
    first = net(NAMES, book, "street", 0, 900)
    for _ in range(5):
        assert net(NAMES, book[rng.permutation(book.size)], "street", 0, 900) == first
    # nor on the rows that accounts happen to have
    order = [4, 2, 0, 1, 3]
    moved = book.copy()
    moved["account"] = np.argsort(order)[book["account"]]
    assert net([NAMES[i] for i in order], moved, "street", 0, 900) == first


def test_everything_counts_in_the_digest():
    first = net(NAMES, BALANCED, "street", 0, 900)
    changed = BALANCED.copy()
    changed["reference"][0] = 7
    others = [
        net(NAMES, BALANCED, "strasse", 0, 900),
        net(NAMES, BALANCED, "street", 1, 900),
        net(NAMES, BALANCED, "street", 0, 901),
        net(NAMES, changed, "street", 0, 900),
    ]
    assert len({b.digest for b in [first, *others]}) == 5
    assert others[-1].root != first.root


def test_fills_become_balanced_entries():
    fills = random_fills(np.random.default_rng(2), 300)
    book = entries_from_fills(fills, POOL_ROW, SUPPLIER_ROW)
    net_micro, gross = net_positions(len(NAMES), book)
    money = fills_money_micro(fills)
    assert net_micro[:3].tolist() == [int(money[fills["participant"] == p].sum()) for p in range(3)]
    assert net_micro.sum() == 0
    assert net_micro[SUPPLIER_ROW] == -money[fills["counterparty"] == SUPPLIER].sum()
    assert gross == fills["energy_wh"][fills["side"] == 1].sum()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 0, 0, 0, 0, 5)], "sums to 5 micro"),
        ([(5, 0, 0, 0, 0, 0)], "outside 0 to 4"),
        ([(-1, 0, 0, 0, 0, 0)], "outside 0 to 4"),
        ([(0, 0, 0, 0, 0, 2**62), (1, 0, 0, 0, 0, -(2**62)), (0, 0, 0, 0, 0, 1)], "beyond 2"),
        ([(0, 0, 0, 0, 2**62 + 1, 0)], "beyond 2"),
        ([(0, 0, 0, 0, 2**62, 0), (0, 0, 0, 0, 1, 0)], "beyond 2"),
        ([(0, 0, 0, 0, 0, -(2**63))], "beyond 2"),
    ],
)
def test_what_does_not_balance_or_fit_is_refused(rows, words):
    with pytest.raises(SettlementError, match=words):
        net(NAMES, entries(*rows))


def test_wrong_lists_are_refused():
    with pytest.raises(SettlementError, match="must be unique"):
        net(["a", "a"], entries())
    with pytest.raises(SettlementError, match="ENTRY_DTYPE"):
        net(["a"], np.zeros(3))
    with pytest.raises(SettlementError, match="1 to"):
        net(["", "b"], entries((0, 0, 0, 0, 0, 1), (1, 0, 0, 0, 0, -1)))


def test_an_empty_batch_has_a_root_of_its_own():
    batch = net(NAMES, entries())
    assert (batch.accounts, batch.root) == ((), EMPTY_ROOT)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13])
def test_every_line_has_a_proof_and_nothing_else_does(n):
    lines = [f"line {i}".encode() for i in range(n)]
    root = merkle_root(lines)
    for line in lines:
        path = merkle_proof(lines, line)
        assert verify_proof(root, line, path)
        assert not verify_proof(root, line + b"x", path)
        if path:
            flipped = [(not path[0][0], path[0][1]), *path[1:]]
            assert not verify_proof(root, line, flipped)
    with pytest.raises(SettlementError, match="not part"):
        merkle_proof(lines, b"another")


def test_an_inner_node_cannot_pose_as_a_leaf():
    lines = [b"a", b"b"]
    inner = b"".join(sorted(leaf_hash(line) for line in lines))
    with pytest.raises(SettlementError, match="64 bytes"):
        verify_proof(merkle_root(lines), inner, [])
    assert merkle_root(lines) == sha256(inner).digest() != leaf_hash(inner[:63])
