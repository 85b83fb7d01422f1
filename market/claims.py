"""Every Wh in a pool is a claim on a named device; this is the register of the claims, first in, first
out.
"""

from collections import deque
from dataclasses import dataclass

from market.errors import RangeError


@dataclass(frozen=True)
class Claim:
    """Energy that a participant's device owes in the delivery interval."""

    participant: int
    device: int
    energy_wh: int


class ClaimQueue:
    """Claims in order of arrival; their sum is the pool's energy."""

    def __init__(self) -> None:
        self._queue: deque[Claim] = deque()

    @property
    def total_wh(self) -> int:
        """Sum of all claims."""
        return sum(claim.energy_wh for claim in self._queue)

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims, oldest first."""
        return tuple(self._queue)

    def add(self, claim: Claim) -> None:
        """Append a claim. Raises ``RangeError`` unless its energy is positive."""
        if claim.energy_wh <= 0:
            raise RangeError(f"claim of {claim.participant}: {claim.energy_wh} Wh; must be positive")
        self._queue.append(claim)

    def take(self, energy_wh: int) -> tuple[Claim, ...]:
        """Remove and return the oldest claims that make up ``energy_wh``; the last one may be split.

        Raises:
            RangeError: More than the queue holds; nothing is removed.
        """
        if not 0 <= energy_wh <= self.total_wh:
            raise RangeError(f"claims: {energy_wh} Wh asked for; the queue holds {self.total_wh}")
        taken: list[Claim] = []
        while energy_wh > 0:
            first = self._queue.popleft()
            part = min(energy_wh, first.energy_wh)
            taken.append(Claim(first.participant, first.device, part))
            if part < first.energy_wh:
                self._queue.appendleft(Claim(first.participant, first.device, first.energy_wh - part))
            energy_wh -= part
        return tuple(taken)

    def take_of(self, participant: int, energy_wh: int) -> tuple[Claim, ...]:
        """As ``take``, but the participant's own claims go first (a provider leaves with its own devices' energy)."""
        if not 0 <= energy_wh <= self.total_wh:
            raise RangeError(f"claims: {energy_wh} Wh asked for; the queue holds {self.total_wh}")
        own = [claim for claim in self._queue if claim.participant == participant]
        rest = [claim for claim in self._queue if claim.participant != participant]
        others = sum(claim.energy_wh for claim in rest)
        self._queue = deque(own)
        taken = self.take(min(energy_wh, self.total_wh))
        self._queue.extend(rest)
        left = energy_wh - sum(claim.energy_wh for claim in taken)
        assert left <= others
        return taken + self.take(left)

    def shrink(self, energy_wh: int) -> None:
        """Take ``energy_wh`` off all claims in proportion (largest remainder, older first): what ageing
        lost.
        """
        total = self.total_wh
        if not 0 <= energy_wh <= total:
            raise RangeError(f"claims: cannot shrink {total} Wh by {energy_wh}")
        if energy_wh == 0:
            return
        shares = [divmod(claim.energy_wh * energy_wh, total) for claim in self._queue]
        losses = [share for share, _ in shares]
        order = sorted(range(len(shares)), key=lambda i: (-shares[i][1], i))
        for i in order[: energy_wh - sum(losses)]:
            losses[i] += 1
        left = (
            Claim(claim.participant, claim.device, claim.energy_wh - loss)
            for claim, loss in zip(self._queue, losses, strict=True)
        )
        self._queue = deque(claim for claim in left if claim.energy_wh)
