"""Where the money is settled, in a scenario file."""

from typing import Literal

from pydantic import Field

from twin.scenario.fields import Section


class SettlementSection(Section):
    """Where the money is settled."""

    chain: Literal["embedded", "none"] = Field(
        "embedded", description="embedded: on a chain inside the process; none: in the run folder only."
    )
    batch_s: int = Field(86400, gt=0, description="One batch per this many seconds.")
