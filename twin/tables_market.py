"""The market's tables of a run folder: mechanisms, bills, charges, envelopes, pools, admissions."""

import pyarrow as pa

MECHANISMS = pa.schema(
    [
        ("interval", pa.int64()),
        ("mechanism", pa.string()),
        ("settles", pa.bool_()),  # the one whose trades flow; the others are shadows on the same orders
        (
            "price_micro_per_kwh",
            pa.int64(),
        ),  # null: nothing traded, or (bill sharing) local energy has no price
        ("retail_micro_per_kwh", pa.int64()),  # the supplier's prices in the interval
        ("feed_in_micro_per_kwh", pa.int64()),
        ("volume_wh", pa.int64()),
        ("welfare_micro", pa.int64()),
        ("optimum_micro", pa.int64()),  # welfare of the best matching of the same orders
        ("residue_micro", pa.int64()),  # stays with the pool: rounding and surplus
        ("gained_count", pa.int64()),
        ("lost_count", pa.int64()),
    ]
)

BILLS = pa.schema(
    [
        ("participant", pa.string()),
        ("mechanism", pa.string()),
        ("settles", pa.bool_()),
        ("supplier_only_micro", pa.int64()),  # the same metered energy, all of it with the supplier
        ("paid_micro", pa.int64()),  # settles: what was paid; a shadow: supplier_only_micro less gain_micro
        ("saved_micro", pa.int64()),  # negative: lost
        (
            "gain_micro",
            pa.int64(),
        ),  # against the supplier before the gate, the same for all; null without shadows
    ]
)

BILL_LINES = pa.schema(
    [
        ("participant", pa.string()),
        (
            "basis",
            pa.string(),
        ),  # settled | supplier_only (the same metered energy, all of it with the supplier)
        ("supplier_energy_micro", pa.int64()),  # as the ledger booked it, at each interval's price
        ("local_energy_micro", pa.int64()),  # local purchases and take-or-pay
        (
            "network_energy_micro",
            pa.int64(),
        ),  # of metered import, with market.bill's discount for local cover
        ("network_power_micro", pa.int64()),  # of the highest import of an interval
        ("network_fixed_micro", pa.int64()),
        ("levies_micro", pa.int64()),
        ("vat_micro", pa.int64()),
        ("feed_in_income_micro", pa.int64()),  # negative: income
        ("local_income_micro", pa.int64()),  # negative: income
        ("total_micro", pa.int64()),  # the sum of the lines
        ("loss_share_wh", pa.int64()),  # feeder losses by the rule market.bill.losses; null for supplier_only
    ]
)

MECHANISM_BILLS = pa.schema(
    [
        ("participant", pa.string()),
        ("mechanism", pa.string()),
        ("settles", pa.bool_()),  # after the gate, as metered; a shadow: its own clearing, before the gate
        ("supplier_energy_micro", pa.int64()),  # lines as in bill_lines
        ("local_energy_micro", pa.int64()),
        ("network_energy_micro", pa.int64()),
        ("network_power_micro", pa.int64()),
        ("network_fixed_micro", pa.int64()),
        ("levies_micro", pa.int64()),
        ("vat_micro", pa.int64()),
        ("feed_in_income_micro", pa.int64()),
        ("local_income_micro", pa.int64()),
        ("total_micro", pa.int64()),
        ("supplier_only_micro", pa.int64()),  # whole bill for the same meter, all of it with the supplier
        ("saved_micro", pa.int64()),  # negative: lost
    ]
)

POOLS = pa.schema(
    [
        ("interval", pa.int64()),
        ("pool", pa.string()),  # dissipative | naive | expiring; studied beside the run, nothing is settled
        ("fair_micro_per_kwh", pa.int64()),  # the settling mechanism's price, or the last known
        ("aged_micro_per_kwh", pa.int64()),  # the pool's price after ageing, before anybody trades
        ("price_micro_per_kwh", pa.int64()),  # at the end of the interval
        ("drift_ppm", pa.int64()),  # change of the price by ageing alone
        ("off_fair_ppm", pa.int64()),  # distance of the aged price from the fair one
        ("energy_wh", pa.int64()),  # in the pool at the end
        ("dissipated_wh", pa.int64()),  # lost by self-discharge
        ("fed_in_wh", pa.int64()),  # of the elapsed part of the slot, unsold, to the supplier at feed-in
        ("unbacked_wh", pa.int64()),  # in the pool, but no device has it any more
        ("bought_wh", pa.int64()),  # by the scenario's orders
        ("sold_wh", pa.int64()),
        (
            "provider_profit_micro",
            pa.int64(),
        ),  # of the interval; energy is valued at feed-in, shortfall at retail
        ("arbitrage_profit_micro", pa.int64()),
    ]
)

