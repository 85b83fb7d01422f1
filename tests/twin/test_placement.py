"""Where assets land: distances, shares, halves of the street, streams of their own, and problems told."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from adapters.grid.feeder import CaseAsset, ConnectionPoint, Feeder
from twin.placement import distance_from_slack, place
from twin.scenario.schema import Scenario

N = 10


def street(names=None, assets=(), n=N) -> Feeder:
    """A transformer and one line of houses: bus k is k branches from the slack."""
    nan = np.full(n, np.nan)
    names = names or [f"house {i}" for i in range(n)]
    points = tuple(
        ConnectionPoint(name, i + 1, p_rated_w=1000.0 + i, profile="a") for i, name in enumerate(names)
    )
    return Feeder(
        "street", "street", tuple(f"bus {i}" for i in range(n + 1)), np.full(n + 1, 400.0), 0,
        tuple(f"branch {i}" for i in range(n)), ("trafo", *["line"] * (n - 1)), np.arange(n), np.arange(1, n + 1),
        nan, nan, points, tuple(assets), np.stack((np.arange(n + 1.0), np.zeros(n + 1)), axis=1), None,
    )  # fmt: skip


def scenario(*assets, seed=1, start="2016-01-18T12:00:00+01:00", days=1.0, **participants) -> Scenario:
    return Scenario.model_validate(
        {"name": "s", "start": start, "duration_days": days, "seed": seed, "grid": {"source": "x.json"},
         "participants": {"assets": list(assets), **participants}}
    )  # fmt: skip


def placed(s, feeder=None, pv_rows=None):
    problems = []
    people = place(
        s, feeder or street(), {"a": 0}, {"sun": 0, "moon": 1} if pv_rows is None else pv_rows,
        lambda *problem: problems.append(problem),
    )  # fmt: skip
    return people, problems


def rows(column):
    return np.flatnonzero(column).tolist()


def ev(**keys):
    return {"kind": "ev", **keys}


def battery(**keys):
    return {"kind": "battery", **keys}


def test_distance_is_counted_in_branches():
    assert distance_from_slack(street()) == pytest.approx(np.arange(11), abs=1e-4)
    turned = replace(street(), branch_from=np.arange(1, N + 1), branch_to=np.arange(N))
    assert distance_from_slack(turned) == pytest.approx(np.arange(11), abs=1e-4), (
        "whichever end is called 'from'"
    )
    cut = replace(street(), branch_from=np.array([0, *[5] * 9]), branch_to=np.array([1, *[5] * 9]))
    assert np.isinf(distance_from_slack(cut)[5])


def test_named_points_get_what_is_named():
    people, problems = placed(scenario(ev(at=["house 7", "house 2"], p_max_w=3700)))
    assert problems == []
    assert people.ev_p_w[[2, 7]].tolist() == [3700, 3700]
    assert rows(people.ev_p_w) == [2, 7]
    assert people.load_p_rated_w[3] == 1003
    assert people.names[7] == "house 7"


@pytest.mark.parametrize("where, allowed", [("near_transformer", set(range(5))), ("far_from_transformer", set(range(5, 10))), ("anywhere", set(range(10)))])  # fmt: skip
def test_halves_of_the_street(where, allowed):
    seen = set()
    for seed in range(60):
        people, _ = placed(scenario(battery(count=2, where=where), seed=seed))
        assert len(rows(people.battery_p_w)) == 2
        seen |= set(rows(people.battery_p_w))
    assert seen == allowed


def test_a_share_is_of_those_who_trade():
    people, _ = placed(scenario(ev(share_percent=50)))
    assert len(rows(people.ev_p_w)) == 5
    people, _ = placed(scenario(ev(share_percent=50), include=[f"house {i}" for i in (0, 1, 2, 3)]))
    assert len(rows(people.ev_p_w)) == 2
    assert set(rows(people.ev_p_w)) <= {0, 1, 2, 3}
    assert rows(people.trades) == [0, 1, 2, 3]


def test_adding_a_house_leaves_the_draws_of_the_others():
    """The new house may win a place from another, but nobody else's lot, car, ask or bid changes."""
    s = scenario(ev(count=4), battery(count=4), bid_spread_percent=50)
    few, _ = placed(s)
    names = [f"house {i}" for i in range(N)]
    more, _ = placed(s, street([*names[:3], "new house", *names[3:]], n=N + 1))
    index = [more.names.index(name) for name in few.names]
    assert more.house_bid_share[index].tolist() == few.house_bid_share.tolist()
    assert set(rows(more.ev_p_w[index])) <= set(rows(few.ev_p_w))
    assert len(rows(more.ev_p_w[index])) >= 3
    both = set(rows(more.battery_p_w[index])) & set(rows(few.battery_p_w))
    assert all(more.battery_ask_micro[index[i]] == few.battery_ask_micro[i] for i in both)

    def stays(people):
        return {
            (people.names[x.participant], x.arrival_s, x.departure_s, x.need_wh) for x in people.ev_sessions
        }

    kept = {few.names[i] for i in rows(more.ev_p_w[index])}
    assert {x for x in stays(more) if x[0] in kept} == {x for x in stays(few) if x[0] in kept}


