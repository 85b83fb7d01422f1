"""What an operator does by hand: deploy, keep the registry, look at histories and certificates."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak
from eth_utils.address import is_address, to_checksum_address

from adapters.chain.artefacts import check_deployed, load_artefact
from adapters.chain.contract import Contract
from adapters.chain.deploy import KINDS, SETUP, Deployment, Terms, deploy_community, wait_idle
from adapters.chain.errors import ArtefactError, ChainInputError, RevertedError
from adapters.chain.keys import embedded_keys, keys_from_environment
from adapters.chain.options import RpcOptions
from adapters.chain.outbox import Outbox, Post
from adapters.chain.rpc import check_node, reach
from adapters.chain.typed import account_id

FIELDS = (
    "owner",
    "kind",
    "retired",
    "efficiency_ppm",
    "device_key",
    "capacity",
    "meter_point",
    "metadata_hash",
)
OURS = ("EnergySettlement", "AssetRegistry", "GreenCertificates", "TestCurrency")
CHANGES = ("AssetRegistered", "AssetConfigured", "AssetOffered", "AssetTransferred", "AssetRetired")


def deploy(
    url: str, development: bool, terms: tuple[str, int, int], currency: str, interval_s: int
) -> Deployment:
    """Deploy all contracts. Raises ChainInputError for anything that can be known before."""
    keys = embedded_keys() if development else keys_from_environment()
    if currency:
        check_address(currency, "currency")
    node = reach(url)
    try:
        check_node(node, keys, RpcOptions(url, ":memory:", development=development))
        outbox = Outbox(":memory:", node, keys.operator)
        return deploy_community(node, keys, outbox, Terms(*terms), currency, interval_s, poll_s=0.05)
    finally:
        node.close()


def identify(url: str, address: str) -> tuple[str, str, str]:
    """Which of our contracts is at an address: name, compiler, SHA-256 of its source."""
    node = reach(url)
    try:
        code = node.code(check_address(address, "address"))
        for name in OURS:
            artefact = load_artefact(name)
            if len(code) == len(artefact.deployed_bytecode):
                check_deployed(code, artefact, address)
                return name, artefact.compiler, artefact.source_sha256
        raise ArtefactError(f"the code at {address} ({len(code)} bytes) is none of our contracts as shipped")
    finally:
        node.close()


class Desk:
    """One deployment on one node, with the operator's key."""

    def __init__(self, url: str, deployment: Path, development: bool) -> None:
        self.keys = embedded_keys() if development else None
        self.node = reach(url)
        found = Deployment.load(deployment, self.node.chain_id()).on(self.node)
        if not found.registry:
            raise ChainInputError(f"{deployment.name} names no registry: deploy with 'twin chain deploy'")
        self.registry = Contract(self.node, "AssetRegistry", found.registry)
        self.green = Contract(self.node, "GreenCertificates", found.certificates)
        self.registry.check_code()
        self.green.check_code()

    def assets(self) -> Iterator[dict[str, Any]]:
        """All assets as they are now, in the order of registration."""
        for event in self.registry.history("AssetRegistered"):
            yield self.asset(event["name"])

    def asset(self, name: str) -> dict[str, Any]:
        """One asset as it is now."""
        try:
            values = self.registry.read("assetOf", account_id(name))
        except RevertedError as error:
            raise ChainInputError(f"no asset {name!r} in the registry") from error
        state = dict(zip(FIELDS, values, strict=True))
        texts = {k: "0x" + v.hex() if isinstance(v, bytes) else v for k, v in state.items()}
        return {"name": name} | texts | {"kind": KINDS[state["kind"]]}

    def add(
        self,
        name: str,
        owner: str,
        kind: str,
        meter_point: str,
        device_key: str,
        capacity: int,
        efficiency_percent: float,
        metadata: bytes,
    ) -> None:
        """Register an asset. Raises ChainInputError where the registry refuses."""
        asset = (
            check_address(owner, "owner"),
            KINDS.index(kind),
            False,
            _ppm(efficiency_percent),
            check_address(device_key, "device key"),
            _capacity(capacity),
            bytes(keccak(meter_point.encode())),
            bytes(keccak(metadata)) if metadata else bytes(32),
        )
        self._send("register", name, asset)

    def configure(
        self,
        name: str,
        device_key: str | None,
        capacity: int | None,
        efficiency_percent: float | None,
        metadata: bytes | None,
        reason: str,
    ) -> None:
        """Change what is given; the rest stays."""
        now = self.asset(name)
        self._send(
            "configure",
            account_id(name),
            check_address(device_key or now["device_key"], "device key"),
            _capacity(now["capacity"] if capacity is None else capacity),
            now["efficiency_ppm"] if efficiency_percent is None else _ppm(efficiency_percent),
            bytes.fromhex(now["metadata_hash"][2:]) if metadata is None else bytes(keccak(metadata)),
            reason,
        )

    def retire(self, name: str, reason: str) -> None:
        """Retire an asset."""
        self._send("retire", account_id(name), reason)

    def audit(self, name: str) -> list[dict[str, Any]]:
        """Every change of an asset, oldest first, from events alone."""
        self.asset(name)
        found = []
        for kind in CHANGES:
            for event in self.registry.history(kind, account_id(name)):
                block = self.node.block(event["block_number"])
                more = {"event": kind, "text": _told(event), "time_s": int(block["timestamp"], 16)}
                found.append(event | more)
        return sorted(found, key=lambda event: (event["block_number"], CHANGES.index(event["event"])))

    def certificates(self) -> list[dict[str, Any]]:
        """Energy certified and retired per asset."""
        names = {account_id(e["name"]): e["name"] for e in self.registry.history("AssetRegistered")}
        asset_of: dict[int, str] = {}
        totals: dict[str, dict[str, Any]] = {}
        for kind in ("Claimed", "Released"):
            for event in self.green.history(kind):
                name = names.get(event["asset"], "0x" + event["asset"].hex())
                asset_of[event["id"]] = name
                row = totals.setdefault(name, {"asset": name, "certified_wh": 0, "retired_wh": 0})
                row["certified_wh"] += event["energyWh"]
        for event in self.green.history("Retired"):
            totals[asset_of[event["id"]]]["retired_wh"] += event["energyWh"]
        return sorted(totals.values(), key=lambda row: str(row["asset"]))

    def _send(self, name: str, *args: Any) -> None:
        keys = self.keys or keys_from_environment()
        data = self.registry.data(name, *args)
        try:
            self.node.call(self.registry.address, data, keys.operator.address)
        except RevertedError as error:
            raise ChainInputError(_refusal(self.registry.reason(error))) from error
        outbox = Outbox(":memory:", self.node, keys.operator)
        outbox.post(Post(SETUP, name, self.registry.address, data, 600_000))
        wait_idle(outbox, poll_s=0.05)
        outbox.close()


