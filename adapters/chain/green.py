"""Certificates of origin from a finished run: claimed with the readings that its FINAL batches commit to.

On the embedded chain the run's own blocks are executed again and go on from there; what is done is kept beside them
in certificates.json. On a node the deployment's registry and certificates are used, with the assets registered there.
What goes through a battery is planned in ``storage``.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from adapters.chain.contract import Contract
from adapters.chain.deploy import AT_ONCE, SETUP, Deployment, create, wait_idle
from adapters.chain.embedded import blocks_of, extend, replay
from adapters.chain.errors import ChainError, ChainInputError, RevertedError
from adapters.chain.holdings import STATUS
from adapters.chain.keys import embedded_keys, keys_from_environment
from adapters.chain.node import Node
from adapters.chain.outbox import Outbox, Post
from adapters.chain.provider import RpcNode
from adapters.chain.readings import Evidence, Line, MeterReading, Tree, words_of
from adapters.chain.rpc import reach
from adapters.chain.storage import Flow, battery_of, plan, plant_of, point_of
from adapters.chain.tables import read_json, read_table
from adapters.chain.typed import account_id

KEPT = "certificates.json"
PV, BATTERY = 1, 2
PER_STORE = 100
"""Certificates that one transaction moves into a battery; a week's 672 would pass what one may spend."""


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
        self._words = words_of(read_table(folder, "signatures"))
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
                "contracts": {"certificates": self.green.address},
                "blocks": blocks_of(self._evm, self._height),
                "head": "0x" + self._evm.head.hash.hex(),
            }
            (self._folder / KEPT).write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        self._outbox.close()
        self._node.close()

    def claim(self, only: str = "") -> int:
        """Claim every reading of a registered PV plant or battery that was not claimed yet. Returns how many.

        What was stored of a plant's energy follows it into the battery beside it, and out of it.
        """
        kinds = self._kinds()
        if only and kinds.get(only) not in (PV, BATTERY):
            raise ChainInputError(
                f"{only!r} is no PV plant or battery in the registry; there are: {', '.join(self._claimable(kinds))}"
            )
        todo = [
            item
            for item in self.evidence
            if item.reading.exported_wh
            and kinds.get(item.reading.asset) == PV
            and only in ("", item.reading.asset, battery_of(item.reading.asset))
            and not self.green.read("used", self._token(item.reading))
        ]
        self._send([self._post("claim", item.reading.values(), item.values()) for item in todo])
        plants = {
            asset for asset, kind in kinds.items() if kind == BATTERY and only in ("", asset, plant_of(asset))
        }
        return len(todo) + sum(self._follow(battery) for battery in sorted(plants))

    def _follow(self, battery: str) -> int:
        """Let certificates follow the energy through a battery; how many of its readings were used."""
        efficiency_ppm = int(self.registry.read("assetOf", account_id(battery))[3])
        of = {name: {} for name in (battery, plant_of(battery), point_of(battery))}  # type: dict[str, Any]
        for item in self.evidence:
            if item.reading.asset in of:
                of[item.reading.asset][item.reading.start_s] = item
        mine, plants, points = of.values()
        flows = [
            Flow(
                item.reading.imported_wh,
                item.reading.exported_wh,
                points[at].reading.imported_wh if at in points else item.reading.imported_wh,
                plants[at].reading.exported_wh if at in plants else 0,
            )
            for at, item in sorted(mine.items())
        ]
        done = {event["id"] for event in self.green.history("Stored", account_id(battery))}
        posts, ids, amounts, releases = [], [], [], []
        for (at, item), step in zip(sorted(mine.items()), plan(flows, efficiency_ppm), strict=True):
            reading = item.reading
            token = self._token(plants[at].reading) if at in plants else 0
            if step.store_wh and token not in done:
                ids.append(token)
                amounts.append(min(step.store_wh, int(self.green.read("balanceOf", self._me(), token))))
            if step.store_wh and not self.green.read("used", self._token(reading, "charged")):
                posts.append(self._post("charge", reading.values(), item.values()))
            if step.release_wh and not self.green.read("used", self._token(reading)):
                releases.append((reading.values(), item.values(), step.release_wh))
        self._send(posts)
        parts = [(ids[i : i + PER_STORE], amounts[i : i + PER_STORE]) for i in range(0, len(ids), PER_STORE)]
        self._send([self._post("store", account_id(battery), *part) for part in parts if any(part[1])])
        for values, evidence, wanted_wh in releases:
            stored_wh = int(self.green.read("storedWh", account_id(battery)))
            wh = min(wanted_wh, stored_wh * efficiency_ppm // 1_000_000)
            self._send([self._post("release", values, evidence, wh)] if wh else [])
        return len(posts) + len(releases)

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
        stored: dict[str, int] = defaultdict(int)
        asset_of = {}
        for event in self._minted():
            name = self._names[event["asset"]]
            asset_of[event["id"]] = name
            certified[name] += event["energyWh"]
        for event in self.green.history("Retired"):
            retired[asset_of[event["id"]]] += event["energyWh"]
        for event in self.green.history("Stored"):
            stored[asset_of[event["id"]]] += event["energyWh"]
        return [
            {
                "asset": name,
                "metered_wh": wh,
                "certified_wh": certified[name],
                "held_wh": sum(held for _, held in self._held(name)),
                "retired_wh": retired[name],
                "note": self._note(name, kinds, stored[name]),
            }
            for name, wh in metered.items()
            if wh
        ]

    def _note(self, name: str, kinds: dict[str, int], stored_wh: int) -> str:
        if stored_wh:
            return f"{stored_wh} Wh followed the energy into the battery"
        if kinds.get(name) in (PV, BATTERY):
            return ""
        behind = [asset for asset in (f"{name}.pv", f"{name}.battery") if asset in kinds]
        return f"certified behind this meter: {', '.join(behind)}" if behind else "not claimed: no PV plant"

    def _minted(self) -> list[dict[str, Any]]:
        """Claims and releases, oldest first."""
        return self.green.history("Claimed") + self.green.history("Released")

    def _me(self) -> str:
        return self._keys.operator.address

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
        registry = self._history["contracts"].get("registry")
        if not registry:
            raise ChainInputError("the run's chain holds no registry of its meters: run the scenario again")
        if kept is not None:
            certificates = kept["contracts"]["certificates"]
        else:
            types = ["address", "address", "uint64"]
            values: list[object] = [self._settlement.address, registry, self._interval_s]
            certificates = create(self._outbox, "GreenCertificates", types, values)
        self._bind(registry, certificates)

    def _open_node(self, url: str, deployment: Path) -> None:
        node = reach(url)
        found = Deployment.load(deployment, node.chain_id()).on(node)
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

    def _prove(self) -> list[Evidence]:
        """Every reading of a final batch. Raises ChainInputError where a tree is another one."""
        found = []
        for event in self._settlement.history("BatchProposed"):
            readings = self._by_batch.get(event["batch"][2], [])
            if not readings or STATUS[self._settlement.read("statusOf", event["id"])] != "final":
                continue
            leaves: list[Line] = [*readings, *self._words[event["batch"][2]]]
            tree = Tree([leaf.line() for leaf in leaves])
            if tree.root != event["batch"][6]:
                raise ChainInputError(
                    f"readings.parquet was changed: the batch that ends at {event['batch'][2]} s commits to others"
                )
            data = self._node.sent_data(event["transaction"])
            positions = self._settlement.arguments("propose", data)[1]
            hashed = bytes(keccak(positions))
            found += [Evidence(reading, event["batch"], hashed, tree) for reading in readings]
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

    @staticmethod
    def _claimable(kinds: dict[str, int]) -> list[str]:
        return [name for name, kind in kinds.items() if kind in (PV, BATTERY)]

    @staticmethod
    def _token(reading: MeterReading, how: str = "generated") -> int:
        """Token of a reading; ``how`` 'charged' marks a reading as used for charging."""
        values = [how, reading.asset_id(), reading.start_s, reading.end_s]
        return int.from_bytes(keccak(encode(["string", "bytes32", "uint64", "uint64"], values)), "big")

    def _held(self, asset: str) -> list[tuple[int, int]]:
        """Tokens of an asset that the operator holds, oldest first, with their Wh."""
        me = self._me()
        claimed = [e["id"] for e in self._minted() if self._names.get(e["asset"]) == asset]
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
        data = self.green.data(name, *args)
        return Post(SETUP, name, self.green.address, data, 400_000 + 1_000 * len(data))

    def _send(self, posts: list[Post]) -> None:
        """Send transactions, some at a time; the first is tried before, so that a refusal has a name."""
        for post in posts[:1]:
            try:
                self._node.call(self.green.address, post.data, self._me())
            except RevertedError as error:
                raise ChainInputError(f"{post.kind} is refused: {self.green.reason(error)}") from error
        for start in range(0, len(posts), AT_ONCE):
            self._outbox.post(*posts[start : start + AT_ONCE])
            wait_idle(self._outbox, poll_s=0.0 if self._evm is not None else 0.05)
        for kind in {post.kind for post in posts}:
            failed = [row for row in self._outbox.rows(SETUP, kind) if row["status"] == "failed"]
            if failed:
                raise ChainError(f"{len(failed)} transactions failed; the first: {kind} {failed[0]['hash']}")
