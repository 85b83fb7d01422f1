"""Batches and receipts as lines of JSON between the simulation and the settlement process."""

import json
from dataclasses import asdict
from typing import Any

from adapters.chain import errors
from adapters.chain.errors import ChainError
from adapters.chain.port import BatchReceipt, SettlementBatch


def batch_to_json(batch: SettlementBatch) -> dict[str, Any]:
    """A batch with its bytes as hex."""
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in asdict(batch).items()}


def batch_from_json(raw: dict[str, Any]) -> SettlementBatch:
    """The inverse of ``batch_to_json``."""
    fields = dict(raw)
    for key in ("root", "digest", "readings_root"):
        fields[key] = bytes.fromhex(fields[key])
    fields["accounts"] = tuple(fields["accounts"])
    fields["deltas_micro"] = tuple(fields["deltas_micro"])
    return SettlementBatch(**fields)


def receipt_to_json(receipt: BatchReceipt) -> dict[str, Any]:
    """A receipt with its bytes as hex."""
    return asdict(receipt) | {"digest": receipt.digest.hex()}


def receipt_from_json(raw: dict[str, Any]) -> BatchReceipt:
    """The inverse of ``receipt_to_json``."""
    return BatchReceipt(**(raw | {"digest": bytes.fromhex(raw["digest"])}))


def error_from_json(raw: dict[str, Any]) -> ChainError:
    """The error that the settlement process met, as the same class where it is one of ours."""
    kind = getattr(errors, str(raw.get("error")), None)
    if isinstance(kind, type) and issubclass(kind, ChainError):
        return kind(text=raw["text"]) if kind is errors.RevertedError else kind(raw["text"])
    return ChainError(f"{raw.get('error')}: {raw.get('text')}")


def dump(message: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def load(line: bytes) -> dict[str, Any]:
    """The inverse of ``dump``."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ChainError(f"the settlement process was told {line[:80]!r}")
    return message
