"""The names of all KPIs, so that a scenario that expects one that does not exist is refused before it runs."""

KPI_NAMES = frozenset(
    """
    averted_count bad_samples_count batches_count bill_mean_micro bill_saving_total_micro
    bills_total_micro coordination_efficiency_percent cut_wh delivered_wh energy_not_served_wh
    engine_difference_pu ev_sessions_count ev_short_count ev_short_wh ev_wh export_wh forecast_mae_w
    gas_total gate_cut_intervals_count import_wh inconclusive_count intervals_count
    line_loading_max_percent load_wh local_cleared_wh local_price_mean_micro_per_kwh local_traded_wh
    loss_wh money_sum_micro not_delivered_wh participants_worse_off_count pv_curtailed_wh pv_wh
    self_consumption_percent self_sufficiency_percent settled_wh supplier_flexible_wh
    supplier_income_micro t_model_difference_pu transformer_loading_max_percent v_max_pu v_min_pu
    violated_by_trades_count violated_s violations_count wire_samples_count
    """.split()
)
