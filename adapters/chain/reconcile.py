"""A run folder against its chain: every batch, every account and every trade, to the last unit.

The folder's tables are netted anew with the market core; what comes out must be what the chain holds.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from adapters.chain import typed
from adapters.chain.contract import Contract
from adapters.chain.embedded import replay
from adapters.chain.entries import wrong_entries
from adapters.chain.errors import ChainInputError
from adapters.chain.holdings import STATUS
from adapters.chain.node import Node
from adapters.chain.proven import Finding, devices_finding
from adapters.chain.provider import RpcNode
from adapters.chain.tables import read_json, read_table
from market.netting import ENTRY_DTYPE, ROUNDING, SUPPLY, TRADE, net

AGREE = "cleared, metered and on chain agree, trade by trade"
SUPPLIER_ACCOUNT, POOL_ACCOUNT = "supplier", "pool"
OTHERS = {SUPPLIER_ACCOUNT, POOL_ACCOUNT, "network"}
"""Accounts that are no participant's and get no bill."""


def reconcile(folder: Path, url: str = "") -> list[Finding]:
    """Compare a finished run with its chain. Raises ChainInputError where the folder cannot be compared."""
    history, manifest = read_json(folder, "chain.json"), read_json(folder, "manifest.json")
    tables = {name: read_table(folder, name) for name in ("settlement", "trades", "participants")}
    tables |= {name: read_table(folder, name) for name in ("entries", "oracles")}
    contract, node = _attach(history, url)
    contract.check_code()
    proposed = {event["batch"][7].hex(): event for event in contract.history("BatchProposed")}
    settled = [row for row in tables["settlement"] if row["status"] in ("final", "proposed")]
    findings = [
        _batches(settled, proposed, contract, node),
        _nothing_else(settled, proposed, manifest),
        _money_sum(contract),
    ]
    if read_table(folder, "signatures"):
        findings.append(devices_finding(folder, history, settled, proposed, node))
    if tables["participants"]:
        findings += [
            _bills(tables["participants"], settled, proposed, contract),
            _trades(tables, settled, str(history["market_id"]), manifest),
        ]
    return findings


def _attach(history: dict[str, Any], url: str) -> tuple[Contract, Node]:
    if history.get("kind") == "embedded":
        node = Node(RpcNode(replay(history)))
    elif history.get("kind") == "rpc":
        from adapters.chain.rpc import reach

        if not url:
            raise ChainInputError("this run settled on a node: give its address with --url")
        node = reach(url)
        node.first_block = int(history.get("first_block", 0))
        if node.chain_id() != history["chain_id"]:
            raise ChainInputError(
                f"the node is of chain {node.chain_id()}, the run's is {history['chain_id']}"
            )
    else:
        raise ChainInputError("this run settled on no chain (settlement.chain: none)")
    return Contract(node, "EnergySettlement", history["contracts"]["settlement"]), node


def _batches(
    settled: list[dict[str, Any]], proposed: dict[str, Any], contract: Contract, node: Node
) -> Finding:
    """Digest, root, transaction, block, gas and status of every row of settlement.parquet."""
    wrong = []
    for row in settled:
        event = proposed.get(row["digest"])
        if event is None:
            wrong.append(f"{row['digest'][:16]} is not on the chain")
            continue
        receipt = node.receipt(row["transaction"])
        status = STATUS[contract.read("statusOf", event["id"])]
        have = (
            event["batch"][5].hex(),
            event["transaction"],
            receipt.block_number if receipt else None,
            receipt.gas if receipt else None,
            # what was under way when the run ended may have come to its end since
            row["status"] if (row["status"], status) == ("proposed", "final") else status,
        )
        want = (row["root"], row["transaction"], row["block_number"], row["gas"], row["status"])
        if have != want:
            wrong.append(f"{row['digest'][:16]}: chain {have}, folder {want}")
    return Finding(
        "batches in the folder are on the chain", not wrong, "; ".join(wrong) or f"{len(settled)} batches"
    )


def _nothing_else(
    settled: list[dict[str, Any]], proposed: dict[str, Any], manifest: dict[str, Any]
) -> Finding:
    """No other batch of the run's time; a contract that lives longer holds those before and after it."""
    ends = [row["period_end_s"] for row in settled]
    begin_s = int(datetime.fromisoformat(manifest["start"]).timestamp())
    others = {digest: event["batch"] for digest, event in proposed.items() if digest not in _digests(settled)}
    extra = sorted(d for d, batch in others.items() if ends and begin_s < batch[2] and batch[1] < max(ends))
    return Finding("the chain holds no other batch", not extra, ", ".join(extra) or "none of the run's time")


def _digests(settled: list[dict[str, Any]]) -> set[str]:
    return {row["digest"] for row in settled}


def _money_sum(contract: Contract) -> Finding:
    total = int(contract.read("moneySum"))
    return Finding("money on chain sums to zero", total == 0, f"{total} micro")


