"""The part of the conformance list about functions: stored curves (CRV) and reversion timers (REV).

Stored controls of model 711 are tried as curves are. All of it writes: what is in force is copied and adopted, which
changes nothing, and what was found is put back, stored sets as well.
"""

import asyncio
from dataclasses import dataclass

from adapters.modbus.errors import DeviceRefusedError, ModbusError
from rigs.conformance import NotApplicable, Subject, Test, require

_COMPLETED, _FAILED = 1.0, 2.0
_POLL_S, _PATIENCE_S, _CANCELLED_S = 0.05, 10.0, 3.0


@dataclass(frozen=True)
class _Stored:
    """How a model names its stored sets, and a point that makes one unsound (None: more points than there are)."""

    model_id: int
    sets: str = "Crv"
    unsound: str | None = None

    @property
    def request(self) -> str:
        return f"Adpt{self.sets}Req"

    @property
    def result(self) -> str:
        return f"Adpt{self.sets}Rslt"


_MODELS = (_Stored(705), _Stored(706), _Stored(711, "Ctl", "KOf"), _Stored(712))


def _stored(s: Subject) -> list[_Stored]:
    s.must_write()
    found = [m for m in _MODELS if s.device.has(m.model_id)]
    if not found:
        raise NotApplicable("no stored curves or controls (705, 706, 711, 712)")
    return found


async def _number(s: Subject, model_id: int, name: str) -> float:
    value = (await s.device.read(model_id, name))[name]
    require(isinstance(value, float), f"model {model_id}: {name} holds no number")
    return float(value or 0.0)


async def _last(s: Subject, m: _Stored) -> int:
    """Return the number of sets; ``NotApplicable`` where the only one is in force."""
    count = int(await _number(s, m.model_id, f"N{m.sets}"))
    if count < 2:
        raise NotApplicable(f"model {m.model_id} has a single set, which is the one in force")
    return count


async def _in_force(s: Subject, m: _Stored) -> dict[str, float]:
    """Return what is in force, by the name inside its set."""
    prefix = f"{m.sets}[0]."
    points = [
        n for n in s.device.layout(m.model_id).points if n.startswith(prefix) and n != f"{prefix}ReadOnly"
    ]
    values = await s.device.read(m.model_id, *points)
    return {n[len(prefix) :]: v for n, v in values.items() if isinstance(v, float)}


async def _copy(s: Subject, m: _Stored, values: dict[str, float], number: int) -> None:
    """Store values in a set, counted from 1."""
    for name, value in values.items():
        goal = f"{m.sets}[{number - 1}].{name}"
        if s.device.layout(m.model_id).point(goal).writable:
            await s.write(m.model_id, goal, value)


async def _put_set_back(s: Subject, m: _Stored, number: int) -> None:
    """Store in a set what it held before all tests."""
    prefix = f"{m.sets}[{number - 1}]."
    await s.put_back(
        m.model_id,
        *(n for n, p in s.device.layout(m.model_id).points.items() if n.startswith(prefix) and p.writable),
    )


async def _crv_1(s: Subject) -> str:
    models = _stored(s)
    for m in models:
        require(
            await _number(s, m.model_id, f"{m.sets}[0].ReadOnly") == 1,
            f"model {m.model_id}: set 1, in force, does not say that it is read only",
        )
        name, value = next(iter((await _in_force(s, m)).items()))
        try:
            await s.write(m.model_id, f"{m.sets}[0].{name}", value)
        except DeviceRefusedError:
            continue
        raise ModbusError(f"model {m.model_id}: set 1, in force, was written in place")
    return f"what is in force cannot be written: {_names(models)}"


async def _crv_2(s: Subject) -> str:
    models = _stored(s)
    for m in models:
        last, before = await _last(s, m), await _in_force(s, m)
        await _copy(s, m, before, last)  # what is in force: adopting it changes nothing
        await s.write(m.model_id, m.request, last)
        done = await _number(s, m.model_id, m.result)
        require(done == _COMPLETED, f"model {m.model_id}: {m.result} is {done:g} after set {last}")
        now = await _in_force(s, m)
        await _put_set_back(s, m, last)
        require(now == before, f"model {m.model_id}: set 1 is not what was adopted")
    return f"stored sets are adopted: {_names(models)}"