POOL_SLOTS = pa.schema(
    [
        ("interval", pa.int64()),  # the slot; its pool settles (mechanism pool_and_book)
        ("opening_micro_per_kwh", pa.int64()),  # the pool's price when the slot was opened
        ("closing_micro_per_kwh", pa.int64()),
        ("provided_wh", pa.int64()),  # stored energy that providers committed; 0: the fund's pool
        ("withdrawn_wh", pa.int64()),  # of it, taken out again before the slot by providers who left
        ("dissipated_wh", pa.int64()),  # of it, burnt by ageing until the slot
        ("sold_wh", pa.int64()),  # by orders, to pool and book, before the gate
        ("bought_wh", pa.int64()),
        ("ahead_wh", pa.int64()),  # sales and purchases before the slot's own interval
        (
            "elapsed_wh",
            pa.int64(),
        ),  # left the pool unsold while the slot ran (rounds): stays in devices, or residual
        ("kept_wh", pa.int64()),  # committed energy that nobody bought: stays in its devices
        ("residual_wh", pa.int64()),  # sold, but not bought by a neighbour: to the grid at feed-in
        ("result_micro", pa.int64()),  # what the pool gained after the gate: its providers' or the fund's
    ]
)

WITHDRAWALS = pa.schema(
    [
        ("interval", pa.int64()),  # when a provider asked (market.ahead.leaving); a row per open slot
        ("slot", pa.int64()),
        ("participant", pa.string()),
        ("asked_ppm", pa.int64()),  # of its unsold stock in that pool
        ("withdrawn_wh", pa.int64()),
        ("refused", pa.string()),  # no_shares | nothing_unsold | last_provider | frozen; null where it left
        ("reason", pa.string()),  # the same in words
    ]
)

POOL_ACCOUNTS = pa.schema(
    [
        ("interval", pa.int64()),
        ("role", pa.string()),  # provider | fund | arbitrageur
        ("participant", pa.string()),
        ("committed_wh", pa.int64()),  # what it brought: its share of the pool
        ("delivered_wh", pa.int64()),  # what the gate let its device deliver
        ("money_micro", pa.int64()),  # + received; its fills and its share together
        ("profit_micro", pa.int64()),  # money less the delivered energy at feed-in
    ]
)

ADMISSIONS = pa.schema(
    [
        ("asset", pa.string()),
        ("participant", pa.string()),
        ("device", pa.string()),
        ("meter_point", pa.string()),
        ("owner", pa.string()),  # address of the key that has to sign
        ("at_s", pa.int64()),  # simulation second of the registration
        ("stake_micro", pa.int64()),
        ("admitted", pa.bool_()),
        ("codes", pa.list_(pa.string())),  # of every reason against it
        ("reasons", pa.string()),  # the same in words; null where it was admitted
    ]
)

CHARGES = pa.schema(
    [
        ("interval", pa.int64()),
        ("participant", pa.string()),
        ("sell_micro_per_kwh", pa.int64()),  # network charge in force, for who puts in; negative: paid out
        ("buy_micro_per_kwh", pa.int64()),  # and for who draws
        ("congestion_micro_per_kwh", pa.float64()),  # of it, what scarce limits cost, for a kWh put in
        ("loss_micro_per_kwh", pa.float64()),  # and what is lost on the way
        ("charged_micro", pa.int64()),  # what the participant paid in the interval
    ]
)

ENVELOPES = pa.schema(
    [
        (
            "interval",
            pa.int64(),
        ),  # it holds in this one, and was published in the one before; the last: after the run
        ("time", pa.string()),  # ISO 8601 with offset, start of the interval
        ("participant", pa.string()),
        ("bus", pa.string()),
        ("export_w", pa.int64()),  # most that it may put in beyond its baseline, whatever others do
        ("import_w", pa.int64()),  # and draw beyond it
        ("binding_export", pa.string()),  # limit that stopped the export caps of all; null: nothing did
        ("binding_import", pa.string()),
    ]
)

MARKET_TABLES = {
    "mechanisms": MECHANISMS,
    "bills": BILLS,
    "bill_lines": BILL_LINES,
    "mechanism_bills": MECHANISM_BILLS,
    "pools": POOLS,
    "pool_slots": POOL_SLOTS,
    "pool_accounts": POOL_ACCOUNTS,
    "withdrawals": WITHDRAWALS,
    "admissions": ADMISSIONS,
    "charges": CHARGES,
    "envelopes": ENVELOPES,
}
