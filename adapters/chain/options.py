"""How a real node is reached, and what befalls the embedded one. Light to import, and without any secret."""

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


@dataclass(frozen=True)
class Device:
    """A metering device as the registry knows it: ``kind`` is house, pv, battery or ev, ``key`` its key's address.

    ``capacity`` is W, for a battery Wh; ``efficiency_ppm`` a battery's round trip.
    """

    name: str
    kind: str
    capacity: int
    efficiency_ppm: int
    key: str


@dataclass(frozen=True)
class Outage:
    """The node is away from ``from_s`` until ``until_s``; back, its newest ``reorg_blocks`` are gone."""

    from_s: int
    until_s: int
    reorg_blocks: int = 0


@dataclass(frozen=True)
class Weather:
    """What befalls the embedded chain in simulated seconds: outages, and blocks that take their time."""

    outages: tuple[Outage, ...]
    block_s: int = 12
    confirmations: int = 3