async def _crv_3(s: Subject) -> str:
    models = _stored(s)
    for m in models:
        last, before = await _last(s, m), await _in_force(s, m)
        bad = (m.unsound, 0.0) if m.unsound else ("ActPt", await _number(s, m.model_id, "NPt") + 1)
        try:
            await s.write(m.model_id, f"{m.sets}[{last - 1}].{bad[0]}", bad[1])
            await s.write(m.model_id, m.request, last)
            result = await _number(s, m.model_id, m.result)
        except DeviceRefusedError:
            result = _FAILED
        now = await _in_force(s, m)
        if now != before:  # it has taken over what it should have refused: back to what was in force
            await _copy(s, m, before, last)
            await s.write(m.model_id, m.request, last)
        await _put_set_back(s, m, last)
        require(
            result == _FAILED and now == before,
            f"model {m.model_id}: {m.result} is {result:g} for an unsound set, "
            f"what is in force {'stayed' if now == before else 'changed'}",
        )
    return f"an unsound set is refused, what is in force stays: {_names(models)}"


def _names(models: list[_Stored]) -> str:
    return "model " + ", ".join(str(m.model_id) for m in models)


_REVERSION = ("WSetMod", "WSet", "WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms", "WSetEna")


async def _timer(s: Subject, seconds: float) -> None:
    """Enable the set point at 0 W with a reversion time."""
    s.must_write()
    if not s.device.has(704):
        raise NotApplicable("no model 704")
    found = await s.device.read(704, *_REVERSION)
    values = (1, 0, 0, 0, seconds, 1)
    for name, value in zip(_REVERSION, values, strict=True):
        if isinstance(found[name], float):
            await s.write(704, name, value)


async def _until_off(s: Subject, within_s: float) -> float:
    """Wait until the function is off; returns after how long."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while await _number(s, 704, "WSetEna") != 0:
        require(loop.time() - began_s < within_s, f"still enabled {within_s:g} s later")
        await asyncio.sleep(_POLL_S)
    return loop.time() - began_s


async def _rev_1(s: Subject) -> str:
    await _timer(s, 1)
    try:
        require(await _number(s, 704, "WSetRvrtTms") == 1, "the reversion time was not taken")
        after_s = await _until_off(s, 1 + _PATIENCE_S)
    finally:
        await s.put_back(704, *_REVERSION)
    require(after_s < 1 + 3, f"fell back only after {after_s:.1f} s instead of 1 s")
    return "runs out: the reversion values are in force"


async def _rev_2(s: Subject) -> str:
    await _timer(s, 60)
    try:
        await s.write(704, "WSetRvrtTms", 600)
        left_s = await _number(s, 704, "WSetRvrtRem")
        require(60 < left_s <= 600, f"{left_s:g} s are left after the time was set to 600 s")
        await s.write(704, "WSetRvrtTms", 1)
        await _until_off(s, 1 + _PATIENCE_S)
    finally:
        await s.put_back(704, *_REVERSION)
    return "a new time holds from when it is written, longer or shorter"


async def _rev_3(s: Subject) -> str:
    await _timer(s, _CANCELLED_S)
    try:
        await s.write(704, "WSetRvrtTms", 0)
        left_s = (await s.device.read(704, "WSetRvrtRem"))["WSetRvrtRem"]
        require(left_s in (None, 0.0), f"{left_s} s are left after the timer was cancelled")
        await asyncio.sleep(1.2 * _CANCELLED_S)
        require(await _number(s, 704, "WSetEna") == 1, "fell back although the timer was cancelled")
    finally:
        await s.put_back(704, *_REVERSION)
    return "a time of 0 cancels it: what was set stays"


FUNCTION_TESTS: tuple[tuple[str, str, Test], ...] = (
    ("CRV-1", "curve 1", _crv_1),
    ("CRV-2", "apply settings", _crv_2),
    ("CRV-3", "apply settings error", _crv_3),
    ("REV-1", "reversion timeout", _rev_1),
    ("REV-2", "reversion time update", _rev_2),
    ("REV-3", "reversion cancel", _rev_3),
)
