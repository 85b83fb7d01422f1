"""What inverters do by themselves: fixed power factor, volt-var, volt-watt, reactive power by output.

Curves are functions of the voltage at the terminals or of the output, per unit of rated apparent power; reactive
power is positive into the grid (it raises the voltage). They are vectorised over scenarios and inverters.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import FloatArray


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function, constant beyond its ends. ``x`` rises, ``y`` has as many values."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse curves that are no function."""
        rises = all(a < b for a, b in zip(self.x, self.x[1:], strict=False))
        if len(self.x) != len(self.y) or not self.x or not rises:
            raise GridInputError(f"a curve needs rising x and as many y, got x={self.x}, y={self.y}.")

    def __call__(self, values: FloatArray) -> FloatArray:
        """The curve at ``values``, any shape."""
        return np.interp(values, self.x, self.y)


@dataclass(frozen=True)
class InverterSettings:
    """Which functions are on.

    ``volt_var`` gives reactive power over rated apparent power against voltage in pu, ``volt_watt`` the largest
    active power over rated active power against voltage, ``watt_var`` reactive over rated active power against
    active over rated active power. With none of volt-var and watt-var the power factor is fixed: ``power_factor`` with
    ``excitation`` 'absorb' or 'inject'. With ``priority`` 'var' active power gives way where both do not fit
    into the rating, with 'watt' reactive power does.
    """

    volt_var: Curve | None = None
    volt_watt: Curve | None = None
    watt_var: Curve | None = None
    power_factor: float = 1.0
    excitation: Literal["absorb", "inject"] = "absorb"
    priority: Literal["var", "watt"] = "var"

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        if not 0 < self.power_factor <= 1:
            raise GridInputError(f"power_factor must be above 0 and at most 1, got {self.power_factor}.")
        if self.volt_var is not None and self.watt_var is not None:
            raise GridInputError("volt_var and watt_var cannot both set the reactive power.")


# IEEE 1547-2018, tables 8 and 10, compared with EPRI's OpenDER in the tests: default settings of both normal
# performance categories. Volt-watt ends at the lesser of 20 % and the least output of the unit, zero for photovoltaics.
IEEE_1547_A_VOLT_VAR = Curve((0.90, 1.00, 1.10), (0.25, 0.0, -0.25))
IEEE_1547_B_VOLT_VAR = Curve((0.92, 0.98, 1.02, 1.08), (0.44, 0.0, 0.0, -0.44))
IEEE_1547_VOLT_WATT = Curve((1.06, 1.10), (1.0, 0.0))
# VDE-AR-N 4105:2018, 5.7.2: Q(U) and cos phi (P), for plants above 4.6 kVA (0.90) and up to it (0.95). Reactive
# power is that of pandapower's class of the rule, in the tests; the voltages have no second source.
_SIN_090, _SIN_095 = float(np.sqrt(1 - 0.90**2)), float(np.sqrt(1 - 0.95**2))
VDE_4105_VOLT_VAR_LARGE = Curve((0.93, 0.97, 1.03, 1.07), (_SIN_090, 0.0, 0.0, -_SIN_090))
VDE_4105_VOLT_VAR_SMALL = Curve((0.93, 0.97, 1.03, 1.07), (_SIN_095, 0.0, 0.0, -_SIN_095))


def _cos_phi_of_p(full_load: float) -> Curve:
    """Cos phi falls linearly from 1 at half to ``full_load`` at rated active power, absorbing."""
    share = np.linspace(0.5, 1.0, 26)
    cos = 1.0 - (1.0 - full_load) * (share - 0.5) / 0.5
    q = -share * np.sqrt(1 - cos**2) / cos
    return Curve((0.0, *map(float, share)), (0.0, *map(float, q)))


VDE_4105_WATT_VAR_LARGE = _cos_phi_of_p(0.90)
VDE_4105_WATT_VAR_SMALL = _cos_phi_of_p(0.95)

PRESETS: dict[str, InverterSettings] = {
    "unity": InverterSettings(),
    "ieee_1547_a": InverterSettings(volt_var=IEEE_1547_A_VOLT_VAR, volt_watt=IEEE_1547_VOLT_WATT),
    "ieee_1547_b": InverterSettings(volt_var=IEEE_1547_B_VOLT_VAR, volt_watt=IEEE_1547_VOLT_WATT),
    "ieee_1547_a_volt_var": InverterSettings(volt_var=IEEE_1547_A_VOLT_VAR),
    "ieee_1547_b_volt_var": InverterSettings(volt_var=IEEE_1547_B_VOLT_VAR),
    "ieee_1547_volt_watt": InverterSettings(volt_watt=IEEE_1547_VOLT_WATT),
    "vde_4105_volt_var": InverterSettings(volt_var=VDE_4105_VOLT_VAR_LARGE),
    "vde_4105_volt_var_small": InverterSettings(volt_var=VDE_4105_VOLT_VAR_SMALL),
    "vde_4105_cos_phi": InverterSettings(watt_var=VDE_4105_WATT_VAR_LARGE),
    "vde_4105_cos_phi_small": InverterSettings(watt_var=VDE_4105_WATT_VAR_SMALL),
}


def inverter_output(
    settings: InverterSettings,
    v_pu: FloatArray,
    p_available_w: FloatArray,
    s_rated_va: FloatArray,
    p_rated_w: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """What inverters feed in at given voltages.

    Args:
        settings: the functions that are on.
        v_pu: (k, m) voltage at the terminals.
        p_available_w: (k, m) what the panels or the battery give, >= 0 (charging is not curtailed: < 0 passes).
        s_rated_va: (m,) rated apparent power.
        p_rated_w: (m,) rated active power, which it never exceeds; default: equal to the apparent power.

    Returns:
        Active and reactive power (k, m) into the grid. Their apparent power never exceeds the rating.
    """
    p_rated_w = s_rated_va if p_rated_w is None else p_rated_w
    p_w = np.minimum(p_available_w, p_rated_w)
    if settings.volt_watt is not None:
        p_w = np.minimum(p_w, settings.volt_watt(v_pu) * p_rated_w)
    if settings.volt_var is not None:
        q_var = settings.volt_var(v_pu) * s_rated_va
    elif settings.watt_var is not None:
        q_var = settings.watt_var(np.maximum(p_w, 0.0) / p_rated_w) * p_rated_w
    else:
        sign = -1.0 if settings.excitation == "absorb" else 1.0
        q_var = sign * np.abs(p_w) * np.sqrt(1 - settings.power_factor**2) / settings.power_factor
    if settings.priority == "var":
        q_var = np.clip(q_var, -s_rated_va, s_rated_va)
        room_w = np.sqrt(np.maximum(0.0, s_rated_va**2 - q_var**2))
        return np.clip(p_w, -room_w, room_w), q_var
    p_w = np.clip(p_w, -s_rated_va, s_rated_va)
    room_var = np.sqrt(np.maximum(0.0, s_rated_va**2 - p_w**2))
    return p_w, np.clip(q_var, -room_var, room_var)