def test_seeds_matter_and_repeat():
    draws = [tuple(rows(placed(scenario(ev(count=4), seed=seed))[0].ev_p_w)) for seed in (1, 1, 2, 3, 4)]
    assert draws[0] == draws[1]
    assert len(set(draws)) > 2


def test_cars_arrive_and_leave_around_their_hours():
    people, _ = placed(
        scenario(ev(count=10, arrival_h=18, departure_h=7, spread_h=0.5, energy_need_wh=20000), days=3)
    )
    stays = people.ev_sessions
    assert len(stays) == 30, "three evenings"
    clock = [(12 * 3600 + x.arrival_s) % 86400 / 3600 for x in stays]
    assert abs(np.mean(clock) - 18) < 0.5 and 0.3 < np.std(clock) < 0.8
    leave = [(12 * 3600 + x.departure_s) % 86400 / 3600 for x in stays]
    assert abs(np.mean(leave) - 7) < 0.5
    assert all(10 * 3600 < x.departure_s - x.arrival_s < 16 * 3600 for x in stays)
    assert all(x.arrival_s % 900 == x.departure_s % 900 == 0 for x in stays)
    need = [x.need_wh for x in stays]
    assert abs(np.mean(need) - 20000) < 3000 and min(need) >= 0 and max(need) <= 60000
    assert [x.arrival_s for x in stays] == sorted(x.arrival_s for x in stays)


def test_a_car_that_never_overlaps_with_itself():
    people, _ = placed(scenario(ev(count=10, arrival_h=8, departure_h=7.5, spread_h=2), days=6))
    for i in range(N):
        mine = [x for x in people.ev_sessions if x.participant == i]
        assert all(a.departure_s <= b.arrival_s for a, b in pairwise(mine))
        assert all(x.departure_s > x.arrival_s >= 0 for x in mine)


def test_day_cars_leave_the_same_day():
    people, _ = placed(
        scenario(ev(count=10, arrival_h=8, departure_h=16, spread_h=0), start="2016-01-18T00:00:00+01:00")
    )
    assert {(x.arrival_s, x.departure_s) for x in people.ev_sessions} == {(8 * 3600, 16 * 3600)}


def test_asks_lie_between_reserve_and_the_middle_of_the_band():
    people, _ = placed(scenario(battery(count=10, reserve_price_eur_per_kwh="0.14")))
    asks = people.battery_ask_micro
    assert (asks >= 140_000).all() and (asks < 140_000 + 90_000).all()
    assert len(set(asks.tolist())) == 10
    assert people.soc_initial.tolist() == [0.5] * 10
    assert people.sell_from_s.tolist() == [17 * 3600] * 10


