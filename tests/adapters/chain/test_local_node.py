"""A node on a port that we chose: another one where somebody was quicker; on a port that was named: refused."""

import socket

import pytest

from adapters.chain import local_node
from adapters.chain.errors import ChainUnavailableError
from adapters.chain.local_node import LocalNode


@pytest.mark.slow
def test_a_port_that_was_taken_meanwhile_is_chosen_anew(anvil, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        taken, choose = other.getsockname()[1], local_node._free_port
        ports = iter([taken])
        monkeypatch.setattr(local_node, "_free_port", lambda: next(ports, None) or choose())
        with LocalNode(1_453_114_800) as node:
            assert node.port != taken and node.url == f"http://127.0.0.1:{node.port}"
            port = node.port
            node.stop()
            node.start()
            assert node.port == port, "who comes back keeps the port"
        with pytest.raises(ChainUnavailableError, match="Address already in use"):
            LocalNode(1_453_114_800, port=taken).start()
