"""What a market leaves behind besides trades: slots and accounts of its pools, admissions, agreements; its KPIs."""

from dataclasses import asdict, fields
from typing import Any

from market.orders import POOL
from market.pool_accounts import ARBITRAGEUR, FUND, PROVIDER, AccountRow, SlotRow, WithdrawalRow
from market.pool_market import PoolAndBook
from market.tariffs import SupplyTariff
from twin.market_setup import LocalMarket, agreements_of
from twin.prepare import PreparedRun
from twin.settlement import POOL_ACCOUNT
from twin.shadow_bills import Pair, bills_by_mechanism, mechanism_bill_columns, whole_bill_records

_NO_POOLS = dict.fromkeys(
    (
        "arbitrage_profit_micro", "fund_profit_micro", "pool_dissipated_wh", "pool_residual_wh",
        "provider_delivered_wh", "provider_profit_micro", "traded_ahead_wh",
    )
)  # fmt: skip


def market_tables(
    market: LocalMarket, names: tuple[str, ...], pairs: dict[str, Pair], settling: str
) -> dict[str, dict[str, list[Any]]]:
    """Columns of the market's tables, those that the run has."""
    tables: dict[str, dict[str, list[Any]]] = {
        "mechanism_bills": mechanism_bill_columns(pairs, names, settling)
    }
    if market.pools is not None:
        tables["pool_slots"] = _columns(SlotRow, market.pools.books.slots)
        accounts = _columns(AccountRow, market.pools.books.accounts)
        if accounts:
            who = accounts["participant"]
            accounts["participant"] = [POOL_ACCOUNT if row == POOL else names[row] for row in who]
        tables["pool_accounts"] = accounts
        tables["withdrawals"] = _columns(WithdrawalRow, market.pools.books.withdrawals)
        if tables["withdrawals"]:
            tables["withdrawals"]["participant"] = [
                names[w.participant] for w in market.pools.books.withdrawals
            ]
    if market.admissions is not None:
        tables["admissions"] = market.admissions.columns()
    return tables


def _columns(kind: Any, rows: Any) -> dict[str, list[Any]]:
    records = [asdict(row) for row in rows]
    return (
        {field.name: [record[field.name] for record in records] for field in fields(kind)} if records else {}
    )


def whole_bills(market: str, organs: Any, tariff: SupplyTariff) -> dict[str, Pair]:
    """Everybody's bill under the settling mechanism and each shadow; empty where there is no shadow."""
    comparison = organs.comparison
    if comparison is None or comparison.bills is None:
        return {}
    return bills_by_mechanism(market, organs.bills, comparison.bills, tariff)


def market_kpis(market: LocalMarket) -> dict[str, Any]:
    """KPIs of the pools that settle; None where there are none."""
    if market.pools is None:
        return dict(_NO_POOLS)
    accounts, slots = market.pools.books.accounts, market.pools.books.slots

    def profit(role: str) -> int:
        return sum(row.profit_micro for row in accounts if row.role == role)

    return {
        "arbitrage_profit_micro": profit(ARBITRAGEUR),
        "fund_profit_micro": profit(FUND),
        "pool_dissipated_wh": sum(row.dissipated_wh for row in slots),
        "pool_residual_wh": sum(row.residual_wh for row in slots),
        "provider_delivered_wh": sum(row.delivered_wh for row in accounts if row.role == PROVIDER),
        "provider_profit_micro": profit(PROVIDER),
        "traded_ahead_wh": sum(row.ahead_wh for row in slots),
    }


def market_records(market: LocalMarket, run: PreparedRun, pairs: dict[str, Pair]) -> dict[str, Any]:
    """For verdict.json and the report: who earned what with the pools, agreements, and who was not admitted."""
    names = run.people.names
    return {
        "pool_accounts": [] if market.pools is None else account_records(market.pools, names),
        "whole_bills": whole_bill_records(pairs),
        "withdrawals": [] if market.pools is None else withdrawal_records(market.pools, names),
        "agreements": agreement_records(run),
        "refused": refused_records(market),
    }


def account_records(pools: PoolAndBook, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One record per role and participant: sums over the run."""
    sums: dict[tuple[str, int], dict[str, Any]] = {}
    for row in pools.books.accounts:
        name = POOL_ACCOUNT if row.participant == POOL else names[row.participant]
        record = sums.setdefault(
            (row.role, row.participant), {"role": row.role, "participant": name, "slots": 0}
        )
        record["slots"] += 1
        for key in ("committed_wh", "delivered_wh", "money_micro", "profit_micro"):
            record[key] = record.get(key, 0) + getattr(row, key)
    return [sums[key] for key in sorted(sums)]


def withdrawal_records(pools: PoolAndBook, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One record per provider that asked to leave: how many pools let it, with how much, and why the others did not."""
    records: dict[int, dict[str, Any]] = {}
    for row in pools.books.withdrawals:
        blank = {"participant": names[row.participant], "left": 0, "withdrawn_wh": 0, "refused": {}}
        record = records.setdefault(row.participant, blank)
        record["left"] += row.refused is None
        record["withdrawn_wh"] += row.withdrawn_wh
        if row.refused is not None:
            record["refused"][row.refused] = record["refused"].get(row.refused, 0) + 1
    return [records[row] for row in sorted(records)]


def agreement_records(run: PreparedRun) -> list[dict[str, Any]]:
    """The contracts of a run: id, parties and the whole text, which is the contract."""
    return [
        {"contract_id": agreement.contract_id, "seller": agreement.seller, "buyer": agreement.buyer,
         "text": agreement.text()}
        for agreement in agreements_of(run.scenario)
    ]  # fmt: skip


def refused_records(market: LocalMarket) -> list[dict[str, Any]]:
    """Assets that were not admitted, with every reason."""
    if market.admissions is None:
        return []
    return [
        {
            "asset": row.registration.asset_id,
            "codes": [reason.code for reason in row.decision.reasons],
            "reasons": [reason.text for reason in row.decision.reasons],
        }
        for row in market.admissions.rows
        if not row.decision.admitted
    ]