REFUSALS = {
    "AssetExists": "an asset of this name was registered before, and a name is never used twice",
    "MeterPointTaken": "this meter point has an asset already: retire that one first",
    "DeviceKeyTaken": "this device key belongs to another asset",
    "AlreadyRetired": "the asset is retired, and stays so",
    "NotAllowed": "the key that signs is neither the asset's owner nor a registrar",
    "AccessControlUnauthorizedAccount": "the key that signs is no registrar of this deployment",
}


def _refusal(reason: str) -> str:
    words = REFUSALS.get(reason.partition("(")[0])
    return f"the registry refuses: {words} ({reason})" if words else f"the registry refuses: {reason}"


def _told(event: dict[str, Any]) -> str:
    parts = []
    if "asset" in event:
        asset = dict(zip(FIELDS, event["asset"], strict=True))
        parts.append(f"owner {asset['owner']}, key {asset['device_key']}, capacity {asset['capacity']}")
    parts += [f"{key} {event[key]}" for key in ("from", "to", "reason") if event.get(key)]
    return "; ".join(parts)


def check_address(text: str, what: str) -> str:
    """The address in its checksum form. Raises ChainInputError."""
    if not is_address(text):
        raise ChainInputError(
            f"{what} {text!r} is no address (0x and 40 hex digits, a wrong letter case is an error)"
        )
    return str(to_checksum_address(text))


def _ppm(percent: float) -> int:
    if not 0 <= percent <= 100:
        raise ChainInputError(f"efficiency {percent} %: give 0 to 100")
    return round(percent * 10_000)


def _capacity(value: int) -> int:
    if not 0 < value < 2**63:
        raise ChainInputError(f"capacity {value}: give a positive number of W (battery: Wh)")
    return value
