"""Slots that are open ahead, in runs: what stands is delivered, passes the gate, and every micro is somebody's."""

from fractions import Fraction

import numpy as np
import pytest

from market.ahead import Ahead
from market.continuous_auction import ContinuousAuction
from market.mechanism import Tariff
from market.orders import BATTERY, BUY, HOUSE, POOL, PV, SELL, SUPPLIER, empty_orders
from twin.agents import Intent
from twin.ahead import FIRST_ID, Planner, quoted
from twin.ahead_desk import AheadDesk
from twin.scenario.ahead_section import AheadSection
from twin.scenario.market_section import SupplierSection
from twin.tariff import SupplierTariff

QUARTER, HOUR = 900, 3600
RETAIL, FEED_IN = 320_000, 80_000
TARIFF = SupplierTariff(SupplierSection(retail_price_eur_per_kwh="0.32", feed_in_price_eur_per_kwh="0.08"), 0)
AHEAD = {"horizon_intervals": 3, "trade_percent": 60, "provide_percent": 80, "arbitrageur": "load 12",
         "leaving": [{"provider": "load 1", "at_h": 2.6}]}  # fmt: skip


def frame(result, table):
    return result.table(table).to_pandas()


@pytest.fixture(scope="module")
def pools(run_street):
    """The street's evening: batteries provide, the gate cuts, batches go to the embedded chain."""
    parameters = {"capacity_wh": 1000, "self_discharge_per_h": 0.02}
    market = {"mechanism": "pool_and_book", "parameters": parameters, "ahead": AHEAD}
    return run_street(market=market, settlement={"chain": "embedded"}, duration_days=0.2)


def test_every_part_of_it_happens(pools):
    kpis = pools.kpis
    assert kpis["traded_ahead_wh"] > 0
    assert kpis["provider_delivered_wh"] > 0
    assert kpis["pool_dissipated_wh"] > 0
    assert kpis["cut_wh"] > 0, "a run that the gate does not cut proves nothing of re-execution"
    slots = frame(pools, "pool_slots")
    assert slots["interval"].tolist() == list(range(len(frame(pools, "intervals"))))
    stands = slots["provided_wh"] - slots["withdrawn_wh"] - slots["dissipated_wh"]
    stands += slots["sold_wh"] - slots["bought_wh"]
    assert (stands == slots["kept_wh"] + slots["residual_wh"]).all()


def test_who_left_provides_no_more(pools):
    slots, accounts = frame(pools, "pool_slots"), frame(pools, "pool_accounts")
    left = slots["withdrawn_wh"] > 0
    assert left.any() and slots.loc[left, "interval"].min() >= 11, (
        "2.6 h end within the eleventh quarter-hour"
    )
    mine = accounts[(accounts["participant"] == "load 1") & (accounts["role"] == "provider")]
    assert len(mine) > 0 and mine["interval"].max() < 11
    others = accounts[(accounts["role"] == "provider") & (accounts["participant"] != "load 1")]
    assert others["interval"].max() > 11


def test_every_withdrawal_has_its_row_and_a_reason_where_nothing_came_of_it(pools):
    asked, slots = frame(pools, "withdrawals"), frame(pools, "pool_slots").set_index("interval")
    assert (asked["participant"] == "load 1").all() and (asked["interval"] == 11).all()
    assert asked["slot"].tolist() == [11, 12, 13], "those that were open"
    assert (slots["withdrawn_wh"][asked["slot"]].to_numpy() == asked["withdrawn_wh"]).all()
    assert ((asked["withdrawn_wh"] == 0) == asked["refused"].notna()).all()
    assert (asked["refused"].notna() == asked["reason"].notna()).all()
    (record,) = pools.verdict_record["withdrawals"]
    assert record["left"] + sum(record["refused"].values()) == 3
    assert record["withdrawn_wh"] == asked["withdrawn_wh"].sum()


