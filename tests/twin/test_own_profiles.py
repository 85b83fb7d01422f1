"""Who follows which profile: its own by name, that of the case, or a chosen one that is noted."""

from datetime import datetime

import numpy as np

from adapters.grid.feeder import CaseAsset, ConnectionPoint, Feeder
from adapters.grid.profiles import ProfileTable
from twin.own_profiles import with_profiles


def table(names, pv_names):
    return ProfileTable(
        names=names, p=np.zeros((1, len(names))), q=np.zeros((1, len(names))),
        pv_names=pv_names, pv=np.zeros((1, len(pv_names))), step_s=900, start=datetime(2016, 1, 1),
    )  # fmt: skip


def street(assets):
    nan = np.full(1, np.nan)
    points = tuple(ConnectionPoint(f"home {i}", 1, p_rated_w=1.0) for i in range(3))
    return Feeder(
        "street", "street", ("a", "b"), np.full(2, 400.0), 0, ("line",), ("line",), np.array([0]), np.array([1]),
        nan, nan, points, assets, np.zeros((2, 2)), None,
    )  # fmt: skip


def test_plants_follow_their_own_name_then_the_case_then_the_first():
    plants = (
        CaseAsset("pv", "roof", 0, 1.0, profile="PV1"),
        CaseAsset("pv", "shed", 1, 1.0, profile="PV8"),
        CaseAsset("pv", "barn", 1, 1.0, profile="lost"),
        CaseAsset("battery", "cellar", 1, 1.0, 1.0),
    )
    feeder = street(plants)
    got = with_profiles(feeder, table(("house",), ("PV1", "PV8", "roof")), 1)
    assert [a.profile for a in got.assets] == ["roof", "PV8", "PV1", None]
    assert [note for note in got.notes if "PV plants" in note] == [
        "1 PV plants of the case have no profile of their own; PV1 is used."
    ]
    without = with_profiles(feeder, table(("house",), ()), 1)
    assert [a.profile for a in without.assets] == ["PV1", "PV8", "lost", None], (
        "placement complains about them"
    )
