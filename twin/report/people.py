"""What the run meant for each participant: energy, local trade, cuts and the bill, variants compared."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from twin.report import words
from twin.results import RunResult

Sums = dict[str, dict[str, int]]


def people_of(run: RunResult) -> Sums:
    """Participant to sums of one variant: bill_micro, used_wh, fed_wh, bought_wh, sold_wh, cut_wh, wire."""
    sums: Sums = {}
    meters = run.table("participants", ["participant", "metered_wh", "bill_micro", "wire"])
    if meters.num_rows:
        wh = meters["metered_wh"]
        meters = meters.append_column("used_wh", pc.negate(pc.min_element_wise(wh, 0)))
        meters = meters.append_column("fed_wh", pc.max_element_wise(wh, 0))
        meters = meters.set_column(3, "wire", pc.cast(meters["wire"], pa.int64()))
        _add(sums, meters, "participant", ["bill_micro", "used_wh", "fed_wh", "wire"])
    trades = run.table("trades", ["participant", "side", "counterparty", "cleared_wh", "accepted_wh"])
    if trades.num_rows:
        cut = pc.subtract(trades["cleared_wh"], trades["accepted_wh"])
        _add(sums, trades.append_column("cut_wh", cut), "participant", ["cut_wh"])
        local = trades.filter(pc.not_equal(trades["counterparty"], "supplier"))
        for side, name in (("buy", "bought_wh"), ("sell", "sold_wh")):
            rows = local.filter(pc.equal(local["side"], side)).rename_columns({"accepted_wh": name})
            _add(sums, rows, "participant", [name])
    return sums


def people_context(judged: Sums, reference: Sums | None, currency: str) -> list[dict[str, Any]]:
    """Rows of the participants' table, with what each saves against the reference variant.

    Args:
        judged: sums of the judged variant.
        reference: of the variant whose bills the savings are counted from; None where there is none.
        currency: of the scenario.
    """
    base = reference or {}
    rows = []
    for name in sorted(judged, key=words.natural):
        own = judged[name]
        saving = (
            base[name]["bill_micro"] - own["bill_micro"] if name in base and "bill_micro" in own else None
        )
        rows.append(
            {
                "name": name,
                "cells": [_cell(own.get(key), words.energy) for key in _ENERGIES],
                "bill": _cell(own.get("bill_micro"), lambda m: words.money(m, currency)),
                "saving": _cell(saving, lambda m: words.money(m, currency)),
                "wire": bool(own.get("wire")),
            }
        )
    return rows


_ENERGIES = ("used_wh", "fed_wh", "bought_wh", "sold_wh", "cut_wh")


def _cell(value: int | None, shown: Any) -> dict[str, Any]:
    return {"value": 0 if value is None else value, "text": "–" if value is None else shown(value)}


def _add(sums: Sums, table: pa.Table, by: str, names: list[str]) -> None:
    grouped = table.group_by(by).aggregate([(name, "sum") for name in names])
    for row in grouped.to_pylist():
        own = sums.setdefault(row[by], {})
        own.update({name: row[f"{name}_sum"] or 0 for name in names})
