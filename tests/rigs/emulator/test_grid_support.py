"""IEEE 1547-2018 functions inside emulated devices, against the curves of the standard and against OpenDER."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from adapters.grid.inverter_curves import PRESETS, inverter_output
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.server import Refused

S_VA = 10_000.0
VOLTAGES = (0.89, 0.9, 0.915, 0.92, 0.95, 0.99, 1.0, 1.01, 1.03, 1.055, 1.065, 1.08, 1.09)


class Device:
    """A device in this process, written as a client writes it: registers at addresses."""

    def __init__(self, kind: str = "pv_inverter", available: float = 1.0, **config: Any) -> None:
        capacity = {"capacity_wh": 50_000.0, "soc_initial": 0.5} if kind == "battery" else {}
        self.device: Any = build(EmulatorConfig("x", kind, S_VA, **capacity, serial="1", **config))
        self.image = self.device.image
        self.available_w = available * S_VA
        self.mains(1.0)

    def mains(self, v_pu: float, f_hz: float | None = None) -> None:
        self.device.surroundings(self.available_w, v_pu, f_hz)

    def write(self, model_id: int, **points: float) -> None:
        for name, value in points.items():
            path = name.replace("__", ".")
            point = self.image.layouts[model_id].points[path]
            raw = round(value / 10.0 ** self.image._sf(model_id, path))
            self.image.write(self.image.address(model_id, path), point.encode(raw))

    def write_path(self, model_id: int, path: str, value: float) -> None:
        self.write(model_id, **{path: value})

    def get(self, model_id: int, name: str) -> float:
        return self.image.get(model_id, name)

    def run(self, seconds: float) -> tuple[float, float]:
        """Mean active and reactive power by the device's own registers."""
        self.device.advance(seconds)
        return self.get(701, "W"), self.get(701, "Var")

    def now(self) -> tuple[float, float]:
        return self.device.process.power_w, self.device.reactive.value


@pytest.fixture(autouse=True)
def quiet_opender(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR):
        yield


