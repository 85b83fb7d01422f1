"""A small SCPI interpreter over a TCP socket: a tree of headers with short and long forms, and an error queue.

Source: SCPI-1999, volume 1 (syntax and style) and 21.8 (error numbers).
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

NO_ERROR, UNDEFINED, BAD_TYPE, MISSING, OUT_OF_RANGE = 0, -113, -104, -109, -222
_TEXTS = {
    UNDEFINED: "Undefined header",
    BAD_TYPE: "Data type error",
    MISSING: "Missing parameter",
    OUT_OF_RANGE: "Data out of range",
    -350: "Queue overflow",
}
_QUEUE = 10
_LONGEST_LINE = 4096

Command = Callable[[str], str | None]
"""Takes the parameter, returns an answer for a query; raises ``ScpiFault``."""


class ScpiFault(Exception):  # noqa: N818 - not an error of ours: it goes to the error queue
    """A command that cannot be done; ``code`` goes to the error queue."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(_TEXTS[code])


class Interpreter:
    """Serves lines. Headers are given in their long form with the short one in capitals, optional parts in
    brackets: ``[SOURce:]VOLTage?``.
    """

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = [(_pattern(header), act) for header, act in commands.items()]
        self._errors: deque[int] = deque()

    def line(self, text: str) -> str | None:
        """Serve one line of commands parted by semicolons; returns the joined answers, None without a
        query.
        """
        answers = []
        for part in text.split(";"):
            if part.strip():
                answer = self._one(part.strip())
                if answer is not None:
                    answers.append(answer)
        return ";".join(answers) if answers else None

    def clear(self) -> None:
        """Forget all errors."""
        self._errors.clear()

    def next_error(self) -> str:
        """Take the oldest error off the queue."""
        if not self._errors:
            return '0,"No error"'
        code = self._errors.popleft()
        return f'{code},"{_TEXTS[code]}"'

    def _one(self, part: str) -> str | None:
        header, _, parameter = part.partition(" ")
        for pattern, act in self._commands:
            if pattern.fullmatch(header.lstrip(":")):
                try:
                    return act(parameter.strip())
                except ScpiFault as fault:
                    self._fault(fault.code)
                    return None
        self._fault(UNDEFINED)
        return None

    def _fault(self, code: int) -> None:
        if len(self._errors) >= _QUEUE:
            self._errors[-1] = -350
        else:
            self._errors.append(code)


def number(parameter: str, least: float, most: float) -> float:
    """Return a parameter as a number in its range."""
    if not parameter:
        raise ScpiFault(MISSING)
    try:
        value = float(parameter)
    except ValueError:
        raise ScpiFault(BAD_TYPE) from None
    if not least <= value <= most:
        raise ScpiFault(OUT_OF_RANGE)
    return value


def boolean(parameter: str) -> bool:
    """Return a parameter as on or off."""
    known = {"1": True, "ON": True, "0": False, "OFF": False}
    if parameter.upper() not in known:
        raise ScpiFault(BAD_TYPE if parameter else MISSING)
    return known[parameter.upper()]


def _pattern(header: str) -> re.Pattern[str]:
    """Return what matches short and long form of a header, in any case."""

    def word(found: re.Match[str]) -> str:
        text = found[0]
        short = "".join(c for c in text if not c.islower())
        return f"(?:{short}|{text})" if short != text else text

    escaped = header.replace("*", r"\*").replace("?", r"\?").replace("[", "(?:").replace("]", ")?")
    return re.compile(re.sub(r"[A-Z][A-Za-z]+", word, escaped), re.IGNORECASE)


class ScpiProtocol(asyncio.Protocol):
    """One connection: lines in, lines out."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(
            asyncio.WriteTransport, transport
        )  # uvloop's is one by its methods, not by its class

    def data_received(self, data: bytes) -> None:
        """Serve every whole line; a line without an end closes the connection."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            answer = self._interpreter.line(line.decode("ascii", "replace"))
            if answer is not None and self._transport is not None:
                self._transport.write(answer.encode("ascii", "replace") + b"\n")
        if len(self._buffer) > _LONGEST_LINE and self._transport is not None:
            self._transport.close()