def test_assets_of_the_case_are_kept_and_not_doubled():
    case = [
        CaseAsset("pv", "roof", 2, 4000.0, profile="moon"), CaseAsset("pv", "shed", 2, 1000.0, profile="moon"),
        CaseAsset("battery", "cellar", 4, 3000.0, 6000.0, 0.9), CaseAsset("battery", "ghost", 5, 3000.0, 0.0),
    ]  # fmt: skip
    people, problems = placed(scenario({"kind": "pv", "count": 9, "p_max_w": 7000}), street(assets=case))
    assert problems == []
    assert people.pv_rated_w.tolist() == [7000, 7000, 5000, *[7000] * 7]
    assert people.pv_profile.tolist() == [0, 0, 1, *[0] * 7]
    assert (people.battery_wh[4], people.battery_p_w[4], people.soc_initial[4], people.battery_wh[5]) == (
        6000,
        3000,
        0.5,
        0,
    )
    bare, _ = placed(scenario(case_assets=False), street(assets=case))
    assert not bare.pv_rated_w.any() and not bare.battery_wh.any()


@pytest.mark.parametrize(
    "assets, path, message, got",
    [
        ([ev(at=["house 3", "hose 4"])], "participants.assets[0].at", "no such connection point", "hose 4"),
        ([ev(count=3), ev(count=8)], "participants.assets[1]", "more assets than free connection points", "8 assets of kind ev"),
        ([ev(count=6, where="near_transformer")], "participants.assets[0]", "more assets than free", "6 assets of kind ev"),
        ([ev(at=["house 3"]), ev(at=["house 3"])], "participants.assets[1].at", "already has an asset of kind ev", "house 3"),
        ([{"kind": "pv", "count": 1, "profile": "mars"}], "participants.assets[0].profile", "no such PV profile", "mars"),
    ],
)  # fmt: skip
def test_problems_are_told(assets, path, message, got):
    _, problems = placed(scenario(*assets))
    ((where, text, found, allowed),) = problems
    assert (where, found) == (path, got)
    assert message in text
    assert allowed


def test_a_plant_of_the_case_that_could_never_generate_is_told():
    case = [CaseAsset("pv", f"roof {i}", i, 4000.0, profile="moon") for i in range(7)]
    _, problems = placed(scenario(), street(assets=case), pv_rows={})
    ((path, text, got, allowed),) = problems
    assert (path, text) == ("profiles.source", "no PV profile for plants of the case")
    assert got == "roof 0, roof 1, roof 2, roof 3, roof 4 and 2 more"
    assert "case_assets: false" in allowed
    assert placed(scenario(case_assets=False), street(assets=case), pv_rows={})[1] == []


def test_unknown_names_and_missing_sun_are_told_together():
    _, problems = placed(
        scenario({"kind": "pv", "count": 1}, ev(at=["x"]), include=["house 1", "nobody"]), pv_rows={}
    )
    assert [p[0] for p in problems] == [
        "participants.include",
        "participants.assets[0]",
        "participants.assets[1].at",
    ]


def test_the_phases_of_a_bus_are_one_place():
    """One branch row per phase, and a lateral of phase b alone: all phases of a bus are equally far."""
    nan, n = np.full(4, np.nan), 7
    f = Feeder(
        "phases", "phases", ("0.a", "0.b", "0.c", "1.a", "1.b", "1.c", "2.b"), np.full(n, 400.0), 0,
        ("l.a", "l.b", "l.c", "m.b"), ("line",) * 4, np.array([0, 1, 2, 4]), np.array([3, 4, 5, 6]), nan, nan,
        (), (), np.zeros((n, 2)), None, (), ("a", "b", "c", "a", "b", "c", "b"), ("a", "b", "c", "b"),
        np.array([0, 0, 0, 1, 1, 1, 2]),
    )  # fmt: skip
    assert distance_from_slack(f).tolist() == [0, 0, 0, 1, 1, 1, 2]
