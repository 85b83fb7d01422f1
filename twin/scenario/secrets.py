"""Private keys do not belong into a scenario: it is copied into every run folder and report."""

import re
from collections.abc import Iterator
from typing import Any

from twin.scenario.keypath import KeyPath

_HEX_KEY = re.compile(r"(?<![0-9a-fA-F])(0x)?[0-9a-fA-F]{64}(?![0-9a-fA-F])")
_MNEMONIC = re.compile(r"\s*[a-z]{3,8}(\s+[a-z]{3,8}){11,23}\s*")
_TOKEN = re.compile(r"[0-9a-zA-Z_-]{20,}")
_NAMES = re.compile(
    r"private|secret|passw|passphrase|mnemonic|seed_?phrase|keystore|api_?key|(^|_)keys?$", re.IGNORECASE
)
ADVICE = (
    "Keys come from keystore files that the environment names (TWIN_CHAIN_KEYSTORE, TWIN_CHAIN_PASSWORD, "
    "TWIN_CHAIN_ORACLES; docs/reference/chain.md), the address of a node that holds an access key from "
    "TWIN_CHAIN_URL."
)


def redact(text: str) -> str:
    """A text to be shown, without what looks like a private key."""
    return _HEX_KEY.sub("(a private key?)", text)


def find_secrets(tree: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Where a scenario's tree holds what looks like a secret, and what it looks like. The value is not repeated."""
    for path, key, value in _walk(tree, ()):
        money = _about_settlement(path)
        if money and isinstance(key, str) and _NAMES.search(key.rsplit(".", 1)[-1]):
            yield path, "names a secret"
        elif (value >= 2**160) if isinstance(value, int) else _HEX_KEY.search(str(value)):
            yield path, "looks like a private key"
        elif money and isinstance(value, str):
            what = _in_settlement(value)
            if what:
                yield path, what


def _walk(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        here = (*path, key)
        if isinstance(key, str) and _HEX_KEY.search(key):
            yield path, None, key
            continue
        yield here, key, value
        yield from _walk(value, here)


def _about_settlement(path: KeyPath) -> bool:
    """Whether a key lies in the settlement section, also as a variant's override."""
    if path[:1] == ("variants",) and path[2:3] == ("set",):
        return len(path) > 3 and str(path[3]).split(".")[0] == "settlement"
    return path[0] == "settlement"


def _in_settlement(value: str) -> str:
    if _MNEMONIC.fullmatch(value):
        return "looks like the words of a wallet"
    if '"ciphertext"' in value or "PRIVATE KEY" in value:
        return "looks like a keystore"
    if "://" in value:
        rest = value.split("://", 1)[1]
        if "@" in rest.split("/")[0] or "?" in rest or _TOKEN.search(rest.partition("/")[2]):
            return "holds a password or an access key"
    return ""
