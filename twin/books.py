"""What is kept of a solved step: the account of the interval it completes, and the rows of the run folder."""

from adapters.grid.feeder import IntArray
from twin.bookkeeper import Bookkeeper
from twin.chronicle import Chronicle
from twin.plant import PlantStep


class Books:
    """The bookkeeper, then the chronicle."""

    def __init__(self, bookkeeper: Bookkeeper, chronicle: Chronicle) -> None:
        self.bookkeeper, self.chronicle = bookkeeper, chronicle

    def balances_micro(self) -> IntArray:
        """What every participant gained since the start; (n,)."""
        return self.bookkeeper.balances_micro()

    def step(self, time_s: int, solved: PlantStep) -> None:
        """Book and record one step."""
        self.chronicle.step(self.bookkeeper.step(time_s, solved))
