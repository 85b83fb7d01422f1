"""What a run's devices signed, proven from the chain: the batch commits to it, the registry holds the key."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.chain.contract import Contract
from adapters.chain.device_keys import device_address
from adapters.chain.node import Node
from adapters.chain.readings import Line, MeterReading, Tree, words_of
from adapters.chain.tables import read_table

WHAT = "devices signed with the keys that the registry holds"
SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One comparison: what was compared, whether it agrees, and the numbers."""

    what: str
    agrees: bool
    detail: str


class Keys:
    """The keys of every asset over time, from the registry's events alone."""

    def __init__(self, registry: Contract) -> None:
        changes: dict[bytes, list[tuple[int, str]]] = defaultdict(list)
        for kind in ("AssetRegistered", "AssetConfigured", "AssetRetired"):
            for event in registry.history(kind):
                key = str(event["asset"][4]).lower() if "asset" in event else ""
                changes[event["id"]].append((event["block_number"], key))
        self._changes = {asset: sorted(rows) for asset, rows in changes.items()}

    def at(self, asset: bytes, block_number: int) -> str:
        """The key's address as of a block, in lower case; empty where there is none."""
        rows = self._changes.get(asset, [])
        place = bisect_right(rows, block_number, key=lambda row: row[0])
        return rows[place - 1][1] if place else ""


def devices_finding(
    folder: Path, history: dict[str, Any], settled: list[dict[str, Any]], proposed: dict[str, Any], node: Node
) -> Finding:
    """Compare readings and signatures of every batch with its commitment, and every signature with the registry."""
    address = history["contracts"].get("registry")
    if not address:
        return Finding(WHAT, False, "the deployment has no registry: twin chain deploy makes one")
    registry = Contract(node, "AssetRegistry", address)
    registry.check_code()
    keys, words = Keys(registry), words_of(read_table(folder, "signatures"))
    readings: dict[int, list[MeterReading]] = defaultdict(list)
    for row in read_table(folder, "readings"):
        readings[row.pop("batch_end_s")].append(MeterReading(**row))
    odd = {row["participant"] for row in read_table(folder, "oracles")}
    wrong: list[str] = []
    count = 0
    for row in settled:
        event, end_s = proposed.get(row["digest"]), row["period_end_s"]
        if event is None:
            continue  # told elsewhere
        leaves: list[Line] = [*readings[end_s], *words[end_s]]
        tree = Tree([leaf.line() for leaf in leaves])
        if tree.root != event["batch"][6]:
            wrong.append(f"batch to {end_s} s: it commits to other readings or signatures than the folder's")
        count += len(words[end_s])
        for word in words[end_s]:
            wrong += _wrong_word(word, row, keys.at(word.asset_id(), event["block_number"]))
        unsigned = {item.asset for item in readings[end_s]} - {word.asset for word in words[end_s]} - odd
        wrong += [f"batch to {end_s} s: {name} signed nothing" for name in sorted(unsigned)]
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return Finding(WHAT, not wrong, "; ".join(wrong[:SHOWN]) + more or f"{count} signatures")


def _wrong_word(word: Any, row: dict[str, Any], key: str) -> list[str]:
    here = f"batch to {row['period_end_s']} s: {word.asset}"
    if word.start_s != row["period_start_s"]:
        return [f"{here} signed another period"]
    if not key:
        return [f"{here} is not in the registry"]
    if device_address(word.message(), word.signature) != key:
        return [f"{here}: the signature is of another key than the registry's"]
    return []
