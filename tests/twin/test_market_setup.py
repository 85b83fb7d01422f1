"""The market section wired into runs: agreements, preferences, every mechanism, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from market.amm_market import AmmMarket
from market.recut import settle_accepted
from market.registry import MECHANISM_NAMES
from twin.cli import main
from twin.market_setup import bilateral_problems, contract_party
from twin.scenario.market_section import AgreementSection, MarketSection
from twin.trading import TradingDesk

AGREEMENT = {
    "seller": "load 3",
    "buyer": "load 8",
    "max_wh": 2000,
    "take_or_pay_wh": 700,
    "price_eur_per_kwh": 0.17,
}
NOON = {"start": "2016-01-18T11:00:00+01:00", "duration_days": 0.125}


def frame(result, table) -> pd.DataFrame:
    return result.table(table).to_pandas()


@pytest.fixture(scope="module")
def contracted(run_street):
    """At noon house 3 has PV to sell; house 8 buys from it by contract, house 12 wants green energy nearby."""
    wishes = [{"buyer": "load 12", "green": True, "max_distance_ohm": 5.0}]
    market = {"agreements": [AGREEMENT], "preferences": wishes}
    return run_street(market=market, settlement={"chain": "embedded"}, **NOON)


def test_take_or_pay_reaches_bills_and_the_chain(contracted):
    """Every bill is recomputed from meters, prices and the contract's clause alone."""
    trades, people = frame(contracted, "trades"), frame(contracted, "participants")
    ends = ["load 3", "load 8"]
    between = trades[trades["counterparty"].isin(ends) & trades["participant"].isin(ends)]
    assert len(between) and set(between["price_micro_per_kwh"]) == {170_000}
    paid_for_nothing = 0
    for interval, rows in people.groupby("interval"):
        local = trades[(trades["interval"] == interval) & (trades["counterparty"] != "supplier")]
        owed = owed_without_delivery(trades, interval)
        paid_for_nothing += owed
        for row in rows.itertuples():
            mine = local[local["participant"] == row.participant]
            position = int((mine["accepted_wh"] * np.where(mine["side"] == "sell", 1, -1)).sum())
            rest = row.metered_wh - position
            money = int(mine["money_micro"].sum()) + rest * (320_000 if rest < 0 else 80_000) // 1000
            money += {"load 3": owed, "load 8": -owed}.get(row.participant, 0)
            assert -money == row.bill_micro, (interval, row.participant)
    assert paid_for_nothing > 0, "no interval in which the clause matters: the test shows nothing"
    assert contracted.kpis["money_sum_micro"] == 0
    assert frame(contracted, "settlement")["status"].tolist() == ["final"]
    chain = next(c for c in contracted.checks if c["name"] == "money")
    assert chain["verdict"] == "pass", "the chain's balances equal the books"


