"""Fills the heat pump table of the participants, with the scenario's seed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rigs.sg_ready import DWELL_S
from twin.heat_pumps import HeatPumps
from twin.scenario.assets import HeatPumpSection
from twin.scenario.schema import Scenario
from twin.streams import stream

Complain = Callable[[str, str, str, str], None]
_COPIED = {
    "p_w": "p_max_w", "store_wh": "store_wh", "initial": "heat_initial", "comfort_min": "comfort_min",
    "comfort_normal": "comfort_normal", "design_c": "design_c", "heating_limit_c": "heating_limit_c",
    "outdoor_c": "outdoor_c", "outdoor_swing_k": "outdoor_swing_k", "flow_c": "flow_c",
}  # fmt: skip


class HeatDraft:
    """The columns of the heat pumps while they are being filled."""

    def __init__(self, n: int) -> None:
        names = (*_COPIED, "heat_load_w", "hot_water_w")
        self.columns: dict[str, Any] = {name: np.zeros(n) for name in names}
        self.columns |= {"modulates": np.zeros(n, dtype=np.bool_), "shifts": np.zeros(n, dtype=np.bool_)}
        self.columns |= {"cop": np.full(n, np.nan), "profile": np.full(n, -1, dtype=np.int64)}

    @property
    def p_w(self) -> Any:
        """Rated power so far; (n,)."""
        return self.columns["p_w"]

    def place(
        self,
        section: HeatPumpSection,
        rows: list[int],
        names: Sequence[str],
        scenario: Scenario,
        index: int,
        loads: Mapping[str, int],
    ) -> None:
        """Give the connection points of ``rows`` the heat pump of a section."""
        c = self.columns
        for column, key in _COPIED.items():
            c[column][rows] = getattr(section, key)
        c["modulates"][rows] = section.control == "modulating"
        c["shifts"][rows] = section.strategy == "shift"
        c["cop"][rows] = np.nan if section.cop is None else section.cop
        c["profile"][rows] = loads.get(section.demand_profile or "", -1)
        for i in rows:
            lot = stream(scenario.seed, names[i], f"heat_pump/{index}").uniform(-1.0, 1.0)
            factor = 1 + section.spread_percent / 100 * float(lot)
            c["heat_load_w"][i], c["hot_water_w"][i] = (
                section.heat_load_w * factor,
                section.hot_water_w * factor,
            )

    def table(self) -> HeatPumps | None:
        """The table, None where nobody has a heat pump."""
        return HeatPumps(**self.columns) if (self.p_w > 0).any() else None


def heat_pump_problems(
    section: HeatPumpSection, path: str, scenario: Scenario, loads: Mapping[str, int], complain: Complain
) -> None:
    """Report what the rest of the scenario does not go with."""
    firm_w = scenario.participants.connection.firm_import_w
    if section.demand_profile is not None and section.demand_profile not in loads:
        few = ", ".join(sorted(loads)[:8]) + (" ..." if len(loads) > 8 else "")
        complain(f"{path}.demand_profile", "no such load profile", section.demand_profile, few)
    if section.control == "modulating":
        return
    if section.p_max_w > firm_w:
        complain(
            f"{path}.p_max_w",
            "a heat pump that knows SG Ready states only cannot be held to connection.firm_import_w",
            f"{section.p_max_w:g} W",
            f"at most {firm_w:g} W, or control: modulating",
        )
    if scenario.interval_s < DWELL_S:
        complain(
            f"{path}.control",
            "an SG Ready state stands for ten minutes at least, so intervals must not be shorter",
            f"interval_s: {scenario.interval_s}",
            f"interval_s of {DWELL_S:g} or more, or control: modulating",
        )
