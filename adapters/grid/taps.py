"""What departs from the plan: tap positions that are allowed, and a net with a model error applied."""

import copy
from typing import Any

from adapters.grid.engine import ModelError
from adapters.grid.errors import GridInputError
from adapters.grid.normalise import label


def tapped_transformers(net: Any) -> list[int]:
    """Rows of the transformers with a tap changer that engines honour."""
    kinds = net.trafo["tap_changer_type"] if len(net.trafo) else []
    return [i for i, kind in enumerate(kinds) if isinstance(kind, str) and kind not in ("", "None")]


def set_positions(net: Any, error: ModelError) -> dict[int, int]:
    """Position of each transformer's tap that the model error sets, by row of the transformer."""
    rows = tapped_transformers(net)
    if error.tap_positions:
        return dict(zip(rows, error.tap_positions, strict=True))
    return {} if error.tap_pos is None else dict.fromkeys(rows, error.tap_pos)


def checked_tap(net: Any, error: ModelError) -> None:
    """Refuse a tap position that a transformer does not have.

    Raises:
        GridInputError: no transformer has a tap, or the position is outside a range (which is named).
    """
    positions = set_positions(net, error)
    if error.tap_pos is not None and not positions:
        raise GridInputError("tap_pos is given, but no transformer of the feeder has a tap changer.")
    for i, position in positions.items():
        low, high = float(net.trafo.tap_min.iloc[i]), float(net.trafo.tap_max.iloc[i])
        if position < low or position > high:  # a bound that is not stated is NaN and binds nothing
            raise GridInputError(
                f"tap_pos {position} is outside the range {low:g}..{high:g} of {label(net, 'trafo', i)}."
            )


def net_with_error(native: Any, error: ModelError) -> Any:
    """A copy of a reduced net (without its profiles) that departs from it by the model error.

    Raises:
        GridInputError: a tap position that a transformer does not have.
    """
    checked_tap(native, error)
    net = copy.deepcopy(type(native)({k: v for k, v in native.items() if k != "profiles"}))
    for column in ("r_ohm_per_km", "x_ohm_per_km", "r0_ohm_per_km", "x0_ohm_per_km"):
        if column in net.line.columns:
            net.line[column] = net.line[column] * error.of_lines
    if error.source_voltage_pu is not None:
        net.ext_grid["vm_pu"] = error.source_voltage_pu
    for i, position in set_positions(net, error).items():
        net.trafo.at[i, "tap_pos"] = float(position)
    return net
