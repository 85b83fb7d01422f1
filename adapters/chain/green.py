"""Certificates of origin from a finished run: claimed with the readings that its FINAL batches commit to.

On the embedded chain the run's own blocks are executed again and go on from there; what is done is kept beside them
in certificates.json. On a node the deployment's registry and certificates are used, with the assets registered there.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from adapters.chain.contract import Contract
from adapters.chain.deploy import SETUP, Deployment, create, wait_idle
from adapters.chain.device_keys import DeviceKey
from adapters.chain.embedded import blocks_of, extend, replay
from adapters.chain.errors import ChainError, ChainInputError, RevertedError
from adapters.chain.keys import embedded_keys, keys_from_environment
from adapters.chain.node import Node
from adapters.chain.outbox import Outbox, Post
from adapters.chain.provider import RpcNode
from adapters.chain.readings import MeterReading, proof, readings_root
from adapters.chain.rpc import reach
from adapters.chain.settlement import STATUS
from adapters.chain.tables import read_json, read_table

KEPT = "certificates.json"
PV = 1
AT_ONCE = 25


@dataclass(frozen=True)
class Evidence:
    """A reading, and what shows that a final batch commits to it: header, hash of positions, all its readings."""

    reading: MeterReading
    batch: tuple[Any, ...]
    positions_hash: bytes
    tree: list[MeterReading]

    def values(self) -> tuple[Any, ...]:
        """The contract's ``Evidence``."""
        return self.batch, self.positions_hash, *proof(self.tree, self.reading)


