"""Whose inverters answer to their voltage in the plant, with which curve, and what each of them carries."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from adapters.grid.inverter_curves import PRESETS, InverterSettings
from adapters.grid.inverter_fleet import InverterFleet
from market.orders import BATTERY, DEVICE_NAMES, EV
from market.orders import PV as SUN
from twin.agents import Intent
from twin.fleet import Flows
from twin.participants import BoolArray, Participants
from twin.scenario.grid_section import InverterSection

SMALL_VA = 4600.0
"""VDE-AR-N 4105: plants up to here have the curve of the smaller reactive power."""
PV, STORAGE, CAR = "pv", "battery", "ev"
_DEVICE = {PV: SUN, STORAGE: BATTERY, CAR: EV}


@dataclass(frozen=True)
class Inverters:
    """m inverters: the fleet as the engines see it, and what asset each belongs to, (m,).

    ``kind`` holds 'pv', 'battery' or 'ev'; ``fleet.point`` is the row of the participant as well.
    """

    fleet: InverterFleet
    kind: tuple[str, ...]

    def of(self, kind: str) -> IntArray:
        """Rows of a kind."""
        return np.array([i for i, one in enumerate(self.kind) if one == kind], dtype=np.int64)

    def available_w(self, flows: Flows) -> FloatArray:
        """What each would feed in if nothing took it off, (m,); charging is negative."""
        return self._carried(flows.pv_w, flows.battery_w, -flows.ev_w)

    def _carried(self, pv_w: FloatArray, battery_w: FloatArray, car_w: FloatArray) -> FloatArray:
        by_kind = {PV: pv_w, STORAGE: battery_w, CAR: car_w}
        return np.array(
            [by_kind[kind][row] for kind, row in zip(self.kind, self.fleet.point, strict=True)]
        ).astype(np.float64)

    def answered(self, flows: Flows, p_w: FloatArray, q_var: FloatArray) -> Flows:
        """The flows with what the inverters really did, (m,) each."""
        less, q = p_w - self.available_w(flows), flows.q_gen_var.copy()
        by_kind = {kind: np.zeros_like(flows.p_gen_w) for kind in (PV, STORAGE, CAR)}
        for i, row in enumerate(self.fleet.point):
            by_kind[self.kind[i]][row] += less[i]
            q[row] += q_var[i]
        return replace(
            flows,
            p_gen_w=flows.p_gen_w + sum(by_kind.values()),
            q_gen_var=q,
            pv_w=flows.pv_w + by_kind[PV],
            pv_curtailed_w=flows.pv_curtailed_w - by_kind[PV],
            battery_w=flows.battery_w + by_kind[STORAGE],
            ev_w=flows.ev_w - by_kind[CAR],
        )

    def expected(self, intent: Intent) -> tuple[FloatArray, FloatArray]:
        """What each carries in the baseline that was handed in, and its part of a change at its point; (m,) each.

        The part is that of its asset in the participant's flexible orders of the interval: a house that offers from
        its roof changes by its PV inverter, one whose car may charge by none (unless chargers answer as well).
        """
        assert intent.pv_base_w is not None and intent.battery_base_w is not None
        carried = self._carried(intent.pv_base_w, intent.battery_base_w, -intent.ev_base_w)
        orders = intent.wanted[intent.wanted["flexible"]]
        moved = np.zeros((len(DEVICE_NAMES), len(intent.p_base_w)))
        np.add.at(moved, (orders["device"], orders["participant"]), orders["energy_wh"])
        device = np.array([_DEVICE[kind] for kind in self.kind])
        own, whole = moved[device, self.fleet.point], moved.sum(axis=0)[self.fleet.point]
        return carried, np.divide(own, whole, out=np.zeros(len(own)), where=whole > 0)


def make_inverters(
    section: InverterSection, people: Participants, elsewhere: Collection[str] = ()
) -> Inverters:
    """One inverter per asset that the section names, of whoever has it.

    ``elsewhere``: roles ('<participant>.pv') that a bench serves, whose devices answer for themselves.
    """
    rated = {PV: people.pv_rated_w, STORAGE: people.battery_p_w, CAR: people.ev_p_w}
    found = [
        (kind, row)
        for kind in rated
        if kind in section.assets
        for row in np.flatnonzero(rated[kind] > 0).tolist()
        if f"{people.names[row]}.{kind}" not in elsewhere
    ]
    kinds = tuple(kind for kind, _ in found)
    point = np.array([row for _, row in found], dtype=np.int64)
    rated_w = np.array([rated[kind][row] for kind, row in found])
    stated = [section.s_rated_va.get(f"{people.names[row]}.{kind}", np.nan) for kind, row in found]
    rated_va = np.where(np.isnan(stated), rated_w * (section.rating_percent / 100), stated)
    small = rated_va <= SMALL_VA
    stored = np.array([kind != PV for kind in kinds], dtype=bool)
    others = []
    for which, settings in _settings(section, small, stored):
        rows = np.flatnonzero(which)
        if len(rows):
            others.append((settings, rows))
    solar = np.flatnonzero(~stored)
    return Inverters(
        InverterFleet(
            others[0][0] if others else PRESETS["unity"], point, rated_va, tuple(others), solar, rated_w
        ),
        kinds,
    )


def rating_problems(section: InverterSection, people: Participants) -> list[tuple[str, str]]:
    """Roles of ``s_rated_va`` that have no inverter, or are rated below their asset; and what is wrong with each."""
    rated = {PV: people.pv_rated_w, STORAGE: people.battery_p_w, CAR: people.ev_p_w}
    known = {
        f"{people.names[row]}.{kind}": float(power[row])
        for kind, power in rated.items()
        if kind in section.assets
        for row in np.flatnonzero(power > 0).tolist()
    }
    wrong = []
    for role, s_va in section.s_rated_va.items():
        if role not in known:
            near = get_close_matches(role, known, 1) or ["none is close"]
            wrong.append(
                (role, f"there is no such inverter among grid.plant.inverters.assets; nearest: {near[0]}")
            )
        elif not known[role] <= s_va:
            wrong.append((role, f"must be at least the rated power of the asset, {known[role]:g} W"))
    return wrong


def _settings(
    section: InverterSection, small: BoolArray, stored: BoolArray
) -> list[tuple[BoolArray, InverterSettings]]:
    """Settings by size and by what gives way: PV to reactive power, reactive power to what is stored or charged."""
    large, little = _curves(section)
    return [
        (~small & ~stored, large),
        (small & ~stored, little),
        (~small & stored, replace(large, priority="watt")),
        (small & stored, replace(little, priority="watt")),
    ]


def _curves(section: InverterSection) -> tuple[InverterSettings, InverterSettings]:
    """Settings of inverters above ``SMALL_VA`` and up to it."""
    if section.mode == "fixed_power_factor":
        fixed = InverterSettings(power_factor=section.power_factor, excitation=section.excitation)
        return fixed, fixed
    if section.curve == "vde_ar_n_4105":
        name = "vde_4105_volt_var" if section.mode == "volt_var" else "vde_4105_cos_phi"
        return PRESETS[name], PRESETS[f"{name}_small"]
    whole = section.curve if section.mode == "volt_var_and_volt_watt" else f"{section.curve}_volt_var"
    one = PRESETS["ieee_1547_volt_watt" if section.mode == "volt_watt" else whole]
    return one, one
