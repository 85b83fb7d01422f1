"""What the weather and the nameplates allow."""

import numpy as np

from twin.oracles.output_model import HEATING_K, LOSS_PER_K, OutputModel, believed_temperature_c, derating

NOON = 12 * 3600


def model(people, peak=0.0, error=0.0, tolerance=20, hours=0.25, seed=0):
    peak_w = np.broadcast_to(np.asarray(peak, dtype=float), (people.n,))
    return OutputModel(people, peak_w, hours, np.random.default_rng(seed), error, tolerance)


def test_derating_by_hand():
    """Full sun at 20 degrees: the module has 50, 25 above standard: 10 % less."""
    assert derating(1.0, 20.0) == 1 - LOSS_PER_K * (20 + HEATING_K - 25) == 0.9
    assert believed_temperature_c(15, 4 * 3600) < 0 < 15 < believed_temperature_c(197, 16 * 3600)


def test_a_plant_without_a_house_has_a_value_and_a_house_has_not(make_people):
    people = make_people(3, pv_rated_w=[6000, 6000, 0], battery_p_w=0)
    band = model(people, peak=[0, 3000, 3000], tolerance=200).band(np.array([3000.0, 3000, 0]), 0, 180, NOON)
    assert band.has_value.tolist() == [True, False, False]
    assert abs(band.value_wh[0] - 750) <= 40, "3 kW for a quarter of an hour, to the day's temperature"


def test_the_truth_is_inside_over_years(make_people):
    rng = np.random.default_rng(5)
    people = make_people(
        40, pv_rated_w=rng.uniform(0, 9000, 40) * (rng.random(40) < 0.7), battery_p_w=2000.0, ev_p_w=5000.0,
    )  # fmt: skip
    made = model(people, peak=4000.0, error=3.0)
    outside = 0
    for day in range(300):
        sun = people.pv_rated_w * rng.uniform(0, 1)
        load, battery, car = rng.uniform(0, 4000, 40), rng.uniform(-2000, 2000, 40), rng.uniform(0, 5000, 40)
        band = made.band(sun, day, 1 + day, NOON)
        net = (sun - load + battery - car) * 0.25
        outside += int(((net < band.low_wh) | (net > band.high_wh)).sum())
        assert (band.least_wh <= band.low_wh).all() or (band.low_wh < 0).any()
    assert outside == 0


def test_what_is_impossible_is_outside(make_people):
    people = make_people(2, pv_rated_w=[5000, 0])
    band = model(people, peak=2000.0).band(np.zeros(2), 0, 10, 0)
    assert band.high_wh.tolist() == [0, 0], "nobody exports at night without a battery"
    assert band.low_wh.tolist() == [-625, -625], "a quarter more than the highest load"
    assert band.most_wh.tolist() == [1563, 0]


def test_curtailing_is_admitted_down_to_what_may_be_exported(make_people):
    for curtails, low in ((False, 1250), (True, 0)):
        people = make_people(1, pv_rated_w=10_000, firm_export_w=5000.0, curtails=curtails)
        band = model(people).band(np.array([9000.0]), 0, 180, NOON)
        assert band.low_wh[0] == low


def test_a_participant_without_devices(make_people):
    band = model(make_people(1), peak=0.0).band(np.zeros(1), 0, 1, NOON)
    assert (band.low_wh[0], band.high_wh[0], band.has_value[0]) == (0, 0, False)


def test_nobody(make_people):
    assert len(model(make_people(0)).band(np.zeros(0), 0, 1, NOON).low_wh) == 0
