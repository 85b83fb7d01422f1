"""Lets the reversion timer of a device run out once, and leaves what was in force as it was found."""

from collections.abc import Awaitable, Callable

from adapters.modbus.errors import ModbusError
from rigs.control_points import Actuator, AnyActuator, Points
from rigs.point_writer import PointWriter

_MARGIN_S, _LOOK_EVERY_S = 1.0, 0.1
_VALUES = ("WSetMod", "WSet", "WMaxLimPct")


async def found_in_force(actuator: AnyActuator, writer: PointWriter, points: Points) -> Points:
    """Return what these points hold where somebody's limit or set point is in force already, empty where none is.

    What was made safe stays so until somebody writes: an earlier run's safe limit must not be lifted by a proof. A
    wallbox cannot be asked what it was told.
    """
    if not isinstance(actuator, Actuator):
        return {}
    enable = next(iter(actuator.enable()))
    if await writer.read(actuator.model_id, enable) != 1:
        return {}
    values = {name: await writer.read(actuator.model_id, name) for name in points}
    return {name: value for name, value in values.items() if value == value}  # noqa: PLR0124 - what holds a number


async def let_it_run_out(
    actuator: AnyActuator,
    writer: PointWriter,
    points: Points,
    wait: Callable[[float], Awaitable[None]],
) -> tuple[float, float]:
    """Write the points of a proof, let the device's time pass; returns what shows it before and after.

    Where something was in force, the proof is made at that value, and it is put back as soon as the timer is seen to
    have run out.

    Raises:
        ModbusError: it does not answer, or what was in force could not be put back.
    """
    found = await found_in_force(actuator, writer, points)
    await writer.write(actuator.model_id, {**points, **{n: v for n, v in found.items() if n in _VALUES}})
    shown, _, fallen = actuator.proof_point()
    armed = await writer.read(actuator.model_id, shown)
    await wait(actuator.proof_s)
    after, waited_s = await writer.read(actuator.model_id, shown), 0.0
    while after != fallen and waited_s < _MARGIN_S:
        await wait(_LOOK_EVERY_S)
        waited_s += _LOOK_EVERY_S
        after = await writer.read(actuator.model_id, shown)
    if found:
        await writer.write(actuator.model_id, found)
        if wrong := await writer.differences(actuator.model_id, found):
            raise ModbusError(f"what was in force could not be put back: {'; '.join(wrong)}")
    return armed, after
