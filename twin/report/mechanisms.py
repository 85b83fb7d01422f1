"""Mechanisms side by side: the table, who gained or lost under which, bills, and prices for the chart."""

from statistics import median
from typing import Any

import numpy as np

from twin.report import words
from twin.report.pack import pack
from twin.report.series import MAX_POINTS, bucketed, column
from twin.results import RunResult

Context = dict[str, Any]
NAMES = {
    "none": "No trade",
    "amm": "AMM",
    "mcafee": "McAfee",
    "mid_market_rate": "Mid-market rate",
    "pool_and_book": "Pools and books",
    "pay_as_bid": "Pay-as-bid",
    "supply_demand_ratio": "Supply–demand ratio",
}
NOTES = {
    "bill_sharing": "Bill sharing has no price: local energy is free, buyers share what is imported and sellers what "
    "is exported, in proportion. Who sells to a neighbour gets nothing for it.",
    "mcafee": "McAfee’s price is the middle between what buyers pay and what sellers get; the difference stays with "
    "the pool.",
    "pool_and_book": "Pools and books: what providers and the arbitrageur are paid besides their trades is no part of "
    "a gain, but of what whole bills save.",
    "pay_as_bid": "Pay-as-bid has a price per trade; shown is the mean.",
}
SHOWN_LOSERS = 5
NOT_SAID = "–"


def mechanisms_context(run: RunResult, currency: str) -> Context | None:
    """The section of one variant; None where no mechanisms were compared."""
    records = [dict(record) for record in run.verdict_record.get("mechanisms") or []]
    if len(records) < 2:
        return None
    for record in records:  # "none" may stand among the shadows: then it is the reference point
        record["reference"] = record.get("reference") or record.get("mechanism") == "none"
    records.sort(key=lambda record: (not record.get("settles"), record["reference"]))
    bills = _bills(run)
    gains = {name: own["gain_micro"] for name, own in bills.items() if name != "none"}
    names = [str(record["mechanism"]) for record in records if not record["reference"]]
    market = (run.manifest.get("scenario") or {}).get("market") or {}
    whole = run.verdict_record.get("whole_bills") or []
    saved = {str(row.get("mechanism")): row.get("saved_micro") for row in whole}
    return {
        "settling": label(next((r["mechanism"] for r in records if r.get("settles")), "none")),
        "rows": [_row(record, saved.get(str(record.get("mechanism")))) for record in records],
        "whole_bills": bool(saved),
        "notes": [text for name, text in NOTES.items() if any(_base(n) == name for n in names)],
        "agreements": bool(market.get("agreements") or market.get("preferences")),
        "dots": _dots({name: gains[name] for name in names if name in gains}, currency),
        "people": _people(bills, [n for n in names if n in bills]),
        "people_columns": [label(name) for name in names if name in bills],
    }


