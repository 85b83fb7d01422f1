"""The public SunSpec list on our own devices, on broken ones, and on a serial line."""

import pytest

from rigs import conformance_functions, conformance_link
from rigs.conformance import Where, conformance
from rigs.emulator.server import ModbusTcpProtocol
from rigs.trial import Arming

NAMES = [
    *("DEV-1", "DEV-2", "RTU-1", "RTU-2", "RTU-3", "TCP-1", "TCP-2", "TCP-3", "MOD-1", "MOD-2", "MOD-3"),
    *("CRV-1", "CRV-2", "CRV-3", "REV-1", "REV-2", "REV-3"),
]


@pytest.fixture(autouse=True)
def hurried(monkeypatch, tmp_path):
    """Nothing here needs a real device's patience."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(conformance_link, "_ANSWER_S", 1.0)
    monkeypatch.setattr(conformance_functions, "_CANCELLED_S", 0.0)


ARMED = Arming(600.0, "1", supervised=False)


def verdicts(where: Where, may_write: bool = True) -> dict[str, str]:
    return {r.name: r.verdict for r in conformance(where, ARMED if may_write else None)}


def test_the_list_is_the_public_one_and_writes_nothing_unasked(serve) -> None:
    served, wrote = serve(), []
    served.device.image.on_write = wrote.append
    results = verdicts(served.where, may_write=False)
    assert list(results) == NAMES
    writes = {"MOD-3", *(n for n in NAMES if n[:3] in ("CRV", "REV"))}
    assert {n for n, v in results.items() if v == "not applicable"} == writes | {"RTU-1", "RTU-2", "RTU-3"}
    assert {v for n, v in results.items() if n not in writes and n[:3] != "RTU"} == {"pass"}
    assert not wrote


def test_a_serial_line_is_tried_as_one(serve) -> None:
    results = verdicts(serve(serial=True).where, may_write=False)
    assert [results[n] for n in ("DEV-1", "RTU-1", "RTU-2", "RTU-3")] == [
        "pass",
        "pass",
        "not applicable",
        "pass",
    ]
    assert {results[n] for n in ("TCP-1", "TCP-2", "TCP-3")} == {"not applicable"}


def test_our_own_device_passes_and_what_was_found_is_put_back(serve) -> None:
    served = serve()
    before = bytes(served.device.image.data)
    results = verdicts(served.where)
    assert set(results.values()) == {"pass", "not applicable"}
    assert {n for n, v in results.items() if v == "not applicable"} == {"RTU-1", "RTU-2", "RTU-3"}
    image, changed = served.device.image, []
    for model_id, layout in image.layouts.items():
        for name, point in layout.points.items():
            at = 2 * (image.address(model_id, name) - image.base)
            if before[at : at + 2 * point.size] != image.data[at : at + 2 * point.size]:
                changed.append(name)
    assert set(changed) <= {"AdptCrvReq", "AdptCrvRslt", "AdptCtlReq", "AdptCtlRslt", "WSetRvrtRem", "DERHb"}


def no_serial(served) -> None:
    served.device.image.clear(1, "SN")


def too_long(served) -> None:
    image = served.device.image
    image.put(715, "L", image.get(715, "L") + 2)
    image.data[-4:] = bytes(4) + b"\xff\xff\x00\x00"


def forgets_writes(served) -> None:
    image = served.device.image
    taken, at = image.write, image.address(704, "WSet")
    image.write = lambda address, data: None if address == at else taken(address, data)


def writes_curves_in_place(served) -> None:
    served.device.volt_watt.allows = lambda name, value: True


def adopts_nothing(served) -> None:
    curves = served.device.watt_var
    curves.adopt = lambda number: curves._put_all({"AdptCrvRslt": 1, "Crv[0].Pt[0].Var": 1.0})


def adopts_anything(served) -> None:
    droop = served.device.freq_droop
    droop.adopt = lambda number: served.device.image.put(711, "AdptCtlRslt", 1)


def ignores_times(served) -> None:
    served.device.control.written = lambda points: served.device.image.put(704, "WSetRvrtRem", 5)


def never_cancels(served) -> None:
    timer = served.device.control._timers["WSet"]
    start = timer.start
    timer.start = lambda seconds: start(seconds or timer.remaining_s)


class OnlyWhole(ModbusTcpProtocol):
    """Takes a segment for a request, as pymodbus' server and some devices do."""

    def data_received(self, data: bytes) -> None:
        if len(data) >= 6:
            super().data_received(data[: 6 + int.from_bytes(data[4:6], "big")])
            self._buffer.clear()


@pytest.mark.parametrize(
    ("broken", "fails"),
    [
        (no_serial, {"DEV-2"}),
        (too_long, {"MOD-1"}),
        (forgets_writes, {"MOD-3"}),
        (writes_curves_in_place, {"CRV-1"}),
        (adopts_nothing, {"CRV-2", "CRV-3"}),
        (adopts_anything, {"CRV-3"}),
        (ignores_times, {"REV-1", "REV-2"}),
        (never_cancels, {"REV-3"}),
    ],
)
def test_what_is_broken_fails_and_nothing_else(serve, monkeypatch, broken, fails) -> None:
    monkeypatch.setattr(conformance_functions, "_PATIENCE_S", 0.0 if broken is ignores_times else 30.0)
    monkeypatch.setattr(conformance_functions, "_CANCELLED_S", 5.0 if broken is never_cancels else 0.0)
    served = serve()
    broken(served)
    armed = broken is not no_serial  # which leaves nothing to arm it by
    assert {n for n, v in verdicts(served.where, armed).items() if v == "fail"} == fails


def test_a_device_that_takes_segments_for_requests_fails(serve) -> None:
    results = verdicts(serve(protocol=OnlyWhole).where, may_write=False)
    failed = {n for n, v in results.items() if v == "fail"}
    assert "TCP-3" in failed
    assert failed <= {"TCP-2", "TCP-3"}, "whether pieces arrive apart is up to the network"


def test_the_report_says_why(serve) -> None:
    served = serve()
    adopts_anything(served)
    (found,) = [r for r in conformance(served.where, ARMED) if r.name == "CRV-3"]
    assert "model 711: AdptCtlRslt is 1 for an unsound set, what is in force stayed" in found.detail
