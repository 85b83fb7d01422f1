"""Rows of entries.parquet: what every batch is made of. A batch's rows go to the run folder when it is closed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from market.netting import IMBALANCE, NETWORK, OTHER, ROUNDING, SUPPLY, TRADE, Entries

KINDS = {
    TRADE: "trade",
    SUPPLY: "supply",
    NETWORK: "network",
    IMBALANCE: "imbalance",
    ROUNDING: "rounding",
    OTHER: "payment",
}


def entry_columns(accounts: Sequence[str], digest: bytes, entries: Entries) -> dict[str, Any]:
    """The columns of a batch's entries; ``accounts`` are the names that they refer to."""
    return {
        "batch": [digest.hex()] * len(entries),
        "account": np.array(accounts)[entries["account"]],
        "kind": [KINDS[kind] for kind in entries["kind"].tolist()],
        "interval": entries["interval"],
        "reference": entries["reference"],
        "energy_wh": entries["energy_wh"],
        "money_micro": entries["money_micro"],
    }