def mechanisms_payload(run: RunResult) -> Context | None:
    """Price of every mechanism per interval and the supplier's prices; None where none were compared."""
    table = run.table("mechanisms")
    if not table.num_rows:
        return None
    interval = column(table, "interval").astype(np.int64)
    who = np.array(table["mechanism"].to_pylist(), dtype=object)
    n = int(interval.max()) + 1
    stride = max(1, -(-n // MAX_POINTS))

    def packed(name: str, rows: Any) -> Any:
        values = np.full(n, np.nan)
        values[interval[rows]] = column(table, name)[rows] * 1e-6
        return pack(bucketed(values, stride, "mean"))

    names = list(dict.fromkeys(who.tolist()))
    settling = {name for name, one in zip(who.tolist(), table["settles"].to_pylist(), strict=True) if one}
    priced = [name for name in names if np.isfinite(column(table, "price_micro_per_kwh")[who == name]).any()]
    every = np.ones(len(who), dtype=bool)
    return {
        "n": -(-n // stride),
        "stride": stride,
        "intervals": n,
        "retail": packed("retail_micro_per_kwh", every),
        "feed_in": packed("feed_in_micro_per_kwh", every),
        "prices": [
            {
                "label": label(name),
                "settles": name in settling,
                "price": packed("price_micro_per_kwh", who == name),
            }
            for name in sorted(priced, key=lambda name: name not in settling)
        ],
    }


def label(name: Any) -> str:
    """A mechanism's name in words: call_auction is 'Call auction'."""
    base, found, rest = str(name).partition(" (shadow)")
    text = NAMES.get(base) or base.replace("_", " ")
    return text[:1].upper() + text[1:] + found + rest


def _base(name: str) -> str:
    return name.partition(" (shadow)")[0]


def _row(record: Context, saved_micro: Any) -> Context:
    volume, welfare, gap = record.get("volume_wh"), record.get("welfare_micro"), record.get("gap_ppm")
    plain = _plain_money
    return {
        "label": label(record.get("mechanism")),
        "settles": bool(record.get("settles")),
        "reference": record["reference"],
        "cells": [
            _cell(record.get("price_micro_per_kwh"), lambda v: words.number(v / 1e6, 4)),
            _cell(volume, words.energy),
            _cell(welfare, plain),
            _cell(None if gap is None else gap / 1e4, lambda v: words.quantity(v, "%")),
            _cell(record.get("gains_micro"), plain),
            _cell(record.get("pool_micro"), plain),
            _cell(record.get("gained_count"), words.number),
            _cell(record.get("lost_count"), words.number),
            _cell(record.get("jain"), lambda v: words.number(v, 2)),
            _cell(record.get("gini"), lambda v: words.number(v, 2)),
            _cell(saved_micro, plain),
        ],
        "lost": bool(record.get("lost_count")),
    }


def _plain_money(micro: Any) -> str:
    """Without the currency, which stands in the heading of the column."""
    return words.money(micro, "").removesuffix(words.NBSP)


def _cell(value: Any, shown: Any) -> Context:
    known = words.is_number(value)
    return {"value": value if known else -1e18, "text": shown(value) if known else NOT_SAID}


def _bills(run: RunResult) -> dict[str, dict[str, dict[str, int | None]]]:
    """Mechanism to column to participant to micro."""
    bills: dict[str, dict[str, dict[str, int | None]]] = {}
    for row in run.table("bills").to_pylist():
        own = bills.setdefault(str(row["mechanism"]), {})
        for name in ("supplier_only_micro", "paid_micro", "gain_micro"):
            own.setdefault(name, {})[str(row["participant"])] = row[name]
    return bills


def _dots(gains: dict[str, dict[str, int | None]], currency: str) -> list[Context]:
    """One strip per mechanism, on one scale: a dot per participant at what it gained, in percent of the width."""
    known = {
        name: {who: gain for who, gain in own.items() if gain is not None} for name, own in gains.items()
    }
    values = [gain for own in known.values() for gain in own.values()]
    if not values:
        return []
    low, high = min(0, *values), max(0, *values)
    span = (high - low) or 1

    def at(micro: float) -> float:
        return round(100 * (micro - low) / span, 2)

    strips = []
    for name, own in known.items():
        losers = sorted((gain, who) for who, gain in own.items() if gain < 0)
        middle = median(own.values()) if own else 0
        strips.append(
            {
                "label": label(name),
                "zero": at(0),
                "median_at": at(middle),
                "median": words.money(middle, currency),
                "dots": [
                    {
                        "at": at(gain),
                        "row": i % 5,
                        "lost": gain < 0,
                        "text": f"{who}: {words.money(gain, currency)}",
                    }
                    for i, (who, gain) in enumerate(own.items())
                ],
                "lost": len(losers),
                "losers": [f"{who} {words.money(gain, currency)}" for gain, who in losers[:SHOWN_LOSERS]],
                "more": max(0, len(losers) - SHOWN_LOSERS),
            }
        )
    return strips


def _people(bills: dict[str, dict[str, dict[str, int | None]]], names: list[str]) -> list[Context]:
    """What every participant paid or would have paid; what is more than with the supplier only is marked."""
    if not names:
        return []
    rows = []
    for who, alone in bills[names[0]]["supplier_only_micro"].items():
        paid = [bills[name]["paid_micro"].get(who) for name in names]
        rows.append(
            {
                "name": who,
                "alone": _cell(alone, _plain_money),
                "cells": [
                    {
                        **_cell(p, _plain_money),
                        "lost": p is not None and alone is not None and p > alone,
                    }
                    for p in paid
                ],
            }
        )
    return sorted(rows, key=lambda row: words.natural(row["name"]))