class GreenRun:
    """The certificates of one run folder."""

    def __init__(self, folder: Path, url: str, deployment: Path | None, development: bool) -> None:
        """Open them. Raises ChainInputError where the run kept no readings, or its chain cannot be reached."""
        self._folder = folder
        self._history = read_json(folder, "chain.json")
        self._interval_s = int(read_json(folder, "manifest.json")["interval_s"])
        rows = read_table(folder, "readings")
        if not rows:
            raise ChainInputError(
                f"{folder.name} kept no readings: a run with the section settlement.oracles does, and its batches "
                "commit to them"
            )
        self._by_batch: dict[int, list[MeterReading]] = defaultdict(list)
        for row in rows:
            self._by_batch[row.pop("batch_end_s")].append(MeterReading(**row))
        self._evm: Any = None
        if self._history.get("kind") == "embedded":
            self._keys = embedded_keys()
            self._open_embedded()
        elif self._history.get("kind") == "rpc":
            if not url or deployment is None:
                raise ChainInputError("this run settled on a node: give --url and --deployment")
            self._keys = embedded_keys() if development else keys_from_environment()
            self._open_node(url, deployment)
        else:
            raise ChainInputError("this run settled on no chain (settlement.chain: none)")
        self.evidence = self._prove()

    def close(self, keep: bool = False) -> None:
        """Release the chain; with ``keep``, what was done on the embedded one stays in the folder."""
        if self._evm is not None and keep:
            kept = {
                "contracts": {"registry": self.registry.address, "certificates": self.green.address},
                "blocks": blocks_of(self._evm, self._height),
                "head": "0x" + self._evm.head.hash.hex(),
            }
            (self._folder / KEPT).write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        self._outbox.close()
        self._node.close()

    def claim(self, only: str = "") -> int:
        """Claim every reading of a registered PV plant that was not claimed yet. Returns how many."""
        kinds = self._kinds()
        if only and kinds.get(only) != PV:
            raise ChainInputError(
                f"{only!r} is no PV plant in the registry; there are: {', '.join(self._plants())}"
            )
        todo = [
            item
            for item in self.evidence
            if item.reading.exported_wh
            and kinds.get(item.reading.asset) == PV
            and only in ("", item.reading.asset)
            and not self.green.read("used", self._token(item.reading))
        ]
        for start in range(0, len(todo), AT_ONCE):
            posts = [
                self._post("claim", item.reading.values(), item.values())
                for item in todo[start : start + AT_ONCE]
            ]
            self._send(posts)
        return len(todo)

    def transfer(self, asset: str, energy_wh: int, to: str) -> None:
        """Give certificates of an asset to somebody, oldest first."""
        me = self._keys.operator.address
        picked = self._pick(asset, energy_wh)
        self._send([self._post("safeTransferFrom", me, to, token, wh, b"") for token, wh in picked])

    def retire(self, asset: str, energy_wh: int, purpose: str, beneficiary: str) -> None:
        """Use certificates of an asset up for a purpose, oldest first."""
        picked = self._pick(asset, energy_wh)
        self._send([self._post("retire", token, wh, purpose, beneficiary) for token, wh in picked])

    def summary(self) -> list[dict[str, Any]]:
        """Per asset: Wh metered in final batches, certified, still held by the operator, and retired."""
        kinds = self._kinds()
        metered: dict[str, int] = defaultdict(int)
        for item in self.evidence:
            metered[item.reading.asset] += item.reading.exported_wh
        certified: dict[str, int] = defaultdict(int)
        retired: dict[str, int] = defaultdict(int)
        asset_of = {}
        for event in self.green.history("Claimed"):
            name = self._names[event["asset"]]
            asset_of[event["id"]] = name
            certified[name] += event["energyWh"]
        for event in self.green.history("Retired"):
            retired[asset_of[event["id"]]] += event["energyWh"]
        return [
            {
                "asset": name,
                "metered_wh": wh,
                "certified_wh": certified[name],
                "held_wh": sum(held for _, held in self._held(name)),
                "retired_wh": retired[name],
                "note": ""
                if kinds.get(name) == PV
                else "not claimed: no PV plant, or a battery at the same meter",
            }
            for name, wh in metered.items()
            if wh
        ]

    def _open_embedded(self) -> None:
        evm = replay(self._history)
        self._evm, self._height = evm, evm.head.number
        evm.auto_mine = True
        kept = read_json(self._folder, KEPT) if (self._folder / KEPT).exists() else None
        if kept is not None:
            evm.auto_mine = False
            extend(evm, kept)
            evm.auto_mine = True
        self._connect(Node(RpcNode(evm)))
        contracts = {} if kept is None else kept["contracts"]
        if not contracts:
            operator, settlement = self._keys.operator.address, self._settlement.address
            registry = create(self._outbox, "AssetRegistry", ["address"], [operator])
            types = ["address", "address", "uint64"]
            values: list[object] = [settlement, registry, self._interval_s]
            contracts = {
                "registry": registry,
                "certificates": create(self._outbox, "GreenCertificates", types, values),
            }
        self._bind(contracts["registry"], contracts["certificates"])
        if kept is None:
            self._register()

    def _open_node(self, url: str, deployment: Path) -> None:
        node = reach(url)
        found = Deployment.load(deployment, node.chain_id())
        if found.settlement.lower() != self._history["contracts"]["settlement"].lower():
            node.close()
            raise ChainInputError(f"{deployment.name} is not the deployment that the run settled on")
        self._connect(node)
        self._bind(found.registry, found.certificates)

    def _connect(self, node: Node) -> None:
        self._node = node
        self._settlement = Contract(node, "EnergySettlement", self._history["contracts"]["settlement"])
        self._settlement.check_code()
        self._outbox = Outbox(":memory:", node, self._keys.operator)

    def _bind(self, registry: str, certificates: str) -> None:
        self.registry = Contract(self._node, "AssetRegistry", registry)
        self.green = Contract(self._node, "GreenCertificates", certificates)
        for contract in (self.registry, self.green):
            contract.check_code()
        readings = [reading for batch in self._by_batch.values() for reading in batch]
        self._names = {reading.asset_id(): reading.asset for reading in readings}

    def _register(self) -> None:
        """Register who fed in and has no battery behind the meter: what is fed in then is from its PV plant."""
        batteries = {
            row["participant"]
            for row in read_table(self._folder, "participants")
            if row["soc"] is not None and row["soc"] == row["soc"]
        }
        peak_wh: dict[str, int] = defaultdict(int)
        for batch in self._by_batch.values():
            for reading in batch:
                peak_wh[reading.asset] = max(peak_wh[reading.asset], reading.exported_wh)
        posts = []
        for name, wh in peak_wh.items():
            if wh and name not in batteries:
                key = DeviceKey(self._history["market_id"], name).address
                peak_w, meter = wh * 3600 // self._interval_s, bytes(keccak(name.encode()))
                asset = (self._keys.operator.address, PV, False, 0, key, peak_w, meter, bytes(32))
                data = self.registry.data("register", name, asset)
                posts.append(Post(SETUP, "register", self.registry.address, data, 600_000))
        self._send(posts)

    def _prove(self) -> list[Evidence]:
        """Every reading of a final batch. Raises ChainInputError where a tree is another one."""
        found = []
        for event in self._settlement.history("BatchProposed"):
            readings = self._by_batch.get(event["batch"][2], [])
            if not readings or STATUS[self._settlement.read("statusOf", event["id"])] != "final":
                continue
            if readings_root(readings) != event["batch"][6]:
                raise ChainInputError(
                    f"readings.parquet was changed: the batch that ends at {event['batch'][2]} s commits to others"
                )
            data = self._node.sent_data(event["transaction"])
            positions = self._settlement.arguments("propose", data)[1]
            hashed = bytes(keccak(positions))
            found += [Evidence(reading, event["batch"], hashed, readings) for reading in readings]
        return found

    def _kinds(self) -> dict[str, int]:
        """Kind of every registered asset among the run's."""
        kinds = {}
        for asset_id, name in self._names.items():
            try:
                kinds[name] = int(self.registry.read("assetOf", asset_id)[1])
            except RevertedError:
                continue
        return kinds

    def _plants(self) -> list[str]:
        return [name for name, kind in self._kinds().items() if kind == PV]

    def _token(self, reading: MeterReading) -> int:
        return int(self.green.read("tokenId", reading.asset_id(), reading.start_s, reading.end_s))

    def _held(self, asset: str) -> list[tuple[int, int]]:
        """Tokens of an asset that the operator holds, oldest first, with their Wh."""
        me = self._keys.operator.address
        claimed = [e["id"] for e in self.green.history("Claimed") if self._names.get(e["asset"]) == asset]
        if not claimed:
            return []
        amounts = self.green.read("balanceOfBatch", [me] * len(claimed), claimed)
        return [(token, int(wh)) for token, wh in zip(claimed, amounts, strict=True) if wh]

    def _pick(self, asset: str, energy_wh: int) -> list[tuple[int, int]]:
        held, picked = self._held(asset), []
        have = sum(wh for _, wh in held)
        if not 0 < energy_wh <= have:
            raise ChainInputError(
                f"{energy_wh} Wh of {asset}: {have} Wh are held; claim them first (--claim)"
            )
        for token, wh in held:
            picked.append((token, min(wh, energy_wh)))
            energy_wh -= picked[-1][1]
            if not energy_wh:
                break
        return picked

    def _post(self, name: str, *args: Any) -> Post:
        return Post(SETUP, name, self.green.address, self.green.data(name, *args), 400_000)

    def _send(self, posts: list[Post]) -> None:
        """Send transactions; each is tried before, so that a refusal has a name."""
        for post in posts[:1]:
            contract = self.registry if post.to == self.registry.address else self.green
            try:
                self._node.call(contract.address, post.data, self._keys.operator.address)
            except RevertedError as error:
                raise ChainInputError(f"{post.kind} is refused: {contract.reason(error)}") from error
        self._outbox.post(*posts)
        wait_idle(self._outbox, poll_s=0.0 if self._evm is not None else 0.05)
        failed = [
            row
            for kind in {p.kind for p in posts}
            for row in self._outbox.rows(SETUP, kind)
            if row["status"] == "failed"
        ]
        if failed:
            raise ChainError(
                f"{len(failed)} transactions failed; the first: {failed[0]['kind']} {failed[0]['hash']}"
            )
