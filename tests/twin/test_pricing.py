"""Coordination 'price': what bids make of a charge, where the money goes, and that charges keep the feeder within limits."""

from types import SimpleNamespace

import numpy as np
import pytest

from market.orders import BATTERY, BUY, EV, HOUSE, PV, SELL, SUPPLIER, empty_fills, empty_orders
from twin.charge_tally import ChargeTally
from twin.network_charges import NetworkCharges, bearable_micro, charged_micro_up, net_of_charges, valued

LIMITS = {"voltage_min_pu": 0.975}


def orders(*rows):
    made = empty_orders(len(rows))
    for i, (who, side, device, flexible, price) in enumerate(rows):
        made[i] = (i, who, side, device, flexible, 100, price, 0, 0)
    return made


def nodal(*micro):
    whole = np.array(micro, dtype=np.int64)
    return NetworkCharges(whole, -whole, whole.astype(float), np.zeros(len(whole)))


BOOK = (
    (0, BUY, EV, True, 320_000),
    (0, BUY, HOUSE, False, 300_000),
    (1, SELL, PV, True, 80_000),
    (1, SELL, BATTERY, True, 150_000),
)
BEARABLE, ASKS = np.array([60_000, 60_000]), np.array([0, 150_000])


def bids(*charge):
    made = net_of_charges(orders(*BOOK), nodal(*charge), BEARABLE, ASKS, 80_000)
    return dict(zip(made["id"].tolist(), made["price_micro_per_kwh"].tolist(), strict=True))


def test_a_buyer_bears_a_charge_up_to_what_it_can_bear_and_then_bids_less():
    assert bids(-60_000, 0)[0] == 320_000  # a kWh put in is worth 60,000 there: who draws pays it
    assert bids(-60_001, 0)[0] == 319_999  # so the supplier's price is too much now: it waits
    assert bids(50_000, 0)[0] == 320_000, "nobody bids more than the supplier's price, at the same charge"
    assert 0 not in bids(-400_000, 0), "an order below nothing is none"


def test_what_only_changes_supplier_pays_no_charge_and_bids_as_before():
    assert bids(-90_000, 0)[1] == 300_000


def test_a_seller_asks_for_its_charge_and_a_battery_for_its_reserve_besides():
    found = bids(0, 100_000)
    assert (found[2], found[3]) == (100_000, 250_000)
    relieved = bids(0, -100_000)
    assert (relieved[2], relieved[3]) == (80_000, 80_000), "not below what the supplier pays"


def test_orders_are_valued_at_what_they_are_worth_to_their_owner():
    worth = valued(orders(*BOOK), BEARABLE)["price_micro_per_kwh"].tolist()
    assert worth == [380_000, 300_000, 0, 150_000]


def test_who_owes_is_rounded_up_whichever_way_the_money_goes():
    fills = empty_fills(4)
    fills["participant"], fills["side"] = (0, 0, 1, 1), (BUY, BUY, SELL, SELL)
    fills["flexible"], fills["counterparty"] = (True, False, True, True), (-1, -1, -1, SUPPLIER)
    charges = NetworkCharges(np.array([0, 7]), np.array([5, 0]), np.zeros(2), np.zeros(2))
    owed = charged_micro_up(fills, np.array([333, 333, 100, 200]), charges, 2)
    assert owed.tolist() == [2, 1 + 2]  # 1.665, 0.7 and 1.4
    paid = NetworkCharges(np.array([0, -7]), np.array([-5, 0]), np.zeros(2), np.zeros(2))
    assert charged_micro_up(fills, np.array([333, 333, 100, 200]), paid, 2).tolist() == [-1, 0 - 1]


def test_what_can_be_borne_is_drawn_per_participant_between_half_and_all():
    drawn = bearable_micro(3, [f"h{i}" for i in range(200)], 100_000)
    assert drawn.min() >= 50_000 and drawn.max() <= 100_000 and len(set(drawn.tolist())) > 150
    assert bearable_micro(3, ["h7"], 100_000)[0] == drawn[7], "adding a house leaves the others as they were"


