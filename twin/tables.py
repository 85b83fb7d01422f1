"""The tables of a run folder: with ``twin.tables_market`` the only place that names their columns."""

import pyarrow as pa

from twin.tables_market import MARKET_TABLES

INTERVALS = pa.schema(
    [
        ("interval", pa.int64()),
        ("time", pa.string()),  # ISO 8601 with offset, start of the interval
        (
            "price_micro_per_kwh",
            pa.int64(),
        ),  # null: nothing traded locally, or (bill sharing) it has no price
        ("index_micro_per_kwh", pa.int64()),  # the pool's dynamic price p(u); null where none is published
        ("local_cleared_wh", pa.int64()),  # sold through the local market, before the gate
        ("local_accepted_wh", pa.int64()),
        ("supplier_flexible_cleared_wh", pa.int64()),  # traded with the upstream grid beyond firm limits
        ("supplier_flexible_accepted_wh", pa.int64()),
        ("offered_sell_wh", pa.int64()),
        ("offered_buy_wh", pa.int64()),
        ("cut_wh", pa.int64()),  # cleared less accepted, local and upstream, buy side plus upstream sales
        ("gate_status", pa.string()),  # off | idle | accepted | cut | blocked | inconclusive
        ("gate_solves", pa.int64()),
        ("gate_ms", pa.float64()),
        ("binding", pa.string()),  # the element that bound the cut, null where nothing was cut
        ("welfare_micro", pa.float64()),  # of the accepted trades; null unless coordination.reference
        ("central_welfare_micro", pa.float64()),  # of the best schedule within the limits on the same orders
        ("v_min_pu", pa.float64()),
        ("v_min_bus", pa.string()),
        ("v_max_pu", pa.float64()),
        ("v_max_bus", pa.string()),
        ("line_loading_max_percent", pa.float64()),
        ("line_loading_max_name", pa.string()),
        ("trafo_loading_max_percent", pa.float64()),
        ("trafo_loading_max_name", pa.string()),
        ("base_v_min_pu", pa.float64()),  # the same plant without trades
        ("base_v_max_pu", pa.float64()),
        ("base_line_loading_max_percent", pa.float64()),
        ("base_trafo_loading_max_percent", pa.float64()),
        ("p_slack_w", pa.float64()),  # import from upstream
        ("loss_w", pa.float64()),
        ("load_w", pa.float64()),  # inflexible load, >= 0
        ("pv_w", pa.float64()),
        ("pv_curtailed_w", pa.float64()),
        ("battery_w", pa.float64()),  # + discharge
        ("ev_w", pa.float64()),  # >= 0, charging
        ("heat_pump_w", pa.float64()),  # >= 0, electrical; null without heat pumps
        ("plant_converged", pa.bool_()),
        ("plant_nan_element", pa.string()),  # first element that is NaN, null where none
        ("money_sum_micro", pa.int64()),  # over all accounts; zero, or the run fails
        ("step_ms", pa.float64()),  # wall-clock time of the interval
    ]
)

TRADES = pa.schema(
    [
        ("interval", pa.int64()),
        ("order_id", pa.int64()),
        ("participant", pa.string()),
        ("side", pa.string()),  # sell | buy
        ("device", pa.string()),  # house | pv | battery | ev | heat_pump
        ("counterparty", pa.string()),  # pool | supplier | participant
        ("flexible", pa.bool_()),
        ("offered_wh", pa.int64()),  # the order
        ("cleared_wh", pa.int64()),
        ("accepted_wh", pa.int64()),
        ("delivered_wh", pa.int64()),  # what flowed at the connection point, of the accepted
        ("settled_wh", pa.int64()),  # what the meter confirms of it
        ("price_micro_per_kwh", pa.int64()),
        ("money_micro", pa.int64()),  # signed, + the participant receives
        ("reason", pa.string()),  # null | cut by gate | baseline diverges | ...
        ("binding", pa.string()),
        ("shadow_price_micro_per_unit", pa.float64()),
    ]
)

PARTICIPANTS = pa.schema(
    [
        ("interval", pa.int64()),
        ("participant", pa.string()),
        ("p_gen_w", pa.float64()),
        ("q_gen_var", pa.float64()),
        ("v_pu", pa.float64()),
        ("soc", pa.float64()),  # battery, NaN without one
        ("ev_w", pa.float64()),
        ("heat_pump_w", pa.float64()),  # >= 0; null where nobody has one
        ("battery_w", pa.float64()),
        ("metered_wh", pa.int64()),  # net, + into the grid
        ("bill_micro", pa.int64()),  # what this interval cost (positive: paid)
        ("wire", pa.bool_()),  # a number of this row came over a socket
    ]
)

