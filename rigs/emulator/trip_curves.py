"""Models 703 and 707 to 710 of an emulated device: its protection settings as they can be read."""

from collections.abc import Mapping
from typing import Any

from rigs.emulator import grid_code
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.image import SunSpecImage

_POINTS = 3
_QUANTITY = {707: "V", 708: "V", 709: "Hz", 710: "Hz"}


def trip_groups() -> Mapping[str, Any]:
    """Return what lays a trip model out: one curve set, read only."""
    return {"NCrvSet": 1, "NPt": _POINTS}


def describe_trips(image: SunSpecImage, config: EmulatorConfig) -> None:
    """Put what the device trips at, and when it enters service.

    A trip curve is a staircase: up to the outer limit the short time holds, then the long one.
    """
    (v_low, v_high), (f_low, f_high) = grid_code.ENTER_V_PU, grid_code.ENTER_HZ
    f_nominal_hz = config.f_nominal_hz
    image.put_all(
        703,
        {
            "V_SF": -2, "Hz_SF": -2, "ES": 1, "ESVHi": 100 * v_high, "ESVLo": 100 * v_low,
            "ESHzHi": f_nominal_hz + f_high, "ESHzLo": f_nominal_hz + f_low, "ESDlyTms": config.enter_service_s,
            "ESRndTms": 0, "ESRmpTms": config.enter_ramp_s, "ESDlyRemTms": 0,
        },
    )  # fmt: skip
    trips = grid_code.TRIPS[config.category]
    for model_id, quantity in _QUANTITY.items():
        found = sorted((t for t in trips if t.model_id == model_id), key=lambda t: t.after_s)
        factor = "V_SF" if quantity == "V" else "Hz_SF"
        image.put_all(
            model_id, {factor: -2, "Tms_SF": -2, "NPt": _POINTS, "NCrvSet": 1, "Ena": int(bool(found))}
        )
        image.put_all(model_id, {"AdptCrvReq": 1, "AdptCrvRslt": 1, "Crv[0].ReadOnly": 1})
        image.put_all(model_id, {f"Crv[0].{c}.ActPt": 0 for c in ("MayTrip", "MomCess")})
        steps = [(found[0], found[0]), (found[0], found[1]), (found[1], found[1])] if found else []
        image.put(model_id, "Crv[0].MustTrip.ActPt", len(steps))
        for i, (where, when) in enumerate(steps):
            at = 100 * where.limit if where.of_voltage else f_nominal_hz + where.limit
            curve = f"Crv[0].MustTrip.Pt[{i}]."
            image.put_all(model_id, {f"{curve}{quantity}": at, f"{curve}Tms": when.after_s})
        _describe_cessation(image, model_id, config.category)


def _describe_cessation(image: SunSpecImage, model_id: int, category: str) -> None:
    pair = grid_code.CESSATION_PU.get(category)
    if pair is None or model_id not in (707, 708):
        return
    limit_pu = pair[0] if model_id == 707 else pair[1]
    image.put_all(
        model_id,
        {"Crv[0].MomCess.ActPt": 1, "Crv[0].MomCess.Pt[0].V": 100 * limit_pu, "Crv[0].MomCess.Pt[0].Tms": 0},
    )