def _moved(settled: list[dict[str, Any]], proposed: dict[str, Any], contract: Contract) -> dict[bytes, int]:
    """What the run's batches move, by account id, from the data of the transactions that recorded them."""
    moved: dict[bytes, int] = {}
    for digest in _digests(settled) & set(proposed):
        data = contract.node.sent_data(proposed[digest]["transaction"])
        for account, delta in typed.unpack(contract.arguments("propose", data)[1]):
            moved[account] = moved.get(account, 0) + delta
    return moved


def _bills(
    participants: list[dict[str, Any]],
    settled: list[dict[str, Any]],
    proposed: dict[str, Any],
    contract: Contract,
) -> Finding:
    """Every participant's bill over the run is what its batches took, and (alone on it) what the contract holds."""
    bills: dict[str, int] = {}
    for row in participants:
        bills[row["participant"]] = bills.get(row["participant"], 0) + row["bill_micro"]
    opened = {event["name"] for event in contract.history("AccountOpened")}
    names = sorted(set(bills) | opened - OTHERS)
    ids = [typed.account_id(name) for name in names]
    moved = _moved(settled, proposed, contract)
    nets = [moved.get(account, 0) for account in ids]
    alone = set(proposed) == _digests(settled)
    if alone and all(row["status"] == "final" for row in settled):
        nets = contract.read("netOf", ids)
    wrong = [
        f"{name}: chain {value}, bills {-bills.get(name, 0)}"
        for name, value in zip(names, nets, strict=True)
        if value != -bills.get(name, 0)
    ]
    return Finding(
        "bills are what the chain holds", not wrong, "; ".join(wrong[:5]) or f"{len(names)} accounts"
    )


def _trades(
    tables: dict[str, list[dict[str, Any]]],
    settled: list[dict[str, Any]],
    market_id: str,
    manifest: dict[str, Any],
) -> Finding:
    """Net all trades and meter readings of each period anew: root and digest must come out the same."""
    if tables["entries"]:  # trades were held, or differences charged
        wrong, words = wrong_entries(tables, settled, market_id)
        return Finding(AGREE, not wrong, "; ".join(wrong[:5]) or words)
    start_s = int(datetime.fromisoformat(manifest["start"]).timestamp())
    interval_s = int(manifest["interval_s"])
    wrong = [
        f"trade {t['order_id']} of interval {t['interval']}: settled {t['settled_wh']} of cleared {t['cleared_wh']} Wh"
        for t in tables["trades"]
        if not 0 <= t["settled_wh"] <= t["accepted_wh"] <= t["cleared_wh"]
    ]
    for row in settled:
        first = (row["period_start_s"] - start_s) // interval_s
        last = (row["period_end_s"] - start_s + interval_s - 1) // interval_s
        accounts, entries = _entries(tables, first, last)
        made = net(accounts, entries, market_id, row["period_start_s"], row["period_end_s"])
        if made.root.hex() != row["root"]:
            wrong.append(f"period from {row['period_start_s']} s: its trades give another root")
        elif made.digest.hex() != row["digest"]:
            wrong.append(f"period from {row['period_start_s']} s: its positions give another digest")
    count = len(tables["trades"])
    return Finding(
        AGREE,
        not wrong,
        "; ".join(wrong[:5]) or f"{count} trades",
    )


def _entries(tables: dict[str, list[dict[str, Any]]], first: int, last: int) -> tuple[list[str], Any]:
    """The ledger's entries of intervals [first, last), from the tables alone."""
    meters = [row for row in tables["participants"] if first <= row["interval"] < last]
    names = list(dict.fromkeys(row["participant"] for row in meters))
    index, n = {name: i for i, name in enumerate(names)}, len(names)
    local = [
        t
        for t in tables["trades"]
        if first <= t["interval"] < last and t["counterparty"] != "supplier" and t["accepted_wh"] > 0
    ]
    entries = np.zeros(len(local) + n + 2, dtype=ENTRY_DTYPE)
    energy, money = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for row in meters:
        energy[index[row["participant"]]] += row["metered_wh"]
        money[index[row["participant"]]] -= row["bill_micro"]
    for entry, trade in zip(entries, local, strict=False):
        signed = trade["accepted_wh"] if trade["side"] == "sell" else -trade["accepted_wh"]
        who = index[trade["participant"]]
        entry["account"], entry["kind"], entry["energy_wh"] = who, TRADE, signed
        entry["interval"], entry["reference"] = trade["interval"], trade["order_id"]
        entry["money_micro"] = trade["money_micro"]
        energy[who] -= signed
        money[who] -= trade["money_micro"]
    rest = entries[len(local) :]
    rest["account"] = np.arange(n + 2)
    rest["kind"][:n], rest["energy_wh"][:n], rest["money_micro"][:n] = SUPPLY, energy, money
    rest["kind"][n:] = SUPPLY, ROUNDING
    rest["money_micro"][n:] = -money.sum(), -sum(t["money_micro"] for t in local)
    return [*names, SUPPLIER_ACCOUNT, POOL_ACCOUNT], entries
