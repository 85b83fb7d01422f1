"""What a comparison of mechanisms gave: bills under each, who lost, indices; tables and KPIs."""

from typing import Any

import numpy as np

from adapters.grid.feeder import IntArray
from market.indices import gini, jain
from twin.comparison import Comparison, Tally
from twin.totals import Totals


def bill_columns(
    comparison: Comparison | None, settling: str, totals: Totals, names: tuple[str, ...]
) -> dict[str, Any]:
    """Columns of bills.parquet: every participant under the settling mechanism and each shadow.

    The settling mechanism's bills are what was paid; a shadow's are the supplier-only bill less the gains of its own
    clearing, so they leave out what the gate would have cut. ``gain_micro`` is the gain of the clearing for all.
    """
    paid = np.asarray(totals.bills_micro, dtype=np.int64)
    supplier_only = paid + np.asarray(totals.saved_micro, dtype=np.int64)
    tallies = comparison.tallies if comparison else {}
    own = tallies[settling].gains_micro if settling in tallies else None
    rows: list[tuple[str, bool, IntArray, IntArray | None]] = [(settling, True, paid, own)]
    for name, tally in tallies.items():
        if name != settling:
            rows.append((name, False, supplier_only - tally.gains_micro, tally.gains_micro))
    return {
        "participant": list(names) * len(rows),
        "mechanism": np.repeat([name for name, *_ in rows], len(names)),
        "settles": np.repeat([settles for _, settles, *_ in rows], len(names)),
        "supplier_only_micro": np.tile(supplier_only, len(rows)),
        "paid_micro": np.concatenate([amount for _, _, amount, _ in rows]),
        "saved_micro": np.concatenate([supplier_only - amount for _, _, amount, _ in rows]),
        "gain_micro": [
            gain for *_, gains in rows for gain in ([None] * len(names) if gains is None else gains.tolist())
        ],
    }


def comparison_record(comparison: Comparison | None) -> list[dict[str, Any]]:
    """One record per mechanism for verdict.json and the report, the two reference points included.

    "no trade" has no volume and no welfare; the welfare optimum is the best matching of the same orders. Gains are
    against the supplier. Jain and Gini are over what the gainers gained.
    """
    if comparison is None or not comparison.tallies:
        return []
    first = next(iter(comparison.tallies.values()))
    records = [
        _record(name, tally, name == comparison.settling) for name, tally in comparison.tallies.items()
    ]
    reference = {
        "settles": False,
        "volume_wh": None,
        "price_micro_per_kwh": None,
        "gap_ppm": 0,
        "reference": True,
    }
    records.append({"mechanism": "welfare optimum", "welfare_micro": first.optimum_micro, **reference})
    if "none" not in comparison.tallies:
        nothing = {"welfare_micro": 0, "volume_wh": 0, "gap_ppm": 1_000_000 if first.optimum_micro else 0}
        records.append({"mechanism": "no trade", **reference, **nothing})
    return records


def _record(name: str, tally: Tally, settles: bool) -> dict[str, Any]:
    gains = tally.gains_micro
    gained = [int(gain) for gain in gains if gain > 0]
    gap = (
        (tally.optimum_micro - tally.welfare_micro) * 1_000_000 // tally.optimum_micro
        if tally.optimum_micro
        else 0
    )
    return {
        "mechanism": name,
        "settles": settles,
        "reference": False,
        "price_micro_per_kwh": tally.value_milli_micro // tally.priced_wh if tally.priced_wh else None,
        "volume_wh": tally.volume_wh,
        "welfare_micro": tally.welfare_micro,
        "gap_ppm": gap,
        "gains_micro": int(gains.sum()),
        "gained_count": len(gained),
        "lost_count": int((gains < 0).sum()),
        "pool_micro": tally.residue_micro,
        "jain": jain(gained) if gained else None,
        "gini": gini(gained) if gained else None,
    }
