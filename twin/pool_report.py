"""What a pool study gave: pools.parquet, and one record per pool for verdict.json."""

from dataclasses import asdict, fields
from typing import Any

from market.pool_study import POOLS, PoolRow, PoolStudy

_SUMS = (
    "dissipated_wh", "fed_in_wh", "bought_wh", "sold_wh", "provider_profit_micro", "arbitrage_profit_micro",
)  # fmt: skip


def pool_columns(study: PoolStudy | None) -> dict[str, list[Any]]:
    """Columns of pools.parquet; empty where no study was asked for."""
    if study is None or not study.rows:
        return {}
    rows = [asdict(row) for row in study.rows]
    return {field.name: [row[field.name] for row in rows] for field in fields(PoolRow)}


def pool_records(study: PoolStudy | None) -> list[dict[str, Any]]:
    """One record per pool: sums over the run, the worst drift, and the mean distance from the fair price."""
    records = []
    for pool in POOLS if study is not None else ():
        rows = [row for row in study.rows if row.pool == pool] if study is not None else []
        if rows:
            record: dict[str, Any] = {"pool": pool}
            record["drift_max_ppm"] = max(abs(row.drift_ppm) for row in rows)
            record["off_fair_mean_ppm"] = sum(row.off_fair_ppm for row in rows) // len(rows)
            record["unbacked_max_wh"] = max(row.unbacked_wh for row in rows)
            record |= {name: sum(getattr(row, name) for row in rows) for name in _SUMS}
            records.append(record)
    return records
