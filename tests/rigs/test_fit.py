"""The fit recovers a known time constant from an emulated device's own registers, and says how well."""

import math
import random

import pytest

from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.fit import fit_step, has_drifted


@pytest.mark.parametrize("response_s", [0.5, 2.0, 7.0])
def test_the_time_constant_of_an_emulated_inverter_is_found_from_its_response(response_s) -> None:
    device = build(EmulatorConfig("x", "pv_inverter", 8000.0, response_s=response_s))
    device.surroundings(6000.0, 1.0)
    times, powers = [], []
    for k in range(1, 200):
        device.advance(0.1)
        times.append(0.1 * k)
        powers.append(device.process.power_w)
    fit = fit_step(times, powers, 0.0, 6000.0)
    assert fit.response_s == pytest.approx(response_s, rel=1e-6)
    assert fit.worst_w < 0.01
    assert not has_drifted(fit, response_s)
    assert has_drifted(fit, response_s * 1.5)


def test_noise_is_reported_as_the_error_of_the_fit() -> None:
    rng = random.Random(3)
    times = [0.2 * k for k in range(100)]
    powers = [2000 - 3000 * math.exp(-t / 3) + rng.gauss(0, 20) for t in times]
    fit = fit_step(times, powers, -1000.0, 2000.0)
    assert fit.response_s == pytest.approx(3, rel=0.03)
    assert fit.rms_w == pytest.approx(20, rel=0.25)


@pytest.mark.parametrize(
    ("times", "powers", "ends", "text"),
    [([1, 2], [1, 2], (0, 1), "three samples"), ([1, 1, 2], [1, 2, 3], (0, 1), "must rise"),
     ([1, 2, 3], [1, math.nan, 3], (0, 1), "not a number"), ([1, 2, 3], [1, 2, 3], (5, 5), "no step")],
)  # fmt: skip
def test_what_cannot_be_fitted_is_refused(times, powers, ends, text) -> None:
    with pytest.raises(ValueError, match=text):
        fit_step(times, powers, *ends)
