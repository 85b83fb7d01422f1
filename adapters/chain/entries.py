"""A run's batches proven from their own entries: where trades were held, a batch is not simply a period's trades."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from market.netting import ENTRY_DTYPE, IMBALANCE, NETWORK, OTHER, ROUNDING, SUPPLY, TRADE, Entries, net

KINDS = {
    "trade": TRADE,
    "supply": SUPPLY,
    "network": NETWORK,
    "imbalance": IMBALANCE,
    "rounding": ROUNDING,
    "payment": OTHER,
}
Tables = dict[str, list[dict[str, Any]]]


def wrong_entries(tables: Tables, settled: list[dict[str, Any]], market_id: str) -> tuple[list[str], str]:
    """Net every batch's entries anew and find every trade in exactly one batch, or still held.

    Args:
        tables: rows of ``entries``, ``trades`` and ``oracles``.
        settled: rows of settlement.parquet whose batch is on the chain.
        market_id: of the chain.

    Returns:
        What is wrong, and what was found in words.
    """
    by_batch: dict[str, list[dict[str, Any]]] = {row["digest"]: [] for row in settled}
    for row in tables["entries"]:
        if row["batch"] in by_batch:
            by_batch[row["batch"]].append(row)
    wrong = []
    for batch in settled:
        accounts, entries = _entries(by_batch[batch["digest"]])
        made = net(accounts, entries, market_id, batch["period_start_s"], batch["period_end_s"])
        if made.root.hex() != batch["root"]:
            wrong.append(f"period from {batch['period_start_s']} s: its entries give another root")
        elif made.digest.hex() != batch["digest"]:
            wrong.append(f"period from {batch['period_start_s']} s: its positions give another digest")
    waiting = {
        (row["participant"], row["interval"])
        for row in tables["oracles"]
        if row["status"] == "held" and row["resolved_by"] is None
    }
    held, misplaced = _trades(tables["trades"], by_batch, waiting)
    late = sum(row["resolved_by"] is not None for row in tables["oracles"])
    words = (
        f"{len(tables['trades'])} trades; {late} readings were held and decided, {held} sales are still held"
    )
    return wrong + misplaced, words


def _entries(rows: list[dict[str, Any]]) -> tuple[list[str], Entries]:
    accounts = list(dict.fromkeys(row["account"] for row in rows))
    index = {name: i for i, name in enumerate(accounts)}
    entries = np.zeros(len(rows), dtype=ENTRY_DTYPE)
    for entry, row in zip(entries, rows, strict=True):
        entry["account"], entry["kind"] = index[row["account"]], KINDS[row["kind"]]
        for name in ("interval", "reference", "energy_wh", "money_micro"):
            entry[name] = row[name]
    return accounts, entries


def _trades(
    trades: list[dict[str, Any]], by_batch: dict[str, list[dict[str, Any]]], waiting: set[tuple[str, int]]
) -> tuple[int, list[str]]:
    """How many sales are still held, and what is not as it should be: once on the chain, with its energy and money."""
    on_chain = Counter(
        (row["account"], row["interval"], row["reference"], row["energy_wh"], row["money_micro"])
        for rows in by_batch.values()
        for row in rows
        if row["kind"] == "trade"
    )
    held, wrong = 0, list(_amounts(trades))
    for trade in trades:
        if trade["counterparty"] == "supplier" or trade["accepted_wh"] == 0:
            continue
        sells = trade["side"] == "sell"
        signed = trade["accepted_wh"] if sells else -trade["accepted_wh"]
        key = (trade["participant"], trade["interval"], trade["order_id"], signed, trade["money_micro"])
        waits = sells and (trade["participant"], trade["interval"]) in waiting
        held += waits
        if waits != (on_chain[key] < 1):
            state = "held and on the chain" if waits else "on no batch"
            wrong.append(f"trade {trade['order_id']} of interval {trade['interval']}: {state}")
        on_chain[key] -= not waits
    extra = [key for key, count in on_chain.items() if count > 0]
    return held, wrong + [f"entry of {key[0]}, interval {key[1]}: no such trade" for key in extra]


def _amounts(trades: list[dict[str, Any]]) -> Iterator[str]:
    for t in trades:
        if not 0 <= t["settled_wh"] <= t["accepted_wh"] <= t["cleared_wh"]:
            yield (
                f"trade {t['order_id']} of interval {t['interval']}: settled {t['settled_wh']} of cleared "
                f"{t['cleared_wh']} Wh"
            )
