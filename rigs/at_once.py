"""A whole step of a device in lockstep as one exchange: write, read back, advance, read, in one segment each way.

The frames, their order and their decoders are those of the ordinary way (``WireDevice.step``), and so are the results;
only the waiting between the frames is saved. Wherever anything is out of the ordinary (several points to write, a fault
scheduled, a log of frames, another link than plain TCP) the ordinary way is taken.
"""

from contextlib import nullcontext

from adapters.modbus.errors import ModbusError
from adapters.modbus.lean_tcp import LeanTcpPort, read_request
from adapters.modbus.port import ModbusPort
from rigs.device import Ambient
from rigs.emulator import lockstep
from rigs.emulator_process import EmulatorProcess
from rigs.errors import EmulatorError, NotArmedError
from rigs.gate_rules import Decision
from rigs.measure import MapMeter, Reading, SunSpecMeter
from rigs.point_writer import PreparedWrite, Proposal
from rigs.write_gate import WriteGate


class AtOnce:
    """Steps one device. Only for the life of one connection: build it anew after joining."""

    def __init__(self, role: str, port: LeanTcpPort, meter: SunSpecMeter, emulator: EmulatorProcess) -> None:
        self._role, self._port, self._meter, self._emulator = role, port, meter, emulator
        self._unit = meter.device.unit
        self._reads = [read_request(*block) for block in meter.blocks]

    @property
    def stands(self) -> bool:
        """Whether the connection still is the one that the device listens to."""
        return self._port.connected

    async def step(
        self, gate: WriteGate | None, p_w: float, time_s: float, step_s: float, here: Ambient
    ) -> tuple[str, float, Reading | ModbusError]:
        """Order a power, let the step pass, read. Returns what went wrong with the order (empty where nothing
        did), what has really flowed since the start in Wh, and the reading or why there is none.

        Raises:
            EmulatorError: the device is gone, or it is unknown whether its time has passed.
        """
        async with gate.turn if gate is not None else nullcontext():
            return await self._step(gate, p_w, time_s, step_s, here)

    async def _step(
        self, gate: WriteGate | None, p_w: float, time_s: float, step_s: float, here: Ambient
    ) -> tuple[str, float, Reading | ModbusError]:
        proposal, written, note = await self._propose(gate, p_w, time_s)
        pdus = list(written.requests) if written is not None else []
        before = len(pdus)
        pdus += [lockstep.order(step_s, here.p_available_w, here.v_pu, here.q_var), *self._reads]
        try:
            answers = await self._port.exchange(self._unit, pdus, "a step")
        except ModbusError as error:
            await self._emulator.ask("truth")  # tells what became of a process that is gone
            raise EmulatorError(
                f"{self._role}: it is unknown whether its time has passed ({error})"
            ) from error
        if gate is not None and proposal is not None and written is not None:
            note = _said(gate.settle(proposal, *proposal.writer.outcome(written, answers[:before])))
        flowed_wh = lockstep.true_wh(answers[before][7:])
        if flowed_wh is None:
            raise EmulatorError(f"{self._role}: it refused to let time pass")
        return note, flowed_wh, self._decode(answers[before + 1 :])

    async def _propose(
        self, gate: WriteGate | None, p_w: float, time_s: float
    ) -> tuple[Proposal | None, PreparedWrite | None, str]:
        """Return an order that is to be sent with the step, and what went wrong with one that is not."""
        if gate is None:
            return None, None, ""
        try:
            found = gate.propose(p_w, time_s)
            if isinstance(found, Decision):
                return None, None, _said(found)
            written = await found.writer.prepare(gate.actuator.model_id, gate.points(found.value_w))
            if written is not None:
                return found, written, ""
            return None, None, _said(await gate.send(found))
        except (ModbusError, NotArmedError) as error:
            return None, None, str(error)

    def _decode(self, answers: list[bytes]) -> Reading | ModbusError:
        try:
            blocks = [
                self._port.data(self._unit, f"read registers at {address}", request, answer)
                for (address, _), request, answer in zip(
                    self._meter.blocks, self._reads, answers, strict=True
                )
            ]
        except ModbusError as error:
            return error
        return self._meter.decode(blocks)


async def hasten(
    role: str, port: ModbusPort, meter: SunSpecMeter | MapMeter | None, emulator: EmulatorProcess | None
) -> AtOnce | None:
    """Return the quick way of stepping a device, None where it does not have one."""
    if emulator is None or not isinstance(port, LeanTcpPort) or not isinstance(meter, SunSpecMeter):
        return None
    way = AtOnce(role, port, meter, emulator)
    await emulator.ask("hear", port=port.local_port)
    return way


def _said(decision: Decision) -> str:
    """Return what is wrong with a decision, empty where nothing is."""
    return f"{decision.outcome}: {decision.reason}" if decision.outcome in ("rejected", "unknown") else ""
