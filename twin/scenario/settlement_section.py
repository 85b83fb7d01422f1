"""Where the money is settled, in a scenario file."""

from typing import Literal, Self

from pydantic import Field, model_validator

from twin.scenario.chain_section import OutageSection, RpcSection
from twin.scenario.fields import Section
from twin.scenario.oracles_section import BalancesSection, ImbalanceSection, OraclesSection


class SettlementSection(Section):
    """Where the money is settled."""

    chain: Literal["embedded", "rpc", "none"] = Field(
        "embedded",
        description="embedded: a chain of our own, no server; rpc: a node over JSON-RPC; none: in the run folder only.",
    )
    batch_s: int = Field(86400, gt=0, description="One batch per this many seconds.")
    rpc: RpcSection | None = Field(None, description="How the node of chain: rpc is reached.")
    outages: list[OutageSection] = Field(
        default_factory=list, description="When the embedded chain's node is away, and what it has lost then."
    )
    block_s: int = Field(
        12, gt=0, le=3600, description="outages: simulated seconds between blocks of the embedded chain."
    )
    confirmations: int = Field(
        3, ge=0, le=100, description="outages: blocks on top after which a transaction counts."
    )

    oracles: OraclesSection | None = Field(
        None, description="Three sources agree on metered energy; none: every meter is believed."
    )
    imbalance: ImbalanceSection | None = Field(
        None, description="Who pays for a difference; none: the supplier's prices and nothing on top."
    )
    balances: BalancesSection | None = Field(
        None, description="What participants have bounds what they order; none: nobody is asked."
    )

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.chain == "rpc" and self.rpc is None:
            raise ValueError("chain (rpc) needs the section settlement.rpc: url, deployment and outbox")
        if self.chain == "rpc" and self.outages:
            raise ValueError("outages are of the embedded chain; a real node has its own")
        deepest = max((outage.reorg_blocks for outage in self.outages), default=0)
        if deepest > self.confirmations:
            raise ValueError(
                f"confirmations ({self.confirmations}) must not be below the deepest reorg_blocks ({deepest}): "
                "what counts already must not vanish"
            )
        return self
