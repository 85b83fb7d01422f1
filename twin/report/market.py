"""What the market left behind: whole bills per mechanism, who earned with the pools, contracts, refused assets."""

from typing import Any

from market.admission import CODES
from twin.report import words
from twin.report.mechanisms import label
from twin.results import RunResult

Context = dict[str, Any]
KEPT = {
    "no_shares": "it provides nothing there",
    "nothing_unsold": "all that it asks for is sold",
    "last_provider": "its pool has traded and nobody else stands behind it",
    "frozen": "its slot is about to close",
}
ROLES = {"provider": "Provider", "fund": "The community’s fund", "arbitrageur": "Arbitrageur"}
REFUSED = dict(
    zip(
        CODES,
        ("not signed by its owner", "its meter point is taken", "registered twice", "stake too low",
         "outside the window", "no interval left for it"),
        strict=True,
    )
)  # fmt: skip


def market_context(run: RunResult, currency: str) -> Context | None:
    """The section of one variant; None where there is nothing to say."""
    record = run.verdict_record
    market = (run.manifest.get("scenario") or {}).get("market") or {}
    context = {
        "bills": [_bill(row, market.get("mechanism")) for row in record.get("whole_bills") or []],
        "accounts": [_account(row, currency) for row in record.get("pool_accounts") or []],
        "slots": _slots(run),
        "withdrawals": [_withdrawal(row) for row in record.get("withdrawals") or []],
        "agreements": record.get("agreements") or [],
        "refused": [_refused(row) for row in record.get("refused") or []],
        "admission": (market.get("admission") or {}).get("condition"),
        "assets": len(run.table("admissions", ["asset"])),
    }
    shown = any(context[key] for key in ("bills", "accounts", "agreements", "admission"))
    return context if shown else None


def _bill(row: Context, settling: Any) -> Context:
    def plain(micro: Any) -> str:
        return words.money(micro, "").removesuffix("\N{NO-BREAK SPACE}")

    return {
        "label": label(row.get("mechanism")),
        "settles": row.get("mechanism") == settling,
        "cells": [plain(row.get(key)) for key in ("supplier_only_micro", "total_micro", "saved_micro")],
        "lost": row.get("worse_off_count") or 0,
        "indices": [
            words.number(row[key], 2) if row.get(key) is not None else "–" for key in ("jain", "gini")
        ],
    }


def _account(row: Context, currency: str) -> Context:
    profit = row.get("profit_micro") or 0
    return {
        "role": ROLES.get(str(row.get("role")), str(row.get("role"))),
        "name": row.get("participant"),
        "slots": words.number(row.get("slots")),
        "committed": words.energy(row["committed_wh"]) if row.get("role") == "provider" else "–",
        "delivered": words.energy(row["delivered_wh"]) if row.get("role") == "provider" else "–",
        "money": words.money(row.get("money_micro"), currency),
        "profit": words.money(profit, currency),
        "lost": profit < 0,
    }


def _slots(run: RunResult) -> Context | None:
    """Sums over the slots of the pools that settled; None where none did."""
    table = run.table("pool_slots")
    if not table.num_rows:
        return None
    sums = {
        name: words.energy(sum(table[name].to_pylist()))
        for name in (
            "provided_wh", "withdrawn_wh", "dissipated_wh", "kept_wh", "ahead_wh", "sold_wh", "bought_wh",
            "residual_wh",
        )
    }  # fmt: skip
    return {"count": words.number(table.num_rows), **sums}


def _withdrawal(row: Context) -> Context:
    """How many open pools a provider left, and why others kept it."""
    kept = [f"{words.number(n)}: {KEPT.get(code, code)}" for code, n in (row.get("refused") or {}).items()]
    left = words.number(row.get("left"))
    return {
        "name": row.get("participant"),
        "cells": [left, words.energy(row.get("withdrawn_wh") or 0)],
        "kept": "; ".join(kept) or "–",
    }


def _refused(row: Context) -> Context:
    codes = [REFUSED.get(code, code) for code in row.get("codes") or []]
    return {
        "asset": row.get("asset"),
        "why": ", ".join(codes),
        "reasons": "; ".join(row.get("reasons") or []),
    }
