"""Engines by name."""

from adapters.grid.engine import AS_PLANNED, Engine, ModelError
from adapters.grid.errors import GridInputError, UnsupportedElementError
from adapters.grid.feeder import Feeder

ENGINE_NAMES = ("power_grid_model", "pandapower", "opendss")


def make_engine(feeder: Feeder, name: str, model_error: ModelError = AS_PLANNED) -> Engine:
    """Bind the engine called ``name`` to a feeder; per phase where the feeder is unbalanced.

    Args:
        feeder: from ``load_feeder``.
        name: one of ``ENGINE_NAMES``.
        model_error: how the model departs from the feeder's data.

    Raises:
        UnsupportedElementError: the engine cannot model elements of the feeder; they are named.
        GridInputError: unknown engine, or a tap position that the feeder does not have.
    """
    if name not in ENGINE_NAMES:
        raise GridInputError(f"unknown engine {name!r}; known: {', '.join(ENGINE_NAMES)}.")
    if name == "opendss":
        from adapters.grid.opendss import OpenDssEngine

        return OpenDssEngine(feeder, model_error)
    if not hasattr(feeder.native, "bus"):
        raise UnsupportedElementError(name, (f"an OpenDSS file ({feeder.source})",), "opendss")
    if name == "pandapower":
        return _pandapower(feeder, model_error)
    if feeder.balanced:
        from adapters.grid.pgm import PgmEngine

        return PgmEngine(feeder, model_error)
    from adapters.grid.pgm_phases import PgmPhaseEngine

    return PgmPhaseEngine(feeder, model_error)


def _pandapower(feeder: Feeder, model_error: ModelError) -> Engine:
    if feeder.balanced:
        from adapters.grid.pandapower_engine import PandapowerEngine

        return PandapowerEngine(feeder, model_error)
    from adapters.grid.pandapower_phases import PandapowerPhaseEngine

    return PandapowerPhaseEngine(feeder, model_error)
