"""How a real node is reached. Light to import, and without any secret."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RpcOptions:
    """How to reach a node and what is deployed there. Holds no key: those come from the environment.

    ``development`` uses the public keys of the embedded chain and play money, and deploys where ``deployment``
    names no file. ``outbox`` is the SQLite file that survives a crash.
    """

    url: str
    outbox: str
    deployment: str = ""
    chain_id: int = 0  # 0: take the node's
    confirmations: int = 12
    development: bool = False
    patience_s: float = 120.0
