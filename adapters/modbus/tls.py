"""Modbus/TCP Security behind our port: TLS with certificates on both sides; the role lies in the client's.

Source: MODBUS/TCP Security Protocol Specification v21, 2018 (port 802, mutual TLS, role extension).
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTlsClient

from adapters.modbus._pymodbus import PymodbusPort
from adapters.modbus.port import FrameListener, LinkTiming

ROLE_OID = bytes.fromhex("2b0601040183890c862201")
"""1.3.6.1.4.1.50316.802.1 as DER content."""


@dataclass(frozen=True)
class TlsFiles:
    """Certificate files in PEM: the authorities trusted of the other side, and one's own chain and key."""

    authorities: Path
    certificate: Path
    key: Path

    def context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        """Return a context that demands a valid certificate from the other side, TLS 1.2 or later.

        Raises:
            OSError: a file cannot be read or is no certificate (``ssl.SSLError`` is one).
        """
        context = ssl.create_default_context(purpose, cafile=str(self.authorities))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(str(self.certificate), str(self.key))
        return context


class TlsPort(PymodbusPort):
    """One mutually authenticated connection to ``host:port``."""

    def __init__(
        self,
        host: str,
        port: int,
        files: TlsFiles,
        timing: LinkTiming | None = None,
        listener: FrameListener | None = None,
    ) -> None:
        super().__init__(f"tls://{host}:{port}", timing or LinkTiming(), listener)
        self._host, self._port = host, port
        self._context = files.context(ssl.Purpose.SERVER_AUTH)

    def _new_client(self, **common: Any) -> Any:
        return AsyncModbusTlsClient(self._host, port=self._port, sslctx=self._context, **common)


def role_of(certificate: bytes) -> str | None:
    """Return the role in a DER certificate: None where there is none, or where it is not one UTF8String."""
    try:
        _, body, _ = _element(certificate, 0)
        _, to_be_signed, _ = _element(body, 0)
        for tag, content in _elements(to_be_signed):
            if tag == 0xA3:  # [3] extensions
                _, extensions, _ = _element(content, 0)
                return _role_in(extensions)
    except (IndexError, ValueError):
        return None
    return None


def _role_in(extensions: bytes) -> str | None:
    for _, extension in _elements(extensions):
        parts = _elements(extension)
        if parts[0] != (0x06, ROLE_OID):
            continue
        tag, text, end = _element(parts[-1][1], 0)
        if tag != 0x0C or end != len(parts[-1][1]):
            return None
        return text.decode("utf-8")
    return None


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        tag, content, at = _element(data, at)
        found.append((tag, content))
    return found


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return tag, content and the position after a DER element."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    end = start + length
    if end > len(data):
        raise ValueError("DER element longer than its container")
    return tag, data[start:end], end
