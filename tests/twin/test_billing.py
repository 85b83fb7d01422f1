"""Whole bills in exact rationals, from the tables of a run alone."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from market.errors import BillingError
from twin.billing import BillBook, Booked, supply_tariff
from twin.scenario.market_section import BillSection, SupplierSection

BILL = {"network_eur_per_kwh": 0.0701, "network_eur_per_kw": 1.25, "fixed_eur_per_day": 0.25, "levies_eur_per_kwh": 0.02051,
        "vat_percent": 19, "local_network_discount_percent": 40, "local_levy_discount_percent": 12.5,
        "vat_on_local": False, "losses": "exchange"}  # fmt: skip
AGREEMENT = {
    "seller": "load 3",
    "buyer": "load 8",
    "max_wh": 2000,
    "take_or_pay_wh": 700,
    "price_eur_per_kwh": 0.17,
}


@pytest.fixture(scope="module")
def billed(run_street):
    market = {
        "bill": BILL,
        "supplier": {"night_price_eur_per_kwh": 0.25, "night_from_h": 18, "night_to_h": 22},
    }
    return run_street(market={**market, "agreements": [AGREEMENT]})


def lines_of(result):
    rows = result.table("bill_lines").to_pylist()
    return {
        basis: {r["participant"]: r for r in rows if r["basis"] == basis}
        for basis in ("settled", "supplier_only")
    }


def test_every_line_in_rationals(billed):
    lines, people = lines_of(billed), billed.table("participants").to_pylist()
    trades = [t for t in billed.table("trades").to_pylist() if t["counterparty"] != "supplier"]
    assert len(lines["settled"]) == len(lines["supplier_only"]) == 13
    for name, row in lines["settled"].items():
        alone = lines["supplier_only"][name]
        position = dict.fromkeys(range(24), 0)
        for t in trades:
            if t["participant"] == name:
                position[t["interval"]] += t["accepted_wh"] * (1 if t["side"] == "sell" else -1)
        meter = {p["interval"]: p["metered_wh"] for p in people if p["participant"] == name}
        drawn = {k: max(0, -e) for k, e in meter.items()}
        local = sum(min(drawn[k], max(0, -position[k])) for k in meter)
        total, peak = sum(drawn.values()), max(drawn.values()) * 4
        for basis, covered in ((row, local), (alone, 0)):
            kwh, less = Fraction(total, 1000), Fraction(covered, 1000)
            assert basis["network_energy_micro"] == ceil((kwh - less * Fraction(4, 10)) * 70_100)
            assert basis["levies_micro"] == ceil((kwh - less * Fraction(125, 1000)) * 20_510)
            assert basis["network_power_micro"] == ceil(Fraction(peak, 1000) * 1_250_000)
            assert basis["network_fixed_micro"] == 250_000, "six hours are one day that has begun"
            taxed = sum(basis[f"{x}_micro"] for x in ("supplier_energy", "network_energy", "network_power", "network_fixed", "levies"))  # fmt: skip
            assert basis["vat_micro"] == ceil(taxed * Fraction(19, 100)), "local purchases carry none"
            assert basis["total_micro"] == sum(v for k, v in basis.items() if k.endswith("_micro") and k != "total_micro")  # fmt: skip
        prices = {k: 250_000 if 18 <= 16 + k / 4 < 22 else 320_000 for k in meter}
        assert alone["supplier_energy_micro"] == sum(
            ceil(Fraction(drawn[k] * prices[k], 1000)) for k in meter
        )
        assert alone["local_energy_micro"] == alone["local_income_micro"] == 0
        rest = {k: meter[k] - position[k] for k in meter}
        assert row["supplier_energy_micro"] == sum(ceil(Fraction(-e * prices[k], 1000)) for k, e in rest.items() if e < 0)  # fmt: skip
        assert row["feed_in_income_micro"] == -sum(e * 80_000 // 1000 for e in rest.values() if e > 0)


def test_the_energy_part_is_what_the_ledger_booked_to_the_unit(billed):
    bills = {r["participant"]: r for r in billed.table("bills").to_pylist()}
    lines = lines_of(billed)
    energy = ("supplier_energy", "local_energy", "feed_in_income", "local_income")
    for basis, key in (("settled", "paid_micro"), ("supplier_only", "supplier_only_micro")):
        for name, row in lines[basis].items():
            assert sum(row[f"{x}_micro"] for x in energy) == bills[name][key]
    owed = sum(r["local_energy_micro"] for r in lines["settled"].values())
    got = -sum(r["local_income_micro"] for r in lines["settled"].values())
    trades = [t for t in billed.table("trades").to_pylist() if t["counterparty"] != "supplier"]
    assert got >= sum(t["money_micro"] for t in trades if t["side"] == "sell")
    assert 0 <= owed - got < len(trades), "between payers and payees lies only the pool's rounding"


def test_kpis_of_whole_bills(billed):
    lines, kpis = lines_of(billed), billed.kpis
    saved = [lines["supplier_only"][n]["total_micro"] - r["total_micro"] for n, r in lines["settled"].items()]
    gained = [s for s in saved if s > 0]
    assert kpis["whole_bills_total_micro"] == sum(r["total_micro"] for r in lines["settled"].values())
    assert kpis["whole_bills_saving_total_micro"] == sum(saved)
    assert kpis["whole_bills_worse_off_count"] == sum(s < 0 for s in saved)
    assert kpis["saving_jain_index"] == pytest.approx(
        sum(gained) ** 2 / (len(gained) * sum(s * s for s in gained))
    )
    apart = sum(abs(a - b) for a in gained for b in gained)
    assert kpis["saving_gini_index"] == pytest.approx(apart / (2 * len(gained) * sum(gained)))


def test_losses_are_shared_by_the_rule_and_add_up(billed):
    shares = {n: r["loss_share_wh"] for n, r in lines_of(billed)["settled"].items()}
    loss_wh = billed.kpis["loss_wh"]
    assert loss_wh > 100 and sum(shares.values()) == pytest.approx(loss_wh, abs=1.01)
    assert {r["loss_share_wh"] for r in lines_of(billed)["supplier_only"].values()} == {None}
    # by energy drawn and given, interval by interval
    meters, loss = {}, {}
    for p in billed.table("participants").to_pylist():
        meters.setdefault(p["interval"], {})[p["participant"]] = abs(p["metered_wh"])
    for r in billed.table("intervals").to_pylist():
        loss[r["interval"]] = r["loss_w"] / 4
    for name, share in shares.items():
        exact = sum(loss[k] * m[name] / sum(m.values()) for k, m in meters.items())
        assert share == pytest.approx(exact, abs=1 + len(meters) / 2)


def test_losses_wait_for_somebody_who_can_bear_them():
    book = BillBook(2, 900, "use")
    book.add_losses(2.75, np.array([500, 0]))
    book.add_losses(float("nan"), np.array([500, -1]))
    assert book.loss_share_wh.tolist() == [0, 0], "who feeds in bears nothing by this rule"
    book.add_losses(0.5, np.array([-100, -200]))
    assert book.loss_share_wh.tolist() == [1, 2], "3.25 Wh: three now, a quarter waits"
    with pytest.raises(BillingError, match="unknown rule"):
        BillBook(1, 900, "marginaly").add_losses(5.0, np.array([1]))


def test_vat_on_local_purchases_and_negative_prices_by_hand():
    book = BillBook(1, 900)
    one = np.array([1000])
    book.add(Booked(-one, -one, 200 * one, 0 * one, 0 * one, 0 * one, -320 * one))
    tariff = supply_tariff(BillSection(vat_percent=19), SupplierSection())
    (bill,) = book.bills(tariff, "settled")
    assert (bill.local_energy, bill.vat, bill.total_micro) == (200_000, 38_000, 238_000)
    (alone,) = book.bills(tariff, "supplier_only")
    assert (alone.supplier_energy, alone.vat) == (320_000, 60_800)
    assert BillBook(3, 900).columns(tariff, ("a", "b", "c")) == {}


def test_percentages_are_exact():
    assert supply_tariff(BillSection(vat_percent=8.1), SupplierSection()).vat_ppm == 81_000
    with pytest.raises(ValueError, match="decimal places"):
        BillSection(vat_percent=8.12345)