VIOLATIONS = pa.schema(
    [
        ("interval", pa.int64()),  # first interval
        ("element", pa.string()),
        ("kind", pa.string()),  # voltage_min | line_loading | reverse_power | ...: docs/reference/limits.md
        ("phase", pa.string()),
        ("value", pa.float64()),  # the worst over the duration
        ("worst_interval", pa.int64()),
        ("limit", pa.float64()),
        ("unit", pa.string()),
        ("duration_s", pa.int64()),  # of the same element and kind on end; en50160: of a week's means outside
        ("cause", pa.string()),  # feeder | trades
        ("status", pa.string()),  # violated (in the plant) | averted (by the gate)
        ("clause", pa.string()),  # of the standard, or the scenario's own key, that sets the limit
    ]
)

SHARES = pa.schema(
    [
        ("interval", pa.int64()),  # the worst interval of the violation
        ("element", pa.string()),
        ("kind", pa.string()),
        ("status", pa.string()),  # violated | averted
        ("participant", pa.string()),
        ("change_p_w", pa.float64()),  # the participant's net change through its trades
        ("share_of_change", pa.float64()),  # in the unit of the limit; negative: relief
        ("share_of_excess", pa.float64()),
        ("unit", pa.string()),
        ("residual", pa.float64()),  # change minus the sum of its shares
    ]
)

