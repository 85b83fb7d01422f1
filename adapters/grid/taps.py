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


def checked_tap(net: Any, error: ModelError) -> None:
    """Refuse a tap position that a transformer does not have.

    Raises:
        GridInputError: no transformer has a tap, or the position is outside a range (which is named).
    """
    if error.tap_pos is None:
        return
    rows = tapped_transformers(net)
    if not rows:
        raise GridInputError("tap_pos is given, but no transformer of the feeder has a tap changer.")
    for i in rows:
        low, high = float(net.trafo.tap_min.iloc[i]), float(net.trafo.tap_max.iloc[i])
        if error.tap_pos < low or error.tap_pos > high:  # a bound that is not stated is NaN and binds nothing
            raise GridInputError(
                f"tap_pos {error.tap_pos} is outside the range {low:g}..{high:g} of {label(net, 'trafo', i)}."
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
    if error.tap_pos is not None:
        for i in tapped_transformers(net):
            net.trafo.at[i, "tap_pos"] = float(error.tap_pos)
    return net
