"""Accounts of those who run the pools (providers, the fund, the arbitrageur), and the slots, one row each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.mechanism import Payment
from market.orders import BUY, POOL, SELL, Fills
from market.pool_slot import PoolSlot

PROVIDER, FUND, ARBITRAGEUR = "provider", "fund", "arbitrageur"


@dataclass(frozen=True)
class Share:
    """A provider of a slot: its stock order, its row, what it brought (its share), and what its device delivers."""

    order_id: int
    participant: int
    brought_wh: int
    delivered_wh: int


@dataclass(frozen=True)
class AccountRow:
    """What one of them earned in a slot.

    ``delivered_wh`` left its device (after the gate); ``money_micro`` is all that it received, ``profit_micro`` that
    less the delivered energy at the feed-in price (rounded against it): what it gained over feeding it in.
    """

    interval: int
    role: str
    participant: int  # POOL: the fund
    committed_wh: int
    delivered_wh: int
    money_micro: int
    profit_micro: int


@dataclass(frozen=True)
class SlotRow:
    """One delivered slot; prices in micro per kWh, rounded down. ``result_micro`` is what its pool gained."""

    interval: int
    opening_micro_per_kwh: int
    closing_micro_per_kwh: int
    provided_wh: int
    withdrawn_wh: int
    dissipated_wh: int
    sold_wh: int
    bought_wh: int
    ahead_wh: int
    elapsed_wh: int
    kept_wh: int
    residual_wh: int
    result_micro: int


@dataclass(frozen=True)
class WithdrawalRow:
    """What came of a provider's wish to leave one open pool: why it took nothing out is ``refused`` and ``reason``."""

    interval: int  # when it asked
    slot: int
    participant: int
    asked_ppm: int  # of its unsold stock in that pool
    withdrawn_wh: int
    refused: str | None  # a code of market.withdrawal or of the pool
    reason: str | None


class PoolBooks:
    """Rows of all slots that were settled, and of all withdrawals."""

    def __init__(self) -> None:
        self.accounts: list[AccountRow] = []
        self.slots: list[SlotRow] = []
        self.withdrawals: list[WithdrawalRow] = []

    def settle(
        self,
        slot: PoolSlot,
        shares: Sequence[Share],
        result_micro: int,
        fills: Fills,
        money: npt.NDArray[np.int64],
        accepted_wh: npt.NDArray[np.int64],
    ) -> list[Payment]:
        """Divide what a pool gained among its providers, by what they brought, rounded down.

        Args:
            slot: the closed slot.
            shares: its providers; none: the gain is the fund's and stays with the pool's account.
            result_micro: what the pool gained before its providers were paid.
            fills: the providers' own fills, for which they are paid ``money`` (m,) already; accepted Wh (m,).
            money: as above.
            accepted_wh: as above.

        Returns:
            What each provider gets besides (negative gains are paid by the provider).
        """
        self._note(slot, result_micro)
        feed_in = slot.tariff.feed_in_micro_per_kwh
        if not shares:
            self.accounts.append(AccountRow(slot.interval, FUND, POOL, 0, 0, result_micro, result_micro))
            return []
        payments, total = [], sum(share.brought_wh for share in shares)
        for share in shares:
            mine = fills["order_id"] == share.order_id
            energy, own = int(accepted_wh[mine].sum()), result_micro * share.brought_wh // total
            payments += _payment(share.participant, own - int(money[mine].sum()))
            profit = own + -feed_in * energy // 1000
            self.accounts.append(
                AccountRow(slot.interval, PROVIDER, share.participant, share.brought_wh, energy, own, profit)
            )
        return payments

    def arbitrage(self, slot: PoolSlot, participant: int, money_micro: int) -> None:
        """Note what the arbitrageur made in a slot; nothing where he did nothing."""
        if money_micro:
            self.accounts.append(
                AccountRow(slot.interval, ARBITRAGEUR, participant, 0, 0, money_micro, money_micro)
            )

    def _note(self, slot: PoolSlot, result_micro: int) -> None:
        energy, sides = slot.executed_wh(), slot.orders["side"]
        self.slots.append(
            SlotRow(
                interval=slot.interval,
                opening_micro_per_kwh=slot.opening_price,
                closing_micro_per_kwh=slot.closing_price,
                provided_wh=slot.provided_wh,
                withdrawn_wh=slot.withdrawn_wh,
                dissipated_wh=slot.dissipated_wh,
                sold_wh=int(energy[sides == SELL].sum()),
                bought_wh=int(energy[sides == BUY].sum()),
                ahead_wh=sum(p.energy_wh for p in slot.pieces[: slot.first_running]),
                elapsed_wh=slot.stayed_wh + slot.flowed_wh,
                kept_wh=slot.kept_wh,
                residual_wh=slot.residual_wh,
                result_micro=result_micro,
            )
        )


def _payment(participant: int, money_micro: int) -> list[Payment]:
    if money_micro == 0:
        return []
    if money_micro > 0:
        return [Payment(POOL, participant, money_micro, "provider's share")]
    return [Payment(participant, POOL, -money_micro, "provider's share of a loss")]
