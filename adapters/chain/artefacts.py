"""The compiled contracts shipped with the package, and the comparison with what is deployed."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adapters.chain.errors import ArtefactError

ARTEFACTS = Path(__file__).parent / "artefacts"
SOURCES = Path(__file__).parent / "contracts"


@dataclass(frozen=True)
class Artefact:
    """One compiled contract. ``immutables`` are (start, length) byte ranges that construction fills in."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    deployed_bytecode: bytes
    immutables: tuple[tuple[int, int], ...]
    storage_layout: tuple[dict[str, Any], ...]
    compiler: str
    evm_version: str
    source_sha256: str


@cache
def load_artefact(name: str, folder: Path = ARTEFACTS) -> Artefact:
    """Read a shipped artefact by contract name. Raises ArtefactError where it is missing or damaged."""
    path = folder / f"{name}.json"
    try:
        raw = json.loads(path.read_text("utf-8"))
        return Artefact(
            name=raw["contractName"],
            abi=raw["abi"],
            bytecode=bytes.fromhex(raw["bytecode"][2:]),
            deployed_bytecode=bytes.fromhex(raw["deployedBytecode"][2:]),
            immutables=tuple((r["start"], r["length"]) for r in raw["immutableReferences"]),
            storage_layout=tuple(raw["storageLayout"]),
            compiler=raw["compiler"],
            evm_version=raw["evmVersion"],
            source_sha256=raw["sourceSha256"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(
            f"artefact of contract {name} cannot be read ({path.name}: {error!r}); run 'make contracts'"
        ) from error


def source_matches(artefact: Artefact, folder: Path = SOURCES) -> bool:
    """Whether the artefact was compiled from the shipped source (its imports are pinned by the build)."""
    source = (folder / f"{artefact.name}.sol").read_bytes()
    return hashlib.sha256(source).hexdigest() == artefact.source_sha256


def mask_immutables(code: bytes, artefact: Artefact) -> bytes:
    """Zero the immutable words of runtime code, so that it compares with the artefact."""
    masked = bytearray(code)
    for start, length in artefact.immutables:
        masked[start : start + length] = bytes(length)
    return bytes(masked)


def check_deployed(code: bytes, artefact: Artefact, address: str) -> None:
    """Raise ArtefactError unless the code at an address is the artefact's, immutables aside."""
    if not code:
        raise ArtefactError(f"no contract at {address}: check the address and the chain, or deploy first")
    if len(code) != len(artefact.deployed_bytecode) or mask_immutables(code, artefact) != mask_immutables(
        artefact.deployed_bytecode, artefact
    ):
        raise ArtefactError(
            f"the code at {address} is not {artefact.name} as shipped (compiler {artefact.compiler}, "
            f"{len(code)} bytes found, {len(artefact.deployed_bytecode)} expected): "
            "use the address of a deployment made by this version"
        )