def opender(step_s: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    from opender import DER, DER_PV, DERCommonFileFormat

    settings = DERCommonFileFormat(NP_NORMAL_OP_CAT="CAT_B", NP_ABNORMAL_OP_CAT="CAT_III")
    settings.QV_MODE_ENABLE = settings.PV_MODE_ENABLE = "ENABLED"
    monkeypatch.setattr(DER, "t_s", step_s)  # its filters read it there
    return DER_PV(settings)


@pytest.mark.parametrize("performance", ["A", "B"])
def test_volt_var_and_volt_watt_settle_where_the_standard_says(performance) -> None:
    pv = Device(performance=performance, category="none")
    pv.write(705, Ena=1)
    pv.write(706, Ena=1)
    expected = inverter_output(
        PRESETS[f"ieee_1547_{performance.lower()}"],
        np.array(VOLTAGES)[:, None], np.full((len(VOLTAGES), 1), S_VA), np.array([S_VA]),
    )  # fmt: skip
    for v, p_w, q_var in zip(VOLTAGES, expected[0][:, 0], expected[1][:, 0], strict=True):
        pv.mains(v)
        pv.run(300)
        assert pv.now() == pytest.approx((p_w, q_var), abs=0.1), v


def test_the_way_there_is_openders_within_its_step(monkeypatch) -> None:
    """Open-loop response times 5 s (volt-var) and 10 s (volt-watt): 90 % of the change by then."""
    pv, unit = Device(response_s=1e-3), opender(0.05, monkeypatch)
    pv.write(705, Ena=1)
    pv.write(706, Ena=1)
    for v in (1.0, 1.08):
        pv.mains(v)
        for k in range(240):
            unit.update_der_input(v_pu=v, f=60, p_dc_pu=1.0)
            unit.run()
            pv.device.advance(0.05)
            if v == 1.08 and k % 20 == 19:
                p_w, q_var = pv.now()
                share_p, share_q = unit.p_out_w / 1e5, unit.q_out_var / 1e5
                assert q_var / S_VA == pytest.approx(share_q, abs=0.004)
                # ours follows the moving limit in pieces, OpenDER in steps of 50 ms
                assert p_w / S_VA == pytest.approx(share_p, abs=0.012)


def test_ninety_percent_of_a_step_is_done_at_the_open_loop_response_time() -> None:
    pv = Device(response_s=1e-4, available=0.5)
    pv.write(705, Ena=1)
    pv.mains(1.08)
    pv.run(5.0)
    assert pv.now()[1] == pytest.approx(-0.9 * 0.44 * S_VA, rel=1e-6)
    pv = Device(response_s=1e-4)
    pv.write(706, Ena=1)
    pv.mains(1.08)
    pv.run(10.0)
    assert pv.now()[0] == pytest.approx(S_VA - 0.9 * 0.5 * S_VA, rel=0.01)


def test_the_energy_of_a_transient_does_not_depend_on_the_steps_it_is_seen_in() -> None:
    means = []
    for steps in (1, 90):
        pv = Device()
        pv.write(705, Ena=1)
        pv.write(706, Ena=1)
        pv.mains(1.085)
        for _ in range(steps):
            pv.device.advance(90 / steps)
        means.append((pv.device.process.export_wh, pv.device.inductive_varh))
    assert means[0][0] == pytest.approx(means[1][0], rel=2e-3)
    assert means[0][1] == pytest.approx(means[1][1], rel=1e-9)
    # the integral of a first-order lag: Q (t - tau (1 - exp(-t / tau)))
    tau = 5 / math.log(10)
    assert means[0][1] == pytest.approx(4400 * (90 - tau) / 3600, rel=1e-6)


@pytest.mark.parametrize(
    ("category", "v_pu", "after_s"),
    [("III", 1.12, 13.0), ("III", 1.21, 0.16), ("III", 0.85, 21.0), ("III", 0.4, 2.0), ("II", 1.12, 2.0),
     ("II", 0.65, 10.0), ("II", 0.4, 0.16), ("I", 0.65, 2.0)],
)  # fmt: skip
def test_voltage_trips_come_when_the_category_says(category, v_pu, after_s) -> None:
    pv = Device(category=category)
    pv.run(10)
    pv.mains(v_pu)
    pv.run(after_s - 0.02)
    assert not pv.device.ride_through.tripped
    pv.run(0.04)
    assert pv.device.ride_through.tripped
    assert pv.now() == (0.0, 0.0)
    bit = 10 if v_pu > 1 else 11
    assert int(pv.get(701, "Alrm")) == 1 << bit
    assert (pv.get(701, "ConnSt"), pv.get(103, "St")) == (0, 8)
    curve = 708 if v_pu > 1 else 707
    shown = [(pv.get(curve, f"Crv[0].MustTrip.Pt[{i}].V"), pv.get(curve, f"Crv[0].MustTrip.Pt[{i}].Tms"))
             for i in (0, 2)]  # fmt: skip
    assert after_s in [t for _, t in shown]  # what is read is what is done


@pytest.mark.parametrize(("off_hz", "after_s"), [(1.3, 300), (2.1, 0.16), (-1.6, 300), (-3.6, 0.16)])
def test_frequency_trips(off_hz, after_s) -> None:
    pv = Device()
    pv.mains(1.0, 50 + off_hz)
    pv.run(after_s - 0.1)
    assert not pv.device.ride_through.tripped
    pv.run(0.2)
    assert pv.device.ride_through.tripped


def test_a_dip_that_ends_in_time_is_ridden_through_and_the_clock_starts_anew() -> None:
    pv = Device()
    for _ in range(3):
        pv.mains(0.8)
        pv.run(20)
        pv.mains(1.0)
        pv.run(5)
    assert not pv.device.ride_through.tripped
    assert pv.now()[0] == S_VA


def test_output_ceases_for_a_moment_and_returns_by_itself() -> None:
    """Category III above 1.10 pu and below 0.50 pu: no output, no trip, back within 0.4 s."""
    pv = Device()
    pv.run(10)
    assert pv.now()[0] == S_VA
    pv.mains(1.15)
    assert pv.now()[0] == 0
    pv.run(5)
    pv.mains(1.05)
    pv.run(0.4)
    assert pv.now()[0] > 0.8 * S_VA
    assert Device(category="II").device.ride_through.forbids is False


def test_service_is_entered_after_an_unbroken_wait_and_output_rises_slowly() -> None:
    pv = Device()
    pv.mains(0.3)
    pv.run(3)
    pv.mains(1.0)
    pv.run(299)
    assert pv.get(703, "ESDlyRemTms") == 1
    pv.mains(1.06)  # outside the window of 0.917 .. 1.05: the wait starts anew
    pv.run(10)
    pv.mains(1.0)
    pv.run(299)
    assert pv.now()[0] == 0
    pv.run(1 + 150)
    assert pv.now()[0] == pytest.approx(S_VA / 2, rel=0.01)
    assert pv.get(701, "InvSt") == 2
    pv.run(151)
    assert pv.now()[0] == pytest.approx(S_VA, rel=1e-3)
    assert int(pv.get(701, "Alrm")) == 0


@pytest.mark.parametrize("model_id", [703, 707, 708, 709, 710])
def test_protection_settings_are_not_taken_over_the_wire(model_id) -> None:
    pv = Device()
    for name, point in pv.image.layouts[model_id].points.items():
        if point.writable:
            before = pv.image.read(pv.image.address(model_id, name), point.size)
            with pytest.raises(Refused) as refused:
                pv.image.write(pv.image.address(model_id, name), before)
            assert refused.value.code == 2


def test_a_stored_curve_comes_into_force_when_it_is_adopted_and_goes_with_its_timer() -> None:
    battery = Device("battery")
    for i, (v, q) in enumerate(((95, 30), (99, 0), (101, 0), (105, -30))):
        battery.write_path(705, f"Crv[2].Pt[{i}].V", v)
        battery.write_path(705, f"Crv[2].Pt[{i}].Var", q)
    battery.write(705, Ena=1)
    battery.mains(1.05)
    battery.run(120)
    assert battery.now()[1] == pytest.approx(-0.22 * S_VA, abs=0.1)  # nothing was adopted yet
    battery.write(705, RvrtTms=60)
    battery.write(705, AdptCrvReq=3)
    assert battery.get(705, "AdptCrvRslt") == 1
    assert battery.get(705, "Crv[0].Pt[3].Var") == -30
    battery.run(59)
    assert battery.now()[1] == pytest.approx(-0.30 * S_VA, abs=1)
    assert battery.get(705, "RvrtRem") == 1
    battery.run(61)
    assert battery.now()[1] == pytest.approx(-0.22 * S_VA, abs=1)
    assert battery.get(705, "Crv[0].Pt[3].Var") == -44


@pytest.mark.parametrize(
    ("path", "value"), [("ActPt", 1), ("ActPt", 5), ("Pt[1].V", 91), ("Pt[0].Var", 101), ("DeptRef", 3)]
)
def test_an_unsound_curve_is_refused_when_it_is_adopted_and_the_old_one_stays(path, value) -> None:
    pv = Device()
    model_id = 706 if path == "DeptRef" else 705
    if model_id == 706:
        value = 1  # percent of available watts: not offered
    before = pv.get(model_id, "Crv[0].ActPt")
    pv.write_path(model_id, f"Crv[1].{path}", value)
    pv.write(model_id, AdptCrvReq=2)
    assert pv.get(model_id, "AdptCrvRslt") == 2
    assert pv.get(model_id, "Crv[0].ActPt") == before
    with pytest.raises(Refused):
        pv.write_path(model_id, "Crv[0].ActPt", 3)  # what is in force cannot be written


def test_a_controllers_heartbeat_that_stops_sends_the_device_to_its_default() -> None:
    battery = Device("battery", heartbeat_s=10.0)
    battery.write(704, WSet=4000, WSetRvrt=-500, WSetEnaRvrt=1, WSetEna=1)
    battery.run(100)
    assert battery.now()[0] == 4000  # nobody ever sent a heartbeat: it is not listened for
    for k in range(20):
        battery.write(715, ControllerHb=k)
        battery.run(5)
    assert battery.now()[0] == 4000
    for _ in range(3):
        battery.write(715, ControllerHb=19)  # it still writes, but the value stands still
        battery.run(5)
    assert battery.now()[0] == pytest.approx(-500, abs=1)
    assert int(battery.get(701, "Alrm")) == 1 << 16
    assert battery.get(715, "DERHb") == int(battery.device.now_s)
    battery.write(715, ControllerHb=20)
    battery.run(1)
    assert int(battery.get(701, "Alrm")) == 0


def test_a_stop_is_obeyed_and_a_start_too() -> None:
    pv = Device()
    pv.write(715, OpCtl=0)
    assert (pv.run(60)[0], pv.get(701, "InvSt")) == (pytest.approx(0, abs=15), 7)
    pv.write(715, OpCtl=1)
    assert pv.run(60)[0] == pytest.approx(S_VA, abs=20)


def test_power_factor_and_reactive_power_by_704() -> None:
    pv = Device(available=0.5)
    pv.write(704, PFWInj__PF=0.9, PFWInj__Ext=1, PFWInjEna=1)
    pv.run(10)
    p_w, q_var = pv.now()
    assert math.cos(math.atan2(q_var, p_w)) == pytest.approx(0.9)
    assert q_var < 0  # under-excited: absorbs
    pv.write(704, PFWInjEna=0, VarSet=3000, VarSetEna=1)
    pv.run(10)
    assert pv.now() == pytest.approx((5000, 3000))
    with pytest.raises(Refused):
        pv.write(704, VarSet=4500)  # more than it can
    pv = Device()
    pv.write(704, VarSet=4000, VarSetEna=1)
    pv.run(10)
    assert pv.now()[0] == pytest.approx(math.sqrt(S_VA**2 - 4000**2))  # reactive power first
    pv.write(704, VarSetPri=0)
    pv.run(10)
    assert pv.now() == pytest.approx((S_VA, 0), abs=1e-3)  # active power first


def test_the_least_of_both_watt_limits_holds() -> None:
    pv = Device()
    pv.write(123, WMaxLimPct=60, WMaxLim_Ena=1)
    pv.write(704, WMaxLimPct=40, WMaxLimPctEna=1, WMaxLimPctRvrtTms=30)
    assert pv.run(29)[0] == pytest.approx(4000, abs=20)
    pv.run(2)
    pv.run(10)
    assert pv.now()[0] == pytest.approx(6000, abs=1)


def test_everything_is_off_as_the_standard_delivers_it() -> None:
    for kind in ("pv_inverter", "battery"):
        device = Device(kind)
        device.mains(1.09)
        device.run(900)
        assert device.now() == (S_VA if kind == "pv_inverter" else 0, 0)


def test_watt_var_follows_active_power_both_ways_and_gives_way_to_volt_var() -> None:
    """IEEE 1547-2018, table 9, category B; the battery absorbs with the same shape mirrored."""
    battery = Device("battery")
    battery.write(712, Ena=1)
    for p_w, q_var in ((10_000, -4400), (7_500, -2200), (5_000, 0), (2_000, 0), (-5_000, 0), (-7_500, 2200)):
        battery.write(704, WSetMod=1, WSet=p_w, WSetEna=1)
        battery.run(120)
        p_now_w, q_now_var = battery.now()
        # at rated power and with reactive power first there is room for sqrt(1 - 0.44^2) of it only
        assert q_now_var == pytest.approx(q_var, abs=1)
        assert p_now_w == pytest.approx(min(p_w, math.sqrt(S_VA**2 - q_var**2)), abs=1)
    battery.write(705, Ena=1)
    battery.run(120)
    assert battery.now()[1] == pytest.approx(0, abs=0.1), "at nominal voltage the volt-var curve gives none"


@pytest.mark.parametrize(("f_hz", "share"), [(50.03, 0.0), (49.97, 0.0), (50.5, -0.1856), (49.5, 0.1856), (51.0, -0.3856)])  # fmt: skip
def test_frequency_droop_is_that_of_the_standard(f_hz, share) -> None:
    """``(f - (f_N + db)) / (f_N k)`` with 36 mHz and 5 %: by hand 0.464 / 2.5 = 0.1856, 0.964 / 2.5 = 0.3856."""
    battery = Device("battery")
    battery.write(704, WSetMod=1, WSet=2_000, WSetEna=1)
    battery.run(10)
    battery.write(711, Ena=1)
    battery.mains(1.0, f_hz)
    battery.run(60)
    assert battery.now()[0] == pytest.approx(2_000 + share * S_VA, abs=2)
    battery.mains(1.0, 50.0)
    battery.run(60)
    assert battery.now()[0] == pytest.approx(2_000, abs=2)


def test_frequency_droop_answers_in_its_time_from_where_power_was_and_not_below_its_least() -> None:
    pv = Device(available=0.6)
    pv.run(10)
    pv.write(711, Ena=1)
    pv.mains(1.0, 51.0)
    pv.run(5)
    done = (6_000 - pv.now()[0]) / 3_856
    assert 0.88 < done < 0.94, "nine tenths at the open-loop response time of 5 s"
    pv.run(60)
    assert pv.now()[0] == pytest.approx(6_000 - 3_856, abs=2)
    pv.mains(1.0, 49.5)
    pv.run(60)
    assert pv.now()[0] == pytest.approx(6_000, abs=2), "the sun gives no more"
    pv.write_path(711, "Ctl[1].KOf", 0.03)
    pv.write_path(711, "Ctl[1].PMin", 40)
    pv.write(711, AdptCtlReq=2)
    assert pv.get(711, "AdptCtlRslt") == 1
    pv.mains(1.0, 50.0)
    pv.run(60)
    pv.mains(1.0, 51.1)  # 1.064 / 1.5 would be 71 % less
    pv.run(60)
    assert pv.now()[0] == pytest.approx(4_000, abs=2)


def test_a_droop_without_slope_is_refused_and_the_one_in_force_is_read_only() -> None:
    pv = Device()
    pv.write_path(711, "Ctl[1].KUf", 0)
    pv.write(711, AdptCtlReq=2)
    assert (pv.get(711, "AdptCtlRslt"), pv.get(711, "Ctl[0].KUf")) == (2, 0.05)
    for path in ("Ctl[0].KOf", "AdptCtlReq"):
        with pytest.raises(Refused):
            pv.write_path(711, path, 9)
    pv.write(711, Ena=1, RvrtTms=60)
    pv.run(61)
    assert pv.get(711, "RvrtRem") == 0
