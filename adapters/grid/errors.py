"""Errors of the grid adapters. The class says what the caller can do."""


class GridError(Exception):
    """Base of all grid errors."""


class GridInputError(GridError):
    """The input is wrong: mend the file or the arguments. The text names the element."""


class UnsupportedElementError(GridError):
    """This engine cannot model elements of the feeder, use another. ``elements`` lists them by name."""

    def __init__(self, engine: str, elements: tuple[str, ...], instead: str = "pandapower") -> None:
        self.engine = engine
        self.elements = elements
        super().__init__(
            f"{engine} cannot model: {'; '.join(elements)}. Use engine: {instead} for this feeder."
        )


class FeederNotSolvableError(GridError):
    """The feeder does not converge, or holds a NaN, already at its own nominal state."""
