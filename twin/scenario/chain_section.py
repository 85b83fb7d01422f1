"""The chain behind a scenario's settlement: a node over JSON-RPC, and what befalls the embedded one."""

from typing import Self

from pydantic import Field, model_validator

from twin.scenario.fields import Section
from twin.scenario.moment import MomentSection


class RpcSection(Section):
    """A node over JSON-RPC. Keys never stand here: see docs/reference/chain.md."""

    url: str = Field(
        "",
        pattern=r"^$|^(https?|wss?)://[^\s]+$",
        description="Address of the node (http, https, ws, wss); left out, TWIN_CHAIN_URL gives it.",
    )
    chain_id: int = Field(0, ge=0, le=2**53, description="The chain that the node must be of; 0: any.")
    deployment: str = Field(
        "", description="File that 'twin chain deploy' wrote; a path from the scenario's folder."
    )
    outbox: str = Field(
        min_length=1,
        description="SQLite file of what is on its way, beside the scenario; one per contract, kept between runs.",
    )
    confirmations: int = Field(
        12, ge=0, le=10_000, description="Blocks on top after which a transaction counts."
    )
    development: bool = Field(
        False, description="Public keys and play money; deploys where deployment names no file yet."
    )
    patience_s: float = Field(
        120,
        gt=0,
        le=86_400,
        description="How long the end of a run waits for a chain on which nothing moves.",
    )

    @model_validator(mode="after")
    def _deployed(self) -> Self:
        if not self.development and not self.deployment:
            raise ValueError("deployment is missing: name the file that 'twin chain deploy' wrote")
        return self


class OutageSection(MomentSection):
    """The embedded chain's node is away for a while, and comes back on another branch."""

    for_s: int = Field(gt=0, le=366 * 86_400, description="How long it is away, simulated seconds.")
    reorg_blocks: int = Field(
        0, ge=0, le=100, description="Newest blocks that are gone when it is back, with all that was in them."
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.at is not None and self.at_s is not None:
            raise ValueError(f"at_s ({self.at_s:.15g}) must not be given together with at")
        return self
