"""Values of a pandapower case that no power flow can be run with: all of them are named at once."""

from typing import Any

import numpy as np

from adapters.grid.errors import GridInputError

TOLD = 12
POSITIVE, NOT_NEGATIVE, FINITE = "above 0", "0 or more", "a finite number"
_NEEDED: dict[str, dict[str, str]] = {
    "bus": {"vn_kv": POSITIVE},
    "line": {
        **dict.fromkeys(("parallel", "df"), POSITIVE),
        **dict.fromkeys(("length_km", "c_nf_per_km"), NOT_NEGATIVE),
        **dict.fromkeys(("r_ohm_per_km", "x_ohm_per_km"), FINITE),
    },
    "trafo": {
        **dict.fromkeys(("sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent", "parallel"), POSITIVE),
        **dict.fromkeys(("vkr_percent", "pfe_kw"), NOT_NEGATIVE),
        **dict.fromkeys(("i0_percent", "shift_degree"), FINITE),  # network equivalents have odd signs
    },
    "ext_grid": {"vm_pu": POSITIVE},
    "shunt": {"vn_kv": POSITIVE, "p_mw": FINITE, "q_mvar": FINITE, "step": NOT_NEGATIVE},
}
_ENDS = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "load": ("bus",),
    "asymmetric_load": ("bus",),
    "sgen": ("bus",),
    "storage": ("bus",),
    "shunt": ("bus",),
    "ext_grid": ("bus",),
}
_UNKNOWN_ALLOWED = {"line": "max_i_ka"}
"""A rating that is not known is none; one that is not above 0 is a mistake."""


def check_values(net: Any) -> None:
    """Refuse what is in service with a value that is no number, or none that it may have.

    Raises:
        GridInputError: naming element, column, value and what is allowed; and ends at buses that do not exist.
    """
    found = [
        *(text for table, columns in _NEEDED.items() for text in _values(net, table, columns)),
        *(text for table, columns in _ENDS.items() for text in _ends(net, table, columns)),
        *_short_circuit(net),
    ]
    if found:
        more = f"\n... and {len(found) - TOLD} more" if len(found) > TOLD else ""
        raise GridInputError("\n".join(found[:TOLD]) + more)


def _in_service(net: Any, table: str) -> Any:
    frame = net.get(table)
    if frame is None or not len(frame):
        return None
    return frame[frame.in_service.astype(bool)] if "in_service" in frame.columns else frame


def _named(frame: Any, table: str, index: Any) -> str:
    name = frame.at[index, "name"] if "name" in frame.columns else None
    return f"{table} {index}" + (f" ({name})" if isinstance(name, str) and name.strip() else "")


def _values(net: Any, table: str, columns: dict[str, str]) -> list[str]:
    frame = _in_service(net, table)
    if frame is None:
        return []
    found = []
    for column, needed in columns.items():
        if column not in frame.columns:
            continue
        values = frame[column].to_numpy(dtype=np.float64)
        lowest = {POSITIVE: values > 0, NOT_NEGATIVE: values >= 0, FINITE: np.isfinite(values)}[needed]
        wrong = ~(lowest & np.isfinite(values))
        found += [
            f"{_named(frame, table, index)}: {column} is {value:g}; {needed} is needed."
            for index, value in zip(frame.index[wrong], values[wrong], strict=True)
        ]
    rating = _UNKNOWN_ALLOWED.get(table)
    if rating in frame.columns:
        values = frame[rating].to_numpy(dtype=np.float64)
        found += [
            f"{_named(frame, table, index)}: {rating} is {value:g}; above 0 is needed, or nothing where it is unknown."
            for index, value in zip(frame.index[values <= 0], values[values <= 0], strict=True)
        ]
    return found


def _ends(net: Any, table: str, columns: tuple[str, ...]) -> list[str]:
    frame = _in_service(net, table)
    if frame is None:
        return []
    return [
        f"{_named(frame, table, index)}: {column} is {bus}; there is no such bus."
        for column in columns
        for index, bus in frame.loc[~frame[column].isin(net.bus.index), column].items()
    ]


def _short_circuit(net: Any) -> list[str]:
    frame = _in_service(net, "trafo")
    if frame is None:
        return []
    high = frame[frame.vkr_percent > frame.vk_percent]
    return [
        f"{_named(frame, 'trafo', index)}: vkr_percent {row.vkr_percent:g} exceeds vk_percent {row.vk_percent:g}, of "
        "which it is a part."
        for index, row in high.iterrows()
    ]
