"""What a SunSpec device's registers say about the step just ended, as one reading with its quality."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.modbus.errors import PointError
from adapters.modbus.register_map import MapDevice
from adapters.modbus.sunspec import BlockPlan, SunSpecDevice, Value
from rigs.sg_ready import STATE_NAMES

_ACC32 = 1 << 32
_INVERTER, _METER = ("W", "VAr", "WH", "St"), ("W", "VAR", "TotWhExp", "TotWhImp")
_NAMES = {
    701: ("W", "Var", "TotWhInj", "TotWhAbs", "InvSt"),
    **dict.fromkeys((103, 101, 102, 113, 111, 112), _INVERTER),
    **dict.fromkeys((203, 204, 202, 201), _METER),
}
"""What is read of each model that measures, the richest first."""
_STORES = (713, 802)
"""Models that tell a state of charge."""
_FAULT_103, _FAULT_701 = 7.0, 6.0


@dataclass(frozen=True)
class Reading:
    """Power in W and var (NaN: the device gave none), counters in Wh, state of charge 0..1 or NaN."""

    p_gen_w: float
    q_gen_var: float
    export_wh: float
    import_wh: float
    soc: float
    trouble: str = ""  # why it must not be trusted, empty where it may
    sg_state: int = 0  # SG Ready state of a heat pump, 0 where there is none


@dataclass
class Counters:
    """Keeps energy counters rising: over the end of a 32-bit register, and over a device that began again."""

    _last: dict[str, float] = field(default_factory=dict)
    _offset: dict[str, float] = field(default_factory=dict)

    def unwrapped(self, name: str, wh: float) -> float:
        """Continue a 32-bit counter over its end; a small step back is none (see ``rising``)."""
        seen_wh = self._last.get(name, 0.0) - self._offset.get(name, 0.0)
        if wh < _ACC32 / 4 and seen_wh > _ACC32 * 3 / 4:
            self._offset[name] = self._offset.get(name, 0.0) + _ACC32
        return wh

    def rising(self, name: str, wh: float) -> tuple[float, str]:
        """Return the counter as if the device had never begun again, and what is wrong, empty where nothing
        is.

        What flowed between the last reading and the new beginning is unknown and not made up.
        """
        if math.isnan(wh):
            return self._last.get(name, 0.0), ""
        total_wh, last_wh = wh + self._offset.get(name, 0.0), self._last.get(name, 0.0)
        trouble = ""
        if total_wh < last_wh:
            trouble = f"the {name} counter went back from {last_wh:.0f} to {total_wh:.0f} Wh"
            self._offset[name] = last_wh - wh
            total_wh = last_wh
        self._last[name] = total_wh
        return total_wh, trouble


@dataclass
class SunSpecMeter:
    """Reads power, counters and state of charge in as few requests as possible."""

    device: SunSpecDevice
    _plans: list[tuple[int, BlockPlan]] = field(default_factory=list, repr=False)
    counters: Counters = field(default_factory=Counters)

    def plan(self) -> None:
        """Plan the reads; again after every discovery.

        Raises:
            PointError: the device measures nothing that we know.
        """
        device, self._plans = self.device, []
        for model_id, names in _NAMES.items():
            if device.has(model_id):
                self._plans += [(model_id, p) for p in device.plan(model_id, names)]
                break
        else:
            raise PointError(
                f"{device.port.name} unit {device.unit}: none of the models 701, 101-113, 201-204"
            )
        stores = [m for m in _STORES if device.has(m)]
        if stores:
            self._plans += [(stores[0], p) for p in device.plan(stores[0], ("SoC",))]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Address and count of every read."""
        return [(plan.model.address + plan.first, plan.count) for _, plan in self._plans]

    async def read(self) -> Reading:
        """Read everything once. Raises as the port does."""
        device = self.device
        return self.decode([await device.port.read(device.unit, *block) for block in self.blocks])

    def decode(self, blocks: Sequence[bytes]) -> Reading:
        """Return what the registers of ``blocks`` say."""
        values: dict[str, Value] = {}
        for (_, plan), data in zip(self._plans, blocks, strict=True):
            values.update(plan.decode(data))
        if "TotWhExp" in values:  # a meter's power is positive for import
            values = {"W": -_number(values["W"]), "VAr": -_number(values["VAR"]), "WH": values["TotWhExp"],
                      "TotWhAbs": values["TotWhImp"]}  # fmt: skip
        if self._plans[0][0] == 701:
            return self._reading(values, "Var", "TotWhInj", "InvSt", _FAULT_701)
        return self._reading(values, "VAr", "WH", "St", _FAULT_103)

    def _reading(
        self, values: dict[str, Value], reactive: str, exported: str, state: str, fault: float
    ) -> Reading:
        trouble = [
            f"{name} holds no number"
            for name in ("W", exported, *(("TotWhAbs",) if exported == "TotWhInj" else ()))
            if math.isnan(_number(values[name]))
        ]
        if values.get(state) == fault:
            trouble.append(f"{state} says fault")
        export_wh, import_wh = _number(values[exported]), _number(values.get("TotWhAbs", 0.0))
        if exported == "WH":
            export_wh = self.counters.unwrapped("export", export_wh)
        export_wh, back = self.counters.rising("export", export_wh)
        import_wh, also = self.counters.rising("import", import_wh)
        trouble += [t for t in (back, also) if t]
        q_var = _number(values[reactive])
        soc = _number(values.get("SoC")) / 100
        if "SoC" in values and not 0 <= soc <= 1:
            trouble.append("SoC holds no number in 0..100 %")
        return Reading(
            _number(values["W"]),
            0.0 if math.isnan(q_var) else q_var,
            export_wh,
            import_wh,
            soc,
            "; ".join(trouble),
        )