SETTLEMENT = pa.schema(
    [
        ("period_start_s", pa.int64()),
        ("period_end_s", pa.int64()),
        ("digest", pa.string()),
        ("root", pa.string()),
        ("transaction", pa.string()),
        ("block_number", pa.int64()),
        ("gas", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("positions", pa.int64()),
        ("gross_energy_wh", pa.int64()),
        ("recorded_s", pa.int64()),  # time of its block, on the chain's own clock
        ("final_s", pa.int64()),
        ("resent", pa.int64()),  # transactions that a reorganisation threw out and that were sent again
    ]
)

ORACLES = pa.schema(
    [
        ("interval", pa.int64()),
        ("participant", pa.string()),  # or its meter behind the connection point, NAME.pv or NAME.battery
        (
            "status",
            pa.string(),
        ),  # outvoted | held | not certified; readings that were simply agreed on have no row
        ("named", pa.string()),  # the source that is wrong: meter | grid log | model | nobody
        (
            "finding",
            pa.string(),
        ),  # lying | frozen | silent | replaying | tampered | gap | unclear | off | ...
        ("reason", pa.string()),  # why it was held, or that the other two agree
        ("meter_wh", pa.int64()),  # null: no reading that can be used
        ("grid_log_wh", pa.int64()),  # null: the log has no value, or cannot tell participants of a bus apart
        ("model_low_wh", pa.int64()),
        ("model_high_wh", pa.int64()),
        ("settled_wh", pa.int64()),  # null while held
        ("resolved_interval", pa.int64()),  # null: not held, or still held at the end
        ("resolved_by", pa.string()),  # rule or arbiter, and whose value stands
        ("withheld_micro", pa.int64()),  # what the participant was owed for its sales and had to wait for
        ("rest_micro", pa.int64()),  # with the supplier, + received, once it was decided
        ("fault", pa.string()),  # the scenario's fault of this meter, null where there is none
    ]
)

READINGS = pa.schema(
    [
        ("batch_end_s", pa.int64()),  # end of the batch that commits to it; kept with settlement.oracles
        ("asset", pa.string()),  # connection point, or its .pv or .battery where both stand behind it
        ("start_s", pa.int64()),  # Unix seconds
        ("end_s", pa.int64()),
        ("exported_wh", pa.int64()),
        ("imported_wh", pa.int64()),
    ]
)

SIGNATURES = pa.schema(
    [
        ("start_s", pa.int64()),  # begin of the batch, Unix seconds
        ("batch_end_s", pa.int64()),  # end of the batch, whose tree commits to the row
        ("asset", pa.string()),  # the metering device; the registry on the chain holds the address of its key
        ("link", pa.string()),  # newest link of its chain of readings, hex
        ("signature", pa.string()),  # by the device's key, over device, period and link; hex
    ]
)

ENTRIES = pa.schema(
    [
        ("batch", pa.string()),  # digest; kept with settlement.oracles or settlement.imbalance
        ("account", pa.string()),
        ("kind", pa.string()),  # trade | supply | network | imbalance | rounding | payment
        ("interval", pa.int64()),  # of the trade, also where it was held and comes in a later batch
        ("reference", pa.int64()),  # order_id of a trade
        ("energy_wh", pa.int64()),
        ("money_micro", pa.int64()),  # + the account receives
    ]
)

FEEDER_BUSES = pa.schema(
    [
        ("bus", pa.string()),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("vn_v", pa.float64()),
        ("participants", pa.list_(pa.string())),  # connection points at this bus
    ]
)
FEEDER_BRANCHES = pa.schema(
    [
        ("branch", pa.string()),
        ("kind", pa.string()),
        ("from_bus", pa.string()),
        ("to_bus", pa.string()),
        ("length_m", pa.float64()),  # null where unknown, and for transformers
    ]
)
GRID_STATES = pa.schema(
    [
        ("interval", pa.int64()),
        ("v_pu", pa.list_(pa.float32())),  # order of feeder_buses.parquet
        ("loading_percent", pa.list_(pa.float32())),  # order of feeder_branches.parquet
        ("step", pa.int64()),  # the step of the interval that is shown: the worst, where there are several
        ("steps", pa.int64()),  # how many the interval has; 1 unless the scenario sets substep_s
    ]
)

FAULTS = pa.schema(
    [
        ("target", pa.string()),  # role of the device
        ("kind", pa.string()),
        ("from_s", pa.float64()),  # after the start of the run
        ("until_s", pa.float64()),
        ("noticed_after_s", pa.float64()),  # null: never, because every value was right, or not at all
        ("notice", pa.string()),  # by what
        ("done", pa.string()),
        ("recovered_after_s", pa.float64()),  # after its end; null: not within the run
        ("believed_wrong_samples", pa.int64()),  # readings taken for good that were not the truth
        ("handled", pa.bool_()),
        ("why", pa.string()),  # why not, null where it was handled
    ]
)

ANSWERS = pa.schema(
    [
        ("step", pa.int64()),
        ("time", pa.string()),  # start of the step
        ("inverter_q_var", pa.float64()),  # of all inverters that answer, into the grid; null without any
        ("curtailed_w", pa.float64()),  # active power that they took off
        (
            "residual_pu",
            pa.float64(),
        ),  # of the fixed point, of rated apparent power; beyond 1e-4 it is not solved
        ("solved", pa.bool_()),
        (
            "tap_positions",
            pa.list_(pa.int64()),
        ),  # of the case's transformers with a tap; empty: none is controlled
        ("tap_moves", pa.int64()),
    ]
)

HEAT_PUMPS = pa.schema(
    [
        ("interval", pa.int64()),
        ("participant", pa.string()),
        ("heat_pump_w", pa.float64()),  # >= 0, electrical
        ("sg_state", pa.int64()),  # SG Ready at the end: 1 blocked 2 normal 3 boost 4 forced
        ("stored_wh", pa.float64()),  # heat in the store at the end, above cold
        ("asked_wh", pa.float64()),  # heat that the house asked for
        ("made_wh", pa.float64()),  # heat: electrical energy times cop
        ("unserved_wh", pa.float64()),  # heat that neither pump nor store gave
        ("excess_wh", pa.float64()),  # heat that the store could not take, of a device that did not stop
        ("cop", pa.float64()),
        ("comfortable", pa.bool_()),  # the store held comfort_min throughout
    ]
)

TABLES = {
    "intervals": INTERVALS,
    "trades": TRADES,
    "participants": PARTICIPANTS,
    "violations": VIOLATIONS,
    "shares": SHARES,
    "settlement": SETTLEMENT,
    "oracles": ORACLES,
    "entries": ENTRIES,
    "readings": READINGS,
    "signatures": SIGNATURES,
    "faults": FAULTS,
    "answers": ANSWERS,
    "heat_pumps": HEAT_PUMPS,
    **MARKET_TABLES,
    "feeder_buses": FEEDER_BUSES,
    "feeder_branches": FEEDER_BRANCHES,
    "grid_states": GRID_STATES,
}
