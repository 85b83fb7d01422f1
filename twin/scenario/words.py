"""Small helpers for messages: lists in words, the nearest known word, values as a reader wrote them."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return ``a, b and c``."""
    items = list(words)
    return " ".join([", ".join(items[:-1]), last, items[-1]]) if len(items) > 1 else "".join(items)


def nearest_word(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that was probably meant; one without its unit (``p_max``) finds ``p_max_w``."""
    lowered = {k.lower(): k for k in reversed(known)}
    if word.lower() in lowered:
        return lowered[word.lower()]
    prefixed = [k for k in known if k.lower().startswith(f"{word.lower()}_")]
    if prefixed:
        return min(prefixed, key=len)
    close = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def nearest(word: str, known: Sequence[str], sentence: str) -> str:
    """Return ``sentence`` filled with the nearest known word, or nothing where none is near."""
    found = nearest_word(word, known)
    return sentence.format(found) if found is not None else ""


def shown(value: Any, limit: int = 60) -> str:
    """Return a value of a scenario as its author wrote it, cut to ``limit`` characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"a section with {listed(value)}" if value else "an empty section"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