def owed_without_delivery(trades, interval) -> int:
    """What house 8 pays for energy that it did not take, where house 3 offered enough; rounded up."""
    now = trades[(trades["interval"] == interval)]
    contract = now[(now["participant"] == "load 8") & (now["counterparty"] == "load 3")]
    sold = now[(now["participant"] == "load 3") & (now["side"] == "sell")].drop_duplicates("order_id")
    missed = 700 - int(contract["cleared_wh"].sum())
    if missed <= 0 or int(sold["offered_wh"].sum()) < 700:
        return 0
    return -(-missed * 170_000 // 1000)


def test_preferences_make_pairs_that_hold_what_they_ask_for(contracted):
    trades = frame(contracted, "trades")
    wished = trades[(trades["participant"] == "load 12") & trades["counterparty"].str.startswith("load")]
    assert len(wished)
    for row in wished.itertuples():
        other = trades[(trades["interval"] == row.interval) & (trades["participant"] == row.counterparty)]
        mirror = other[other["counterparty"] == "load 12"]
        assert set(mirror["device"]) == {"pv"}
        assert (
            mirror["accepted_wh"].sum()
            == wished[(wished["interval"] == row.interval) & (wished["counterparty"] == row.counterparty)][
                "accepted_wh"
            ].sum()
        ), "pairs shrink on both sides together"


def test_contract_ids_have_no_blanks():
    assert contract_party("LV4.101 Load  38") == "LV4.101_Load_38"
    assert contract_party("plain") == "plain"


def test_names_that_differ_by_blanks_only_cannot_sign_a_contract():
    market = MarketSection(agreements=[AgreementSection(**{**AGREEMENT, "price_eur_per_kwh": 0.1})])
    scenario = SimpleNamespace(market=market, n_intervals=4)
    said = []
    bilateral_problems(scenario, ["load 3", "load_3", "load 8"], lambda *words: said.append(words))
    assert [words[0] for words in said] == ["market.agreements[0].seller"]


@pytest.mark.parametrize("mechanism", sorted(MECHANISM_NAMES))
def test_every_mechanism_settles_and_conserves_money(run_street, mechanism):
    result = run_street(market={"mechanism": mechanism}, duration_days=0.125)
    intervals, trades = frame(result, "intervals"), frame(result, "trades")
    assert (intervals["money_sum_micro"] == 0).all()
    local = trades[trades["counterparty"] == "pool"] if len(trades) else trades
    assert (len(local) > 0) == (mechanism != "none")
    for _, rows in local.groupby("interval"):
        sides = rows.groupby("side")["accepted_wh"].sum()
        assert sides["buy"] == sides["sell"]
    # all money that participants paid is somebody's: the supplier's, or the pool's
    pool_micro = -int(local["money_micro"].sum()) if len(local) else 0
    accounts = frame(result, "pool_accounts")
    if len(accounts):  # the pool also pays for what nobody bought: what is left is the fund's
        assert set(accounts["role"]) == {"fund"}
        pool_micro = int(accounts["money_micro"].sum())
    assert result.kpis["bills_total_micro"] == result.kpis["supplier_income_micro"] + pool_micro


def test_an_amm_executes_what_the_gate_accepted_from_the_opening_state(run_street, monkeypatch):
    """A pool of the test's own, given the run's orders and the accepted amounts, comes to the same prices."""
    seen = {}
    clear = TradingDesk.clear

    def spy(desk, intent):
        seen[intent.interval] = clear(desk, intent)
        return seen[intent.interval]

    monkeypatch.setattr(TradingDesk, "clear", spy)
    market = {"mechanism": "amm", "parameters": {"capacity_wh": 20000}}
    result = run_street(market=market, coordination={"weights": "equal"}, limits={"voltage_min_pu": 0.985})
    trades = frame(result, "trades")
    pool = trades[trades["counterparty"] == "pool"]
    cut = sorted(set(pool[pool["accepted_wh"] < pool["cleared_wh"]]["interval"]))
    assert cut, "the gate cut nothing: the test shows nothing"
    moved = 0
    for interval in cut:
        rows, session = pool[pool["interval"] == interval], seen[interval]
        own = AmmMarket(capacity_wh=20_000)
        fills = own.clear(session.intent.orders, session.tariff, interval).fills
        final = settle_accepted(own, fills, rows["accepted_wh"].to_numpy())
        assert rows["order_id"].tolist() == fills["order_id"].tolist()
        assert rows["price_micro_per_kwh"].tolist() == final.fills["price_micro_per_kwh"].tolist()
        assert rows["money_micro"].tolist() == final.money_micro.tolist()
        moved += (final.fills["price_micro_per_kwh"] != fills["price_micro_per_kwh"]).any()
    assert moved > 0, "prices stood, as if nothing had been executed again"


TWO_PRICES = {**AGREEMENT, "index": {"factor": 1}}
NO_PRICE = {key: value for key, value in AGREEMENT.items() if key != "price_eur_per_kwh"}


@pytest.mark.parametrize(
    "market, expected",
    [
        ({"mechanism": "call_auktion"}, ["market.mechanism", "call_auktion", "call_auction"]),
        ({"parameters": {"kk": 1}}, ["market.parameters.kk", "unknown parameter", "allowed: k,"]),
        ({"parameters": {"k": 2}}, ["market.parameters.k", "got 2", "allowed is 0 to 1"]),
        ({"mechanism": "amm", "parameters": {"fee": 0.0000001}}, ["market.parameters.fee"]),
        ({"shadow": ["mcaffee"]}, ["market.shadow[0]", "mcaffee", "mcafee"]),
        ({"shadow": ["amm"], "shadow_parameters": {"amm": {"size": 3}}}, ["market.shadow_parameters.amm.size", "capacity_wh"]),
        ({"shadow_parameters": {"amm": {}}}, ["market.shadow_parameters.amm", "no such shadow mechanism"]),
        ({"agreements": [{**AGREEMENT, "seller": "load 99"}]}, ["market.agreements[0].seller", "no such connection point", "load 99"]),
        ({"agreements": [{**AGREEMENT, "seller": "load 8"}]}, ["market.agreements[0]", "cannot sell to itself"]),
        ({"agreements": [{**AGREEMENT, "take_or_pay_wh": 3000}]}, ["market.agreements[0]", "take_or_pay_wh", "3000"]),
        ({"agreements": [TWO_PRICES]}, ["market.agreements[0]", "exactly one of price_eur_per_kwh and index"]),
        ({"agreements": [NO_PRICE]}, ["market.agreements[0]", "exactly one of price_eur_per_kwh and index"]),
        ({"agreements": [{**NO_PRICE, "index": {"floor_eur_per_kwh": 0.5, "cap_eur_per_kwh": 0.1}}]}, ["market.agreements[0]", "floor <= cap"]),
        ({"mechanism": "none", "agreements": [AGREEMENT]}, ["market.mechanism", "need a local market"]),
        ({"preferences": [{"buyer": "load 77", "green": True}]}, ["market.preferences[0].buyer", "load 77"]),
        ({"preferences": [{"buyer": "load 3"}]}, ["market.preferences[0]", "preference of load 3: give a neighbour"]),
        ({"preferences": [{"buyer": "load 1", "neighbour": "nobody"}]}, ["market.preferences[0].neighbour", "nobody"]),
        ({"preferences": [{"buyer": "load 1", "max_distance_ohm": -1}]}, ["market.preferences[0].max_distance_ohm", "-1"]),
    ],
)  # fmt: skip
def test_wrong_markets_are_refused_before_anything_runs(
    tmp_path, capsys, street_text, write_day_profiles, market, expected
):
    write_day_profiles(tmp_path / "profiles.csv")
    (tmp_path / "s.yaml").write_text(street_text(market=market))
    assert main(["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and not (tmp_path / "out").exists()
    for part in expected:
        assert part in said, said
