"""The embedded chain as a node on a socket: JSON-RPC over HTTP, for a second process to settle on. Loopback only."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from adapters.chain.embedded import CHAIN_ID
from adapters.chain.errors import ChainInputError, ChainUnavailableError
from adapters.chain.evm import Evm
from adapters.chain.keys import embedded_keys
from adapters.chain.provider import RpcNode

LARGEST_BYTES = 2**25


class HttpNode:
    """Serves an ``RpcNode`` on 127.0.0.1. It may ``stop`` and ``start`` again on the same port."""

    def __init__(self, node: RpcNode, port: int = 0) -> None:
        self.node, self.port = node, port
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the node."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen. Raises ChainUnavailableError where the port is taken."""
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        except OSError as error:
            raise ChainUnavailableError(
                f"port {self.port} cannot be had ({error.strerror}): give another with --port"
            ) from error
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the socket; the chain stays. Safe to call twice."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def wait(self) -> int:
        """Wait until it is stopped."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)
        return 0

    def answer(self, raw: bytes) -> bytes:
        """The answer to one request, or to a list of them."""
        try:
            asked = json.loads(raw)
        except ValueError:
            return _dump({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no JSON"}})
        with self._lock:
            return _dump([self._one(item) for item in asked] if isinstance(asked, list) else self._one(asked))

    def _one(self, asked: Any) -> dict[str, Any]:
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no request"}}
        try:
            body = self.node.request(asked["method"], asked.get("params"))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            text = f"wrong parameters: {type(error).__name__}: {error}"
            body = {"jsonrpc": "2.0", "error": {"code": -32602, "message": text}}
        return body | {"id": asked.get("id")}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = min(int(self.headers.get("Content-Length", 0)), LARGEST_BYTES)
                body = answer(self.rfile.read(size))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None:
                """Quiet."""

        return Handler


def embedded_node(start_s: int, port: int = 0, fund: Sequence[str] = ()) -> HttpNode:
    """A fresh embedded chain on a socket; the development operator and ``fund`` have coin for gas."""
    from eth_utils.address import is_address, to_canonical_address

    wrong = [address for address in fund if not is_address(address)]
    if wrong:
        raise ChainInputError(f"{wrong[0]!r} is no address (0x and 40 hex digits)")
    rich = (embedded_keys().operator.canonical_address, *(to_canonical_address(a) for a in fund))
    return HttpNode(RpcNode(Evm(CHAIN_ID, start_s, rich)), port)


def _dump(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