def interval(*congestion):
    charges = None if not congestion else nodal(*congestion)
    session = SimpleNamespace(charges=charges)
    entry = SimpleNamespace(
        charged_micro=np.array([1, 2]) if congestion else None, network_micro=3 if congestion else 0
    )
    accepted = SimpleNamespace(session=session)
    return SimpleNamespace(interval=0, decided=SimpleNamespace(accepted=accepted), entry=entry)


@pytest.mark.parametrize(
    ("levels", "swing", "turns"),
    [
        ((10_000,) * 20, 100 / 39, 0),
        ((10_000, 0) * 10, 100.0, 10),
        ((8_000, 12_000) * 10, 100 * 84 / 388, 9),
    ],
)
def test_a_swing_tells_charges_that_settle_from_those_that_come_and_go(levels, swing, turns):
    tally = ChargeTally(("a", "b"))
    for level in levels:
        tally.columns([interval(level, level)])
    kpis = tally.kpis()
    assert kpis["congestion_charge_swing_percent"] == pytest.approx(swing)
    assert kpis["congestion_charge_reversals_count"] == turns
    assert kpis["network_charges_micro"] == 3 * len(levels)


@pytest.fixture(scope="module")
def priced(run_street):
    return run_street(
        coordination={"mode": "price"},
        limits=LIMITS,
        settlement={"chain": "embedded"},
        outputs={"report": True},
    )


def test_charges_keep_the_street_within_limits_from_the_interval_after_it_was_strained(priced, run_street):
    free = run_street(coordination={"mode": "none"}, limits=LIMITS)
    assert free.kpis["violations_count"] > 0 and priced.kpis["cut_wh"] == 0
    assert priced.kpis["violated_s"] < 0.5 * free.kpis["violated_s"]
    strained = [run.table("intervals")["v_min_pu"].to_numpy() < 0.975 for run in (free, priced)]
    assert (
        strained[0][4:8].all() and strained[1].sum() == 2
    )  # the first, which nobody had been charged for, and one
    assert priced.kpis["ev_wh"] == pytest.approx(free.kpis["ev_wh"], rel=0.15), "later, not never"
    assert free.kpis["network_charges_micro"] is None and len(free.table("charges")) == 0


def test_the_money_of_charges_goes_to_the_network_and_nothing_is_lost(priced):
    table = priced.table("charges").to_pandas()
    assert priced.kpis["money_sum_micro"] == 0
    assert table["charged_micro"].sum() == priced.kpis["network_charges_micro"] > 0
    kept = priced.table("entries").to_pandas()
    network = kept[kept["account"] == "network"]
    assert network["money_micro"].sum() == priced.kpis["network_charges_micro"] and set(network["kind"]) == {
        "network"
    }
    assert kept["money_micro"].sum() == 0
    settled = next(c for c in priced.checks if c["name"] == "settlement")
    assert settled["verdict"] == "pass", "the chain's balances, the network's among them, equal the books"


def test_charges_are_those_of_the_interval_before_and_a_place_cancels(priced):
    table = priced.table("charges").to_pandas()
    assert table["interval"].min() == 1
    assert (table["sell_micro_per_kwh"] == -table["buy_micro_per_kwh"]).all()
    whole = np.rint(table["congestion_micro_per_kwh"] + table["loss_micro_per_kwh"])
    assert (whole == table["sell_micro_per_kwh"]).all()


def test_the_report_says_what_was_charged_and_whether_it_settled(priced):
    text = (priced.folder / "report.html").read_text()
    assert "The network account received" in text and "from one interval to the next they changed by" in text


def test_charges_by_distance_are_the_path_to_the_transformer_and_never_change(run_street):
    run = run_street(
        coordination={"mode": "price", "price": "distance", "distance_price_eur_per_kwh_per_ohm": 0.05},
        limits=LIMITS,
        duration_days=0.08,
    )
    table = run.table("charges").to_pandas()
    assert table.groupby("participant")["buy_micro_per_kwh"].nunique().max() == 1
    assert (table["buy_micro_per_kwh"] == table["sell_micro_per_kwh"]).all() and (
        table["sell_micro_per_kwh"] > 0
    ).all()
    assert run.kpis["money_sum_micro"] == 0 and run.kpis["congestion_charged_intervals_count"] == 0
