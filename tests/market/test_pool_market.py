"""Pools and books over a horizon: conservation, who pays whom, ageing, ahead, cuts, and a slot worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest

from market.ahead import Distributes, TradesAhead, net_position
from market.errors import OrderError, PoolRefusalError, RangeError
from market.mechanism import Tariff
from market.money import fills_money_micro
from market.orders import BATTERY, BUY, HOUSE, POOL, PV, SELL, SUPPLIER, empty_orders
from market.pool_market import PoolAndBook
from market.pool_slot import ARBITRAGE, BOOK, SWAP
from market.recut import settle_accepted
from market.withdrawal import withdraw

QUARTER = 900
TRADER = 7


def rows(*given, interval=0, first=0):
    """Orders (side, Wh, price, participant, device, flexible) with rising ids and times."""
    book = empty_orders(len(given))
    for i, (side, energy, price, who, device, flexible) in enumerate(given):
        book[i] = (first + i, who, side, device, flexible, energy, price, interval, i)
    return book


def stock(*energies, interval=0, first=10**6, ask=100_000):
    return rows(*((SELL, e, ask, 20 + i, BATTERY, True) for i, e in enumerate(energies)), interval=interval,
                first=first)  # fmt: skip


def market(tariff, *stocks, horizon=0, trader=None, **options):
    made = PoolAndBook(horizon=horizon, **options)
    made.bind(QUARTER, trader, 5_000)
    for interval, brought in enumerate(stocks):
        made.open_slot(interval, tariff, brought)
    return made


def upstream(market, fills, orders, tariff):
    """Fills with the supplier for flexible sales that the market did not take, as a trading desk makes them."""
    done = dict(zip(fills["order_id"].tolist(), fills["energy_wh"].tolist(), strict=True))
    extra = []
    for order in orders:
        left = int(order["energy_wh"]) - done.get(int(order["id"]), 0)
        if order["flexible"] and order["side"] == SELL and order["device"] == PV and left:
            row = np.zeros(1, dtype=fills.dtype)
            for name in ("participant", "side", "device", "flexible", "interval"):
                row[name] = order[name]
            row["order_id"], row["counterparty"], row["energy_wh"] = order["id"], SUPPLIER, left
            row["price_micro_per_kwh"] = tariff.feed_in_micro_per_kwh
            extra.append(row)
    return np.concatenate((fills, *extra))


def settled(made, fills, accepted, interval):
    """(money per fill with final prices, payments, what stays with the pool's account)."""
    local = fills["counterparty"] == POOL
    final = fills.copy()
    if (accepted != fills["energy_wh"])[local].any():
        final[local] = settle_accepted(made, fills[local], accepted[local]).fills
        final["energy_wh"] = fills["energy_wh"]
    payments = made.distribute(interval, final, accepted)
    money = fills_money_micro(final, accepted)
    to_pool = sum(((p.payee == POOL) - (p.payer == POOL)) * p.money_micro for p in payments)
    return final, money, payments, -int(money[local].sum()) + to_pool


def test_it_is_what_the_desk_and_the_ledger_look_for():
    assert isinstance(PoolAndBook(), TradesAhead)
    assert isinstance(PoolAndBook(), Distributes)


def test_a_slot_by_hand(tariff):
    """One provider of 1000 Wh at the middle of the band, one buyer of 300 Wh: the bounded constant product, exactly.

    E = 1000 and p = 0.2 of a band 0.08..0.32 give L = E / (p^-1/2 - hi^-1/2); X = L p^-1/2, and the cost of e is
    p X e / (X - e), with 0.3 % on top.
    """
    made = market(tariff, stock(1_000))
    opening = Fraction(made._slots[0].opening_price)
    assert opening == pytest.approx(200_000, rel=0.005), "the capacity is searched to 1/256 of the stock"
    clearing = made.clear(rows((BUY, 300, 320_000, 1, HOUSE, False)), tariff, 0)
    p, hi = float(opening) / 1e6, 0.32
    x = 1_000 / (p**-0.5 - hi**-0.5) * p**-0.5
    cost = p * x * 0.3 / (x - 300)
    buyer, provider = clearing.fills
    assert (buyer["energy_wh"], provider["energy_wh"]) == (300, 300)
    assert (provider["participant"], provider["device"], provider["flexible"]) == (20, BATTERY, True)
    assert buyer["price_micro_per_kwh"] / 1e6 * 0.3 == pytest.approx(cost * 1.003, abs=12e-6), (
        "four slices, each rounded up"
    )
    _, money, payments, left = settled(made, clearing.fills, clearing.fills["energy_wh"].copy(), 0)
    income = int(money[1]) + sum(
        (p.payee == 20) * p.money_micro - (p.payer == 20) * p.money_micro for p in payments
    )
    assert (income, left) == (-int(money[0]), 0), "all that the buyer paid is the provider's"
    assert made.books.accounts[0].profit_micro == income - 300 * 80
    assert made.books.slots[0].kept_wh == 700


def random_orders(rng, n, interval, first):
    book = empty_orders(n)
    book["id"], book["participant"] = first + np.arange(n), rng.integers(0, 20, n)
    book["side"], book["interval"] = rng.choice([1, -1], n), interval
    book["device"] = np.where(book["side"] > 0, PV, HOUSE)
    book["flexible"] = rng.random(n) < 0.4
    book["energy_wh"], book["time"] = rng.integers(1, 600, n), rng.integers(0, 5, n)
    low, high = rng.integers(80_000, 200_000, n), rng.integers(150_000, 320_001, n)
    book["price_micro_per_kwh"] = np.where(book["side"] > 0, low, high)
    return book


def run(tariff, intervals, cut=None, seed=1, rounds=1):
    """Slots with random orders, ahead and running, providers leaving; yields what the invariants need of each."""
    rng = np.random.default_rng(seed)
    made = market(tariff, horizon=2, trader=TRADER, self_discharge_ppm_per_h=20_000, rounds=rounds)
    for k in range(intervals):
        for slot in range(k, k + 3):
            if slot not in made._slots:
                brought = (
                    stock(1000, 500, 300, interval=slot, first=10**6 + 10 * slot)
                    if slot % 3
                    else empty_orders()
                )
                made.open_slot(slot, tariff, brought)
        if k % 4 == 3:
            made.leave(k, 20 + k % 3, int(rng.integers(1, 10**6 + 1)))
        position = made.take_position(k)
        ahead = [random_orders(rng, 6, s, 10**7 + 1000 * s + 100 * (s - k)) for s in (k + 1, k + 2)]
        running = random_orders(rng, 25, k, 100 * k)
        slot = made._slots[k]
        clearing = made.clear(np.concatenate((running, *ahead)), tariff, k)
        orders = np.concatenate((running, position.traded, position.stock))
        fills = upstream(made, clearing.fills, orders, tariff)
        accepted = fills["energy_wh"].copy()
        if cut is not None:
            cut(rng, fills, accepted)
        yield made, slot, position, clearing, fills, accepted, settled(made, fills, accepted, k)


@pytest.mark.parametrize("rounds", [1, 3])
def test_energy_and_money_are_conserved_and_limits_hold(tariff, count, rounds):
    ahead = arbitrage = residual = stocks = left_early = passed = 0
    for made, slot, position, clearing, fills, _, (_, money, _, left) in run(
        tariff, count(16, 6), rounds=rounds
    ):
        mine = fills[fills["counterparty"] == POOL]
        assert (mine["energy_wh"] * mine["side"]).sum() == 0, "the gate asks for it"
        better = (mine["price_micro_per_kwh"] - mine["limit_micro_per_kwh"]) * mine["side"]
        assert (better >= 0).all()
        row = made.books.slots[-1]
        assert (
            row.provided_wh - row.withdrawn_wh - row.dissipated_wh + row.sold_wh - row.bought_wh
            == row.kept_wh + row.residual_wh
        )
        assert position.stock["energy_wh"].sum() == row.provided_wh - row.withdrawn_wh - row.dissipated_wh
        assert rounds > 1 or not row.elapsed_wh
        passed += row.elapsed_wh
        left_early += row.withdrawn_wh
        # what the curve holds beyond its opening is what people lost, to rounding that the pool keeps
        owners = [a for a in made.books.accounts if a.interval == slot.interval and a.role != "arbitrageur"]
        assert sum(a.money_micro for a in owners) + (left if slot.stock.size else 0) == row.result_micro
        gained = slot.pool.money_micro - slot.opening_cash_micro
        assert 0 <= row.result_micro - gained <= 2 * len(slot.pieces) + 2
        assert left in range(3) if slot.stock.size else left == row.result_micro
        paid = -int(money[fills["counterparty"] == POOL].sum())
        assert clearing.residue_micro == (0 if slot.stock.size else row.result_micro), paid
        ahead += row.ahead_wh
        residual += row.residual_wh
        stocks += row.provided_wh - row.kept_wh
        arbitrage += sum(piece.venue == ARBITRAGE for piece in slot.pieces)
    assert min(ahead, arbitrage, residual, stocks, left_early, passed or rounds == 1) > 0, (
        "a run in which nothing of it happens proves nothing"
    )


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_cut_is_executed_again_and_conserves_money(tariff, count, rounds):
    def cut(rng, fills, accepted):
        """Take a random part of both sides of the pool alike."""
        mine = np.flatnonzero(fills["counterparty"] == POOL)
        take = int(fills["energy_wh"][mine][fills["side"][mine] == SELL].sum() * rng.uniform(0, 0.6))
        for side in (SELL, BUY):
            left = take
            for row in rng.permutation(mine[fills["side"][mine] == side]):
                part = min(left, int(accepted[row]))
                accepted[row] -= part
                left -= part

    moved = 0
    for made, slot, _, _, fills, accepted, (final, money, payments, left) in run(
        tariff, count(12, 5), cut, rounds=rounds
    ):
        mine = fills["counterparty"] == POOL
        moved += int((final["price_micro_per_kwh"] != fills["price_micro_per_kwh"]).any())
        better = (final["price_micro_per_kwh"] - final["limit_micro_per_kwh"]) * final["side"]
        assert (better[mine & (accepted > 0)] >= 0).all()
        assert (accepted * fills["side"])[mine].sum() == 0
        total = sum(a.money_micro for a in made.books.accounts if a.interval == slot.interval)
        outside = -int(money[mine & (fills["device"] != BATTERY)].sum())
        outside -= sum(p.money_micro for p in payments if p.reason == "residual")
        assert total + (left if slot.stock.size else 0) == outside
    assert moved > 3


def test_half_of_a_slot_passes_between_two_rounds(tariff):
    """1000 Wh in store, 200 bought at once: of the 800 left the battery can deliver 400 in the second half.

    The price stands while they go, and the curve is half as deep.
    """
    bids = [(BUY, e, 320_000, 1 + i, HOUSE, False) for i, e in enumerate((200, 100, 500))]
    made = market(tariff, stock(1_000), rounds=2)
    made.bind(QUARTER)
    slot = made._slots[0]
    made.take_position(0)
    slot._round(slot._register(rows(bids[0])))
    price, depth = slot.pool.price_micro_per_kwh, slot.pool.invariant
    slot._run_on(1, 2)
    assert (slot.pool.energy_wh, slot.stock_wh, slot.stayed_wh) == (400, 400, 400)
    assert slot.pool.price_micro_per_kwh == pytest.approx(price, rel=1e-8)
    assert slot.pool.invariant == pytest.approx(depth / 4, rel=1e-8)
    # and whole, through the mechanism: what can no longer be delivered stays in the battery
    made = market(tariff, stock(1_000), rounds=3)
    fills = made.clear(rows(*bids), tariff, 0).fills
    got = {int(f["participant"]): int(f["energy_wh"]) for f in fills if f["side"] == BUY}
    assert (got[1], got[2]) == (200, 100)
    assert got[3] < 500, "after two thirds of the slot the battery cannot deliver 500 Wh any more"
    assert sum(got.values()) == int(fills["energy_wh"][fills["side"] == SELL].sum())
    made.distribute(0, fills, fills["energy_wh"].copy())
    slot = made.books.slots[0]
    assert slot.elapsed_wh > 0 and slot.kept_wh == 1_000 - sum(got.values())
    plain = market(tariff, stock(1_000)).clear(rows(*bids), tariff, 0).fills
    assert plain["energy_wh"][plain["side"] == BUY].sum() == 800


def test_surplus_that_nobody_bought_in_time_has_flowed_to_the_grid(tariff):
    """100 Wh of sun are sold in the first of two rounds: half of them has flowed before the second buyer comes."""
    made = market(tariff, empty_orders(), rounds=2)
    sale, bid = (SELL, 100, 80_000, 3, PV, False), (BUY, 100, 320_000, 1, HOUSE, False)
    fills = made.clear(rows(sale, bid), tariff, 0).fills
    assert fills["energy_wh"].tolist() == [50, 50]
    made.distribute(0, fills, fills["energy_wh"].copy())
    assert (made.books.slots[0].residual_wh, made.books.slots[0].elapsed_wh) == (50, 50)


def test_executed_again_whole_after_rounds_the_prices_stand(tariff):
    made = market(tariff, stock(1_000), rounds=4)
    bids = [(BUY, 40 + 10 * i, 320_000, 1 + i, HOUSE, False) for i in range(6)]
    fills = made.clear(rows((SELL, 150, 80_000, 9, PV, False), *bids), tariff, 0).fills
    again = made.reexecute(fills, fills["energy_wh"].copy())
    off_micro = (again["price_micro_per_kwh"] - fills["price_micro_per_kwh"]) * fills["energy_wh"] / 1000
    assert np.abs(off_micro).max() <= 8, (
        "an order's slices are executed as one: each was rounded by less than 2 micro"
    )
    slot = made._done[0].slot
    slot.breaks.clear()
    moved = made.reexecute(fills, fills["energy_wh"].copy())["price_micro_per_kwh"]
    off_micro = (moved - fills["price_micro_per_kwh"]) * fills["energy_wh"] / 1000
    assert np.abs(off_micro).max() > 50, "had the slot not run on, other prices would have come out"


def test_a_provider_leaves_at_constant_price_and_takes_its_own_energy_only(tariff):
    """Of 1000 + 600 Wh the second provider takes half of its 600 out: 1300 Wh on a curve 1300/1600 as deep."""
    made = market(tariff, stock(1_000, 600))
    slot = made._slots[0]
    price, depth, cash = slot.pool.price_micro_per_kwh, slot.pool.invariant, slot.pool.money_micro
    assert made.leave(0, 21, 500_000) == slot.withdrawn_wh == 300
    assert slot.pool.energy_wh == slot.stock_wh == 1_300
    assert slot.pool.price_micro_per_kwh == pytest.approx(price, rel=1e-8)
    assert slot.pool.invariant == pytest.approx(depth * Fraction(13, 16) ** 2, rel=1e-8)
    assert slot.pool.money_micro == pytest.approx(cash * Fraction(13, 16), abs=2)
    assert slot.opening_cash_micro == slot.pool.money_micro, "who leaves takes no part of a result"
    assert [(claim.participant, claim.energy_wh) for claim in slot.pool.queue.claims()] == [
        (21, 300),
        (20, 1_000),
    ]
    fills = made.clear(rows((BUY, 260, 320_000, 1, HOUSE, False)), tariff, 0).fills
    delivered = {int(fill["participant"]): int(fill["energy_wh"]) for fill in fills if fill["side"] == SELL}
    assert delivered == {20: 200, 21: 60}, "in proportion to what they left in"


def test_the_fund_takes_over_where_the_last_provider_leaves_before_any_trade(tariff):
    made = market(tariff, stock(1_000))
    price = int(made._slots[0].pool.price_micro_per_kwh)
    assert made.leave(0, 20, 10**6) == 1_000
    assert [(w.withdrawn_wh, w.refused, w.reason) for w in made.books.withdrawals] == [(1_000, None, None)]
    slot = made._slots[0]
    assert (slot.pool.energy_wh, slot.stock_wh, slot.stock.size) == (0, 0, 0)
    assert int(slot.pool.price_micro_per_kwh) == pytest.approx(price, rel=1e-4)
    assert made.take_position(0).stock.size == 0


def test_from_a_pool_that_has_traded_the_last_provider_does_not_leave_whole(tariff):
    made = market(tariff, empty_orders(), stock(1_000, interval=1), horizon=1, trader=TRADER)
    made.clear(rows((BUY, 100, 320_000, 1, HOUSE, False), interval=1), tariff, 0)
    slot = made._slots[1]
    assert slot.pieces, "the arbitrageur has carried a purchase to the pool"
    before = slot.pool.state.copy()
    with pytest.raises(PoolRefusalError) as refusal:
        withdraw(slot, 20, 10**6)
    assert refusal.value.code == "last_provider"
    assert made.leave(1, 20, 10**6) == 0
    assert [(w.slot, w.withdrawn_wh, w.refused) for w in made.books.withdrawals] == [(1, 0, "last_provider")]
    assert made.books.withdrawals[0].reason == "slot 1 has traded; it is left when it closes"
    assert (slot.pool.state == before).all() and slot.withdrawn_wh == 0
    with pytest.raises(PoolRefusalError) as refusal:
        withdraw(slot, 5, 10**6)
    assert refusal.value.code == "no_shares"
    with pytest.raises(RangeError, match="ppm"):
        withdraw(slot, 20, 0)


def test_a_withdrawal_of_nothing_says_why(tariff):
    """Half of 1 Wh is no whole Wh; who provides nothing has nothing to take."""
    made = market(tariff, stock(1_000, 1))
    assert made.leave(0, 21, 500_000) == made.leave(0, 5, 500_000) == 0
    first, second = made.books.withdrawals
    assert (first.refused, second.refused) == ("nothing_unsold", "no_shares")
    assert first.reason == "1 of its 1 Wh for slot 0 are unsold: 500000 ppm of that is less than 1 Wh"


def test_accepted_amounts_run_from_the_state_at_the_opening_of_the_interval(tariff):
    """A fresh pool in the opening state, given the smaller amounts in order, comes to the same prices."""
    made = market(tariff, stock(3_000))
    orders = rows((BUY, 300, 320_000, 1, HOUSE, False), (BUY, 400, 320_000, 2, HOUSE, False))
    fills = made.clear(orders, tariff, 0).fills
    accepted = fills["energy_wh"].copy()
    accepted[fills["order_id"] == 0] = 100
    accepted[fills["device"] == BATTERY] = 500
    again = made.reexecute(fills, accepted)
    other = market(tariff, stock(3_000))._slots[0].pool
    for row, energy in ((0, 100), (1, 400)):
        paid = other.buy(energy).money_micro
        assert again["price_micro_per_kwh"][row] == -(-paid * 1000 // energy)
    assert again["price_micro_per_kwh"][2] == fills["price_micro_per_kwh"][2], "a provider's row stands"


def test_a_cut_that_the_pool_cannot_execute_leaves_prices(tariff):
    made = market(tariff)
    orders = rows((SELL, 500, 80_000, 1, PV, False), (BUY, 500, 320_000, 2, HOUSE, False))
    fills = made.clear(orders, tariff, 0).fills
    assert fills.size == 2
    accepted = np.where(fills["side"] == SELL, 0, fills["energy_wh"])
    assert (made.reexecute(fills, accepted) == fills).all()
    with pytest.raises(OrderError, match="still known"):
        made.distribute(5, fills, accepted)
    other = fills.copy()
    other["interval"] = 9
    with pytest.raises(OrderError, match="still known"):
        made.reexecute(other, accepted)


def test_ageing_burns_stock_at_constant_price_and_nothing_else(tariff):
    made = market(tariff, stock(4_000), stock(4_000, interval=1, first=50), horizon=1,
                  self_discharge_ppm_per_h=40_000)  # fmt: skip
    slot = made._slots[1]
    before = slot.pool.price_micro_per_kwh
    made.take_position(0)
    made.clear(empty_orders(), tariff, 0)
    position = made.take_position(1)
    left = int(position.stock["energy_wh"].sum())
    assert left in (3_959, 3_960), "1 % in a quarter of an hour, what is kept rounded down"
    assert slot.pool.price_micro_per_kwh / before == pytest.approx(1, abs=1e-6)
    assert slot.pool.energy_wh == left
    made.clear(empty_orders(), tariff, 1)
    row = made.books.slots
    assert row == [], "nothing is settled before the ledger asks"
    assert made._done[1].slot.kept_wh == left
    claim = market(tariff, horizon=1, self_discharge_ppm_per_h=40_000)
    claim.open_slot(1, tariff, empty_orders())
    claim._slots[1].serve(rows((SELL, 1_000, 80_000, 3, PV, False), interval=1))
    claim.take_position(0)
    claim.take_position(1)
    assert claim._slots[1].dissipated_wh == 0, "a roof's later output is not stored"


def test_what_nobody_bought_is_fed_in_and_the_fund_bears_it(tariff):
    made = market(tariff)
    fills = made.clear(rows((SELL, 500, 80_000, 1, PV, False)), tariff, 0).fills
    assert fills.size == 0, "no neighbour: the meter shows it as the supplier's"
    _, _, payments, left = settled(made, fills, fills["energy_wh"].copy(), 0)
    price = made._done[0].slot.values()[0] // 500
    assert [(p.payer, p.payee, p.money_micro) for p in payments] == [
        (POOL, 1, (price - 80_000) * 500 // 1000)
    ]
    assert left == -payments[0].money_micro == made.books.accounts[0].money_micro < 0
    assert made.books.accounts[0].role == "fund"


def test_flexible_surplus_is_paid_only_as_far_as_the_gate_lets_it_flow(tariff):
    orders = rows((SELL, 500, 80_000, 1, PV, True))
    paid = []
    for flows in (500, 200, 0):
        made = market(tariff)
        fills = upstream(made, made.clear(orders, tariff, 0).fills, orders, tariff)
        assert fills["counterparty"].tolist() == [SUPPLIER]
        payments = made.distribute(0, fills, np.array([flows]))
        paid.append(sum(p.money_micro for p in payments))
    assert paid[0] > paid[1] > paid[2] == 0
    assert paid[1] == pytest.approx(paid[0] * 2 / 5, abs=1)


def test_the_youngest_sale_is_the_one_that_nobody_bought(tariff):
    made = market(tariff)
    orders = rows((SELL, 300, 80_000, 1, PV, False), (SELL, 300, 80_000, 2, PV, False),
                  (BUY, 350, 320_000, 3, HOUSE, False))  # fmt: skip
    fills = made.clear(orders, tariff, 0).fills
    sold = {int(f["participant"]): int(f["energy_wh"]) for f in fills if f["side"] == SELL}
    assert sold == {1: 300, 2: 50}


def test_ahead_a_book_meets_by_price_and_time_and_what_rests_is_cancelled(tariff):
    made = market(tariff, empty_orders(), empty_orders(), horizon=1)
    made.take_position(0)
    ahead = rows((SELL, 500, 150_000, 1, PV, False), (BUY, 200, 170_000, 2, HOUSE, False), interval=1)
    assert made.clear(ahead, tariff, 0).volume_wh == 0, "nothing is delivered before its slot"
    position = made.take_position(1)
    assert dict(zip(position.traded["participant"].tolist(), position.traded["energy_wh"].tolist(), strict=True)) == {
        1: 200, 2: 200,
    }  # fmt: skip
    clearing = made.clear(rows((BUY, 300, 320_000, 3, HOUSE, False), interval=1, first=90), tariff, 1)
    assert sorted(clearing.fills["participant"].tolist()) == [1, 2], "the rest of the offer was cancelled"
    assert set(clearing.fills["price_micro_per_kwh"].tolist()) == {150_000}, "the resting order's price"


def test_an_arbitrageur_earns_what_lies_between_book_and_pool(tariff):
    """An offer rests below the pool's price: he buys it, sells it to the pool, and delivers nothing himself."""
    made = market(tariff, empty_orders(), stock(4_000, interval=1), horizon=1, trader=TRADER)
    made.take_position(0)
    made.clear(rows((SELL, 400, 100_000, 1, PV, False), interval=1), tariff, 0)
    pieces = made._slots[1].pieces
    assert [(p.venue, p.energy_wh, p.value) for p in pieces] == [(ARBITRAGE, 400, 400 * 100_000)]
    profit = pieces[0].swap_micro - 40_000
    assert profit > 0
    made.take_position(1)
    clearing = made.clear(empty_orders(), tariff, 1)
    assert clearing.fills.size == 0
    payments = made.distribute(1, clearing.fills, np.zeros(0, dtype=np.int64))
    assert [p.money_micro for p in payments if p.payee == TRADER] == [profit]
    assert made.books.accounts[-1].role == "arbitrageur"
    losses = [a for a in made.books.accounts if a.role == "provider"]
    # the offer was sold at 0.1, fed in at 0.08: what the provider lost is his profit and that difference
    assert losses[0].money_micro == pytest.approx(-profit - 400 * 20, abs=2)


def test_an_arbitrageur_keeps_the_profit_of_what_flows(tariff):
    """He carried 400 Wh from the book to the pool; the gate lets 100 of them flow, so a quarter of it is his."""
    made = market(tariff, empty_orders(), stock(4_000, interval=1), horizon=1, trader=TRADER)
    made.take_position(0)
    made.clear(rows((SELL, 400, 100_000, 1, PV, False), interval=1), tariff, 0)
    [piece] = made._slots[1].pieces
    made.take_position(1)
    asks = rows((BUY, 400, 320_000, 2, HOUSE, False), interval=1, first=50)
    fills = made.clear(asks, tariff, 1).fills
    sold = fills["order_id"] == 0
    assert fills["energy_wh"][sold].tolist() == [400]
    accepted = np.full(fills.size, 100)
    final, money, payments, left = settled(made, fills, accepted, 1)
    assert final["price_micro_per_kwh"][sold].tolist() == [100_000]
    whole = piece.swap_micro - 40_000
    assert [p.money_micro for p in payments if p.payee == TRADER] == [piece.swap_micro // 4 - 10_000]
    assert 0 < piece.swap_micro // 4 - 10_000 <= whole // 4 + 1
    to_people = sum(p.money_micro * ((p.payee != POOL) - (p.payer != POOL)) for p in payments)
    assert int(money.sum()) + to_people + left == 0


def test_nobody_arbitrages_where_book_and_pool_agree(tariff):
    made = market(tariff, empty_orders(), stock(4_000, interval=1), horizon=1, trader=TRADER)
    made.take_position(0)
    ahead = rows((SELL, 400, 199_900, 1, PV, False), (BUY, 400, 198_000, 2, HOUSE, False), interval=1)
    made.clear(ahead, tariff, 0)
    assert made._slots[1].pieces == []


def test_a_buyer_takes_the_book_where_it_is_cheaper_than_the_pool(tariff):
    """The pool opens at 0.2 and rises as it is bought; an offer at 0.21 that it did not take rests in the book."""
    made = market(tariff, stock(2_000))
    orders = rows((SELL, 100, 210_000, 1, PV, False), (BUY, 400, 320_000, 2, HOUSE, False))
    made.clear(orders, tariff, 0)
    pieces = made._done[0].slot.pieces
    assert {p.venue for p in pieces if p.row == 0} == {BOOK}
    assert {p.venue for p in pieces if p.row == 1} == {BOOK, SWAP}
    assert [p.value for p in pieces if p.row == 0] == [100 * 210_000]


def test_nobody_buys_above_retail_whatever_his_limit(tariff):
    """A buyer who would pay 0.5 takes from the pool until it costs 0.32 with its fee, and the rest from the supplier."""
    made = market(tariff, stock(1_000), fee_ppm=200_000)
    made.clear(rows((BUY, 900, 500_000, 2, HOUSE, False)), tariff, 0)
    slices = [-p.value / p.energy_wh for p in made._done[0].slot.pieces]
    bought = int(made._done[0].slot.executed_wh()[0])
    assert 0 < bought < 900
    assert max(slices) <= 320_000
    night = Tariff(90_000, 80_000)  # the fee lifts the pool above retail from its first Wh
    made = market(night, stock(1_000), fee_ppm=400_000)
    assert made.clear(rows((BUY, 100, 300_000, 1, HOUSE, False)), night, 0).fills.size == 0


def test_the_index_follows_supply_and_demand_and_opens_the_next_pool(tariff):
    """u = 1/2: 1/p lies half way between 1/0.32 and 1/0.08, so p = 0.128."""
    made = market(tariff)
    made.clear(rows((SELL, 500, 80_000, 1, PV, False), (BUY, 1_000, 90_000, 2, HOUSE, False)), tariff, 0)
    assert made.index_micro_per_kwh == 128_000
    made.open_slot(1, tariff, empty_orders())
    assert made._slots[1].opening_price == pytest.approx(128_000, abs=1)
    made.clear(empty_orders(), tariff, 1)
    assert made.index_micro_per_kwh == 128_000, "nobody asked: it stands"


def test_negative_feed_in_prices_work(tariff):
    low = Tariff(320_000, -50_000)
    made = market(low, stock(1_000))
    orders = rows((BUY, 100, 320_000, 1, HOUSE, False), (SELL, 900, -50_000, 2, PV, False))
    fills = made.clear(orders, low, 0).fills
    *_, left = settled(made, fills, fills["energy_wh"].copy(), 0)
    assert left in (0, 1)
    assert made.books.slots[0].residual_wh > 0


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda m, t: m.clear(rows((SELL, 0, 1, 1, PV, False)), t, 0), OrderError),
        (lambda m, t: m.clear(rows((SELL, 5, 1, 1, PV, False), interval=3), t, 0), OrderError),
        (lambda m, t: m.open_slot(0, t, stock(-5)), OrderError),
        (lambda m, t: m.clear(rows((SELL, 5, 90_000, 1, PV, False)), Tariff(80_000, 80_000), 0), RangeError),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(tariff, wrong, error):
    made = market(tariff)
    with pytest.raises(error):
        wrong(made, tariff)
    assert made.index_micro_per_kwh is None
    assert made.clear(rows((SELL, 5, 90_000, 1, PV, False)), tariff, 0).volume_wh == 0


def test_an_id_is_used_once_per_slot(tariff):
    made = market(tariff, empty_orders(), empty_orders(), horizon=1)
    order = rows((SELL, 5, 90_000, 1, PV, False), interval=1)
    made.clear(order, tariff, 0)
    with pytest.raises(OrderError, match="used before in interval 1"):
        made.clear(order, tariff, 0)


def test_what_stands_is_taken_off_the_running_orders_of_the_same_device():
    orders = rows((SELL, 100, 1, 1, PV, False), (SELL, 50, 1, 1, PV, True), (BUY, 80, 1, 1, HOUSE, False),
                  (SELL, 60, 1, 2, BATTERY, True))  # fmt: skip
    standing = rows(
        (SELL, 120, 1, 1, PV, False), (BUY, 500, 1, 1, HOUSE, False), (SELL, 10, 1, 2, PV, True), first=50
    )
    left = net_position(orders, standing)
    assert list(zip(left["id"].tolist(), left["energy_wh"].tolist(), strict=True)) == [(1, 30), (3, 60)]
    assert net_position(orders, empty_orders()) is orders


def test_a_pool_keeps_only_what_it_holds(tariff):
    made = market(tariff, stock(1_000))
    pool = made._slots[0].pool
    for kept in (-1, 1_001):
        with pytest.raises(PoolRefusalError, match="larger_than_pool"):
            pool.close(kept_wh=kept)
    pool.sell(500, 3, PV)
    money = pool.money_micro
    claims = pool.close(kept_wh=1_000)
    assert [(claim.participant, claim.energy_wh) for claim in claims] == [(3, 500)], "stock stays where it is"
    assert pool.money_micro == money + 500 * 80
