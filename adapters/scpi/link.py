"""One SCPI connection: lines out, lines in, one at a time.

Source: SCPI-1999, volume 1; IEEE 488.2 common commands (*IDN?, *CLS) and the error queue (SYSTem:ERRor?).
"""

import asyncio
import re

from adapters.scpi.errors import InstrumentError, ScpiError, ScpiLinkError, ScpiTimeoutError

PORT = 5025
_ERROR = re.compile(r'\s*([+-]?\d+)\s*,\s*"?([^"]*)"?')
_MOST_ERRORS = 30


class ScpiLink:
    """A connection to ``host:port``. Every command is followed by a look into the error queue."""

    def __init__(self, host: str, port: int = PORT, timeout_s: float = 2.0) -> None:
        self.name = f"scpi://{host}:{port}"
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._lock = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        return self._writer is not None and not self._writer.is_closing()

    async def connect(self) -> None:
        """Open the connection; does nothing where it stands.

        Raises:
            ScpiLinkError: refused, unreachable, or the host does not resolve.
        """
        if self.connected:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as error:
            why = str(error) or f"no answer within {self._timeout_s} s"
            raise ScpiLinkError(f"{self.name}: cannot connect ({why})") from error

    async def ask(self, query: str) -> str:
        """Send a query, return its answer without the line end.

        Raises:
            ScpiLinkError: not connected, or lost.
            ScpiTimeoutError: no answer in time; the connection is closed, since a late answer would be taken
                for the next one.
        """
        async with self._lock:
            return await self._ask(query)

    async def tell(self, command: str) -> None:
        """Send a command and make sure that the instrument took it.

        Raises:
            InstrumentError: refused, with the first error of its queue.
            ScpiError: as ``ask``.
        """
        async with self._lock:
            await self._send(command)
            errors: list[tuple[int, str]] = []
            while len(errors) < _MOST_ERRORS:
                code, text = self._error(command, await self._ask("SYST:ERR?"))
                if code == 0:
                    break
                errors.append((code, text))
        if errors:
            raise InstrumentError(f"{self.name}: {command}", *errors[0])

    async def close(self) -> None:
        """Close the connection. Safe from any state and more than once."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()

    async def _send(self, line: str) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ScpiLinkError(f"{self.name}: {line}: not connected")
        self._writer.write(line.encode("ascii") + b"\n")

    async def _ask(self, query: str) -> str:
        await self._send(query)
        assert self._reader is not None
        try:
            async with asyncio.timeout(self._timeout_s):
                line = await self._reader.readline()
        except TimeoutError:
            await self.close()
            raise ScpiTimeoutError(f"{self.name}: {query}: no answer within {self._timeout_s} s") from None
        except OSError as error:
            await self.close()
            raise ScpiLinkError(f"{self.name}: {query}: connection lost") from error
        if not line.endswith(b"\n"):
            await self.close()
            raise ScpiLinkError(f"{self.name}: {query}: connection lost")
        return line.decode("ascii", "replace").strip()

    def _error(self, command: str, answer: str) -> tuple[int, str]:
        found = _ERROR.match(answer)
        if found is None:
            raise ScpiError(f"{self.name}: {command}: SYST:ERR? was answered with {answer!r}")
        return int(found[1]), found[2]
