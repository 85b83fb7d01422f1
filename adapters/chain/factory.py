"""The one place that knows which chains there are."""

from collections.abc import Sequence

from adapters.chain.errors import ChainInputError
from adapters.chain.options import Device, RpcOptions, Weather
from adapters.chain.port import SettlementChain

KINDS = ("embedded", "rpc", "none")


def open_chain(
    kind: str,
    *,
    market_id: str,
    start_s: int,
    in_process: bool = False,
    rpc: RpcOptions | None = None,
    weather: Weather | None = None,
    devices: Sequence[Device] = (),
) -> SettlementChain:
    """Open a settlement chain for one market.

    ``start_s`` is the simulated time at which the market begins, in the same seconds as the batches' periods;
    contracts are deployed just before it. By default the chain is served by a process of its own: opening and
    ``submit`` return at once, and ``drain`` waits. ``rpc`` says how the node of kind 'rpc' is reached,
    ``weather`` what befalls the embedded one; ``devices`` are registered beside the settlement, on a development chain.
    Raises
    ChainInputError for an unknown kind; with ``in_process``, also whatever is wrong with the node or contract.
    """
    if kind not in KINDS:
        raise ChainInputError(f"settlement.chain is {kind!r}; allowed: {', '.join(KINDS)}")
    if not market_id:
        raise ChainInputError("market_id is empty: give the market a name")
    if not 0 <= start_s < 2**62:
        raise ChainInputError(f"start_s is {start_s}: give seconds >= 0")
    if kind == "none":
        from adapters.chain.null import NullChain

        return NullChain(market_id)
    if kind == "rpc" and rpc is None:
        raise ChainInputError("settlement.chain is 'rpc': give the address of the node and an outbox file")
    if in_process and kind == "rpc" and rpc is not None:
        from adapters.chain.rpc import open_rpc

        return open_rpc(market_id, start_s, rpc, devices=devices)
    if in_process and weather is not None and weather.outages:
        from adapters.chain.weather import WeatheredChain

        return WeatheredChain(market_id, start_s, weather, devices=devices)
    if in_process:
        from adapters.chain.embedded import EmbeddedChain

        return EmbeddedChain(market_id, start_s, devices=devices)
    from adapters.chain.worker import WorkerChain

    return WorkerChain(kind, market_id, start_s, rpc, weather, devices=devices)