def test_money_sums_to_zero_and_the_chain_has_the_same_balances(pools):
    assert (frame(pools, "intervals")["money_sum_micro"] == 0).all()
    assert next(c for c in pools.checks if c["name"] == "money")["verdict"] == "pass"
    accounts = frame(pools, "pool_accounts")
    providers = accounts[accounts["role"] == "provider"]
    kept = pools.kpis["bills_total_micro"] - pools.kpis["supplier_income_micro"]
    dust = kept - int(accounts["money_micro"][accounts["role"] == "fund"].sum())
    assert 0 <= dust <= len(providers), (
        "the pool's account: the fund's result, and less than a micro per share"
    )


def test_a_providers_account_is_what_its_bills_show(pools):
    """Bills of batteries without PV, from trades and meters alone: what is left over are the pool's payments."""
    trades, accounts = frame(pools, "trades"), frame(pools, "pool_accounts")
    people = frame(pools, "participants")
    seen = 0
    for name in ("load 0", "load 1", "load 2"):
        mine = accounts[(accounts["participant"] == name) & (accounts["role"] == "provider")]
        for account in mine.itertuples():
            row = people[(people["participant"] == name) & (people["interval"] == account.interval)].iloc[0]
            own = trades[(trades["participant"] == name) & (trades["interval"] == account.interval)]
            local = own[own["counterparty"] == "pool"]
            position = int((local["accepted_wh"] * np.where(local["side"] == "sell", 1, -1)).sum())
            rest = int(row.metered_wh) - position
            plain = int(local["money_micro"].sum()) + rest * (RETAIL if rest < 0 else FEED_IN) // 1000
            stock = local[(local["order_id"] >= FIRST_ID) & (local["device"] == "battery")]
            assert stock["accepted_wh"].sum() == account.delivered_wh
            paid_besides = -int(row.bill_micro) - plain
            assert paid_besides == account.money_micro - int(stock["money_micro"].sum())
            assert account.profit_micro == account.money_micro - (-(-FEED_IN * account.delivered_wh // 1000))
            seen += account.delivered_wh > 0
    assert seen > 10


def test_what_was_traded_ahead_is_delivered_and_passes_the_gate(pools):
    trades = frame(pools, "trades")
    ahead = trades[trades["order_id"] >= FIRST_ID]
    assert set(ahead["device"]) >= {"house", "battery"}
    assert set(ahead.loc[ahead["device"] == "battery", "flexible"]) == {True}
    assert (ahead["accepted_wh"] <= ahead["cleared_wh"]).all()
    for _, rows in trades[trades["counterparty"] == "pool"].groupby("interval"):
        sides = rows.groupby("side")["accepted_wh"].sum()
        assert sides["buy"] == sides["sell"]
    assert trades.groupby(["interval", "order_id", "counterparty"]).size().max() == 1


def test_the_book_trades_ahead_in_a_run_too(run_street):
    ahead = {key: value for key, value in AHEAD.items() if key not in ("arbitrageur", "leaving")}
    noon = {"start": "2016-01-18T11:00:00+01:00", "duration_days": 0.1}
    result = run_street(market={"mechanism": "order_book", "ahead": ahead}, **noon)
    trades = frame(result, "trades")
    assert (trades["order_id"] >= FIRST_ID).sum() > 10
    assert (frame(result, "intervals")["money_sum_micro"] == 0).all()
    local = trades[trades["counterparty"] == "pool"]
    assert (
        result.kpis["bills_total_micro"] == result.kpis["supplier_income_micro"] - local["money_micro"].sum()
    )
    assert result.kpis["provider_profit_micro"] is None


class Flat:
    """A forecast of the same net load everywhere, that counts how often it is asked for a slot."""

    def __init__(self, load_w, pv_w):
        self.load_w, self.pv_w, self.asked = load_w, pv_w, []

    def interval(self, slot):
        self.asked.append(slot)
        return self.load_w, self.load_w / 4, self.pv_w


def planner(people, load_w, pv_w, second=12 * HOUR, horizon=4, n_intervals=40, **section):
    forecaster = Flat(np.asarray(load_w, float), np.asarray(pv_w, float))
    made = Planner(
        AheadSection(horizon_intervals=horizon, **section),
        people,
        forecaster,
        TARIFF,
        (QUARTER, second, n_intervals),
    )
    return made, forecaster


def test_a_share_of_the_forecast_is_traded_in_equal_parts(make_people, make_state):
    """2 kW of need and 6 kW of surplus with a firm limit of 5 kW: half of it in four parts of each slot."""
    people = make_people(3, battery_wh=[0, 0, 9000])
    made, forecaster = planner(people, [2000, 0, 800], [0, 6000, 0], trade_percent=50)
    state = make_state(people)
    plans = [made.plan(k, state) for k in range(6)]
    everything = np.concatenate([plan.orders for plan in plans])
    assert len(set(everything["id"].tolist())) == len(everything)
    assert everything["id"].min() >= FIRST_ID
    assert forecaster.asked == list(range(1, 10)), "every slot once, in order: noise is drawn day by day"
    slot = everything[everything["interval"] == 5]
    per = {(int(o["participant"]), int(o["side"]), bool(o["flexible"])): 0 for o in slot}
    for o in slot:
        per[int(o["participant"]), int(o["side"]), bool(o["flexible"])] += int(o["energy_wh"])
    # quarter-hours of 500 Wh, 1250 and 250 Wh; half of each in whole parts of a quarter
    assert per == {(0, BUY, False): 4 * 62, (1, SELL, False): 4 * 156, (1, SELL, True): 4 * 31}
    assert not (everything["participant"] == 2).any(), "a house with a battery serves itself first"
    assert plans[0].orders["interval"].max() == 4


def test_the_last_slots_are_those_of_the_run(make_people, make_state):
    made, _ = planner(make_people(1), [2000], [0], n_intervals=3)
    state = make_state(make_people(1))
    assert set(made.plan(0, state).orders["interval"].tolist()) == {1, 2}
    assert made.plan(2, state).orders.size == 0


def test_stock_is_committed_once_for_slots_in_the_selling_window(make_people, make_state):
    """8 of 10 kWh above the least charge, five hours to sell: 400 Wh a quarter-hour, of which half is committed."""
    people = make_people(2, battery_wh=10_000, battery_p_w=5_000, soc_min=0.2, battery_sells=[True, False],
                         battery_ask_micro=140_000)  # fmt: skip
    made, _ = planner(people, [0, 0], [0, 0], second=16 * HOUR + 45 * 60, provide_percent=50)
    state = make_state(people, soc=1.0)
    first, second = made.plan(0, state).stock, made.plan(1, state).stock
    assert first["interval"].tolist() == [1, 2, 3, 4]
    assert second["interval"].tolist() == [5]
    assert set(first["energy_wh"].tolist()) == {200}
    assert {(int(o["participant"]), int(o["device"]), int(o["price_micro_per_kwh"])) for o in first} == {
        (0, BATTERY, 140_000)
    }
    weak = make_state(people, soc=0.2)
    made, _ = planner(people, [0, 0], [0, 0], second=16 * HOUR + 45 * 60)
    assert made.plan(0, weak).stock.size == 0


def test_nobody_pays_more_ahead_than_the_last_price():
    orders = empty_orders(4)
    orders["side"] = [BUY, BUY, SELL, SELL]
    orders["price_micro_per_kwh"] = [300_000, 150_000, 80_000, 250_000]
    assert quoted(orders, 200_000)["price_micro_per_kwh"].tolist() == [200_000, 150_000, 200_000, 250_000]


def order(first, who, side, device, flexible, energy, price, interval):
    made = empty_orders(1)
    made[0] = (first, who, side, device, flexible, energy, price, interval, 0)
    return made


def intent(k, orders, ahead):
    zero = np.zeros(4)
    return Intent(k, zero, zero, zero, np.zeros(4, bool), orders, orders, None, ahead)


def test_the_desk_nets_what_stands_and_asks_for_the_rest():
    """200 Wh are bought ahead for interval 1; of a running need of 500 Wh, 300 Wh are asked for again."""
    book = ContinuousAuction(horizon=1)
    desk = AheadDesk(book, book, TARIFF, QUARTER)
    buy = order(FIRST_ID, 0, BUY, HOUSE, False, 200, RETAIL, 1)
    sell = order(FIRST_ID + 1, 1, SELL, PV, True, 260, FEED_IN, 1)
    desk.clear(intent(0, empty_orders(), Ahead(np.concatenate((buy, sell)))))
    running = order(50, 0, BUY, HOUSE, False, 500, 100_000, 1)
    session = desk.clear(intent(1, running, Ahead()))
    orders = session.intent.orders
    assert dict(zip(orders["id"].tolist(), orders["energy_wh"].tolist(), strict=True)) == {
        50: 300, FIRST_ID: 200, FIRST_ID + 1: 200,
    }  # fmt: skip
    fills = session.fills
    assert sorted(zip(fills["order_id"].tolist(), fills["energy_wh"].tolist(), strict=True)) == [
        (FIRST_ID, 200), (FIRST_ID + 1, 200),
    ]  # fmt: skip
    assert set(fills["price_micro_per_kwh"].tolist()) == {200_000}, (
        "both at the middle, where nothing was published"
    )
    assert (orders["id"][session.order_rows] == fills["order_id"]).all()
    assert session.price_micro_per_kwh == 200_000


def test_stored_energy_that_nobody_bought_is_not_sold_to_the_supplier():
    from market.pool_market import PoolAndBook

    pool = PoolAndBook(horizon=1)
    desk = AheadDesk(pool, pool, TARIFF, QUARTER)
    stock = order(FIRST_ID + 7, 2, SELL, BATTERY, True, 900, FEED_IN, 1)
    desk.clear(intent(0, empty_orders(), Ahead(stock=stock)))
    running = np.concatenate((
        order(50, 2, SELL, BATTERY, True, 1000, FEED_IN, 1), order(51, 3, BUY, HOUSE, False, 400, RETAIL, 1),
    ))  # fmt: skip
    session = desk.clear(intent(1, running, Ahead()))
    fills = session.fills
    of_stock = fills[fills["order_id"] == FIRST_ID + 7]
    assert set(of_stock["counterparty"].tolist()) <= {POOL}
    again = fills[fills["order_id"] == 50]["energy_wh"].sum()
    assert again <= 100, "what is committed is not offered twice"
    assert fills[fills["counterparty"] == SUPPLIER]["energy_wh"].sum() <= 100


def test_the_index_is_published_per_interval(run_street):
    """1/p is linear in u between 1/retail and 1/feed-in (supply-demand ratio), recomputed from what was offered."""
    result = run_street(market={"index": "supply_demand"}, duration_days=0.1)
    rows = frame(result, "intervals")
    for row in rows.itertuples():
        if row.offered_buy_wh == 0:
            assert np.isnan(row.index_micro_per_kwh)
            continue
        u = min(Fraction(row.offered_sell_wh, row.offered_buy_wh), Fraction(1))
        assert row.index_micro_per_kwh == int(1 / ((1 - u) / RETAIL + u / FEED_IN))
    assert rows["index_micro_per_kwh"].nunique() > 3


def test_without_a_price_none_is_published(run_street):
    result = run_street(market={"mechanism": "bill_sharing"}, duration_days=0.1)
    assert frame(result, "intervals")["price_micro_per_kwh"].isna().all()
    assert result.kpis["local_traded_wh"] > 0
    assert result.kpis["local_price_mean_micro_per_kwh"] is None


def test_plain_runs_know_nothing_of_it(gated):
    assert gated.kpis["traded_ahead_wh"] is None
    assert frame(gated, "intervals")["index_micro_per_kwh"].isna().all()
    assert Tariff(RETAIL, FEED_IN)
