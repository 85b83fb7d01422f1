"""What the contract says that accounts hold, and what is left of it when other batches than one's own are taken out."""

from adapters.chain import typed
from adapters.chain.contract import Contract

STATUS = ("none", "proposed", "disputed", "final", "rejected")
"""The contract's own states of a batch, in its order."""


class Holdings:
    """The accounts of one deployed ``EnergySettlement``, read from its node."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def nets_micro(self) -> dict[str, int]:
        """What every account of the contract gained by batches, deposits and withdrawals left out."""
        names = self._names()
        if not names:
            return {}
        nets = self._contract.read("netOf", [typed.account_id(name) for name in names])
        return dict(zip(names, (int(n) for n in nets), strict=True))

    def nets_without_others(self, mine: set[str]) -> dict[str, int]:
        """What every account gained by the batches with the ids ``mine``: the nets, less what all others moved.

        Others are whatever else the chain itself recorded, of this outbox or of another, before or meanwhile.
        """
        contract = self._contract
        names = {typed.account_id(name): name for name in self._names()}
        nets = self.nets_micro()
        for event in contract.history("BatchProposed"):
            if "0x" + event["id"].hex() in mine:
                continue
            status = STATUS[contract.read("statusOf", event["id"])]
            packed = contract.arguments("propose", contract.node.sent_data(event["transaction"]))[1]
            for account, delta in typed.unpack(packed):
                moved = {"final": delta, "rejected": 0}.get(status, min(delta, 0))
                nets[names[account]] -= moved
        return nets

    def money_sum_micro(self) -> int:
        """The contract's own sum over all accounts and all money on its way. Zero, always."""
        return int(self._contract.read("moneySum"))

    def _names(self) -> list[str]:
        return [event["name"] for event in self._contract.history("AccountOpened")]
