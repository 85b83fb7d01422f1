"""The SCPI client against the emulated source and against peers that misbehave, over real sockets."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from adapters.scpi.ac_source import AcSource
from adapters.scpi.errors import InstrumentError, ScpiError, ScpiLinkError, ScpiTimeoutError
from adapters.scpi.link import ScpiLink
from rigs.ac_source import BenchSource
from rigs.bench_sections import AcSourceSection
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.terminals import Mains, Terminals, new_terminals
from rigs.emulator_process import EmulatorProcess
from rigs.errors import RigError


def with_source(work: Callable[[BenchSource], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        source = BenchSource(AcSourceSection(driver="emulated"))
        try:
            await source.open()
            await source.energise()
            await work(source)
        finally:
            await source.close()

    asyncio.run(main())


def with_peer(answer: Callable[[str], bytes | None], work: Callable[[AcSource], Any]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            said = answer(line.decode().strip())
            if said is None:
                break
            writer.write(said)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        link = ScpiLink("127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=0.2)
        await link.connect()
        try:
            await work(AcSource(link))
        finally:
            await link.close()
            server.close()
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_what_is_set_is_what_is_measured_and_what_the_wires_carry() -> None:
    async def work(source: BenchSource) -> None:
        wires = Terminals(source.terminals_fd)
        assert source.identity.startswith("p2p-grid-twin,emulated ac_source,")
        assert wires.see() == Mains(230.0, 50.0)
        assert await source.apply(1.08) == pytest.approx(1.08)
        assert wires.see() == Mains(248.4, 50.0)
        with pytest.raises(RigError, match="outside v_pu"):
            await source.apply(1.2)
        with pytest.raises(RigError, match="outside v_pu"):
            await source.apply(float("nan"))
        assert wires.see() == Mains(248.4, 50.0)
        await source.make_safe()
        assert wires.see() == Mains(230.0, 50.0)

    with_source(work)


def test_any_scpi_tool_can_talk_to_it() -> None:
    """Long and short forms, any case, several commands in a line, a line in pieces; errors queue in order."""

    async def work(source: BenchSource) -> None:
        def talk() -> None:
            with socket.create_connection(source.endpoint, 2) as sock:
                file = sock.makefile("r")
                for line, expected in (
                    ("SOURce:VOLTage:LEVel:IMMediate:AMPLitude 240;:VOLT?", "240.0000"),
                    ("volt 241.5;freq 49.5;OUTPut:STATe?", "1"),
                    ("MEAS:VOLT:AC?;MEASure:SCALar:FREQuency?", "241.5000;49.5000"),
                    ("OUTP OFF;MEAS:VOLT?;OUTP ON;*OPC?", "0.0000;1"),
                    ("VOLT 999;VOLT high;VOLT;BLOW UP;SYST:ERR?", '-222,"Data out of range"'),
                    ("SYSTem:ERRor:NEXT?", '-104,"Data type error"'),
                    ("SYST:ERR?", '-109,"Missing parameter"'),
                    ("SYST:ERR?", '-113,"Undefined header"'),
                    ("SYST:ERR?", '0,"No error"'),
                    ("NONSENSE;*CLS;SYST:ERR?", '0,"No error"'),
                    ("VOLT?", "241.5000"),
                ):
                    half = len(line) // 2
                    sock.sendall(line[:half].encode())
                    sock.sendall(line[half:].encode() + b"\r\n")
                    assert file.readline().strip() == expected, line
                file.close()

        await asyncio.to_thread(talk)

    with_source(work)


def test_a_refusal_of_the_instrument_is_told_with_its_code() -> None:
    async def work(source: BenchSource) -> None:
        with pytest.raises(InstrumentError, match="Data out of range") as refused:
            await AcSource(source._opened().link).set_voltage(400.0)
        assert refused.value.code == -222
        assert await source.apply(1.0) == pytest.approx(1.0)  # and the link lives

    with_source(work)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda line: b"", ScpiTimeoutError, "no answer within"),
        (lambda line: None, ScpiLinkError, "connection lost"),
        (lambda line: b"what?\n" if line == "SYST:ERR?" else b"", ScpiError, "was answered with"),
        (lambda line: b'0,"No error"\n' if line == "SYST:ERR?" else b"100\n" if "?" in line else b"", ScpiError,
         "reads 100.0 after 230.0"),
        (lambda line: b'0,"No error"\n' if line == "SYST:ERR?" else b"9.91e37\n" if "?" in line else b"",
         ScpiError, "was answered with '9.91e37'"),
    ],
)  # fmt: skip
def test_an_instrument_that_is_not_well_is_a_typed_error(answer, error, text) -> None:
    async def work(source: AcSource) -> None:
        with pytest.raises(error, match=text):
            await source.set_voltage(230.0)

    with_peer(answer, work)


def test_nobody_there_is_a_typed_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        link = ScpiLink("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ScpiLinkError, match="cannot connect"):
            asyncio.run(link.connect())
    with pytest.raises(ScpiLinkError, match="not connected"):
        asyncio.run(ScpiLink("127.0.0.1", 1).ask("*IDN?"))


@pytest.fixture
def wires() -> Iterator[int]:
    fd = new_terminals()
    yield fd
    os.close(fd)


def test_a_device_process_sees_what_the_source_process_applies(wires) -> None:
    """Two processes and a setting over SCPI between them: the inverter trips at 1.12 pu after 13 s."""

    async def main() -> None:
        section = AcSourceSection(driver="emulated")
        source = BenchSource(section)
        inverter = EmulatorProcess(
            EmulatorConfig("pv", "pv_inverter", 8000.0, serial="1", terminals_fd=source.terminals_fd)
        )
        try:
            await asyncio.gather(source.open(), inverter.ready())
            await source.energise()

            async def power_w() -> float:
                return float((await inverter.ask("truth"))["power_w"])

            await inverter.ask(
                "advance", step_s=60, p_available_w=5000.0, v_pu=0.5
            )  # the wires hold, not this
            assert await power_w() == pytest.approx(5000)
            await source.apply(1.12)
            await inverter.ask("advance", step_s=12)
            assert await power_w() == 0  # ceased for a moment
            await source.apply(1.0)
            await inverter.ask("advance", step_s=5)
            assert await power_w() == pytest.approx(5000)  # and back at once
            await source.apply(1.12)
            await inverter.ask("advance", step_s=14)
            await source.apply(1.0)
            await inverter.ask("advance", step_s=5)
            assert await power_w() == 0  # tripped
        finally:
            inverter.end()
            await source.close()

    asyncio.run(main())