@dataclass
class MapMeter:
    """Reads a wallbox or a meter by its map: charging is negative power, and a wallbox counts import; a meter's power
    register is positive for import.
    """

    device: MapDevice
    counters: Counters = field(default_factory=Counters)

    def plan(self) -> None:
        """Nothing to plan: the map says where everything is."""

    async def read(self) -> Reading:
        """Read everything once. Raises as the port does."""
        if "PowerTotal" in self.device.map.points:
            return await self._read_meter()
        if "SgReadyState" in self.device.map.points:
            return await self._read_state()
        found = await self.device.read(0, "ActivePower", "TotalEnergy", "ErrorCode")
        power_w, import_wh = _number(found["ActivePower"]), _number(found["TotalEnergy"])
        trouble = [f"{name} holds no number" for name, value in found.items() if value is None]
        if found["ErrorCode"]:
            trouble.append(f"error code {found['ErrorCode']:.0f}")
        import_wh, back = self.counters.rising("import", import_wh)
        if back:
            trouble.append(back)
        return Reading(-power_w, 0.0, 0.0, import_wh, math.nan, "; ".join(trouble))

    async def _read_state(self) -> Reading:
        """A heat pump tells its state, and neither power nor energy."""
        state = (await self.device.read(0, "SgReadyState"))["SgReadyState"]
        known = isinstance(state, float | int) and int(state) in STATE_NAMES
        trouble = "" if known else f"SgReadyState holds {state}"
        nan = math.nan
        return Reading(nan, nan, nan, nan, nan, trouble, int(state) if isinstance(state, float | int) else 0)

    async def _read_meter(self) -> Reading:
        names = ["PowerTotal", "ImportEnergy", "ExportEnergy"]
        reactive = ["VarTotal"] if "VarTotal" in self.device.map.points else []
        found = await self.device.read(0, *names, *reactive)
        trouble = [f"{name} holds no number" for name in names if found[name] is None]
        export_wh, back = self.counters.rising("export", _number(found["ExportEnergy"]))
        import_wh, also = self.counters.rising("import", _number(found["ImportEnergy"]))
        q_var = -_number(found.get("VarTotal"))
        return Reading(
            -_number(found["PowerTotal"]),
            0.0 if math.isnan(q_var) else q_var,
            export_wh,
            import_wh,
            math.nan,
            "; ".join([*trouble, *(t for t in (back, also) if t)]),
        )


def _number(value: Value) -> float:
    return value if isinstance(value, float) else math.nan
