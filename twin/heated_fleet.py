"""The rule from set points to device powers where some houses have heat pumps; the others' is ``twin.fleet``."""

from dataclasses import replace

import numpy as np

from adapters.grid.feeder import FloatArray
from twin.fleet import FleetState, Flows, SetPoints, dispatch
from twin.heat_pumps import HeatDemand, drawn, draws
from twin.participants import Participants


def dispatch_heated(
    people: Participants,
    state: FleetState,
    points: SetPoints,
    load_w: FloatArray,
    load_var: FloatArray,
    pv_w: FloatArray,
    step_s: int,
    demand: HeatDemand,
) -> tuple[Flows, Flows]:
    """As ``dispatch``, with the heat that the houses ask for.

    What a heat pump draws without trades is the house's load to everything else behind the connection point: its
    battery covers it. What it draws beyond that was bought, and comes on top.
    """
    assert people.heat is not None and state.heat is not None and points.heat is not None
    can = draws(people.heat, state.heat.stored_wh, demand, people.firm_import_w, step_s / 3600.0)
    with_w, base_w = drawn(people.heat, points.heat, can)
    with_, without = dispatch(people, state, points, load_w + base_w, load_var, pv_w, step_s)
    net = with_.p_gen_w + with_.pv_curtailed_w - (with_w - base_w)
    allowed = people.exportable_w + points.pv_extra_w + np.maximum(points.battery_extra_w, 0.0)
    curtailed = np.minimum(np.maximum(net - allowed, 0.0), pv_w)
    with_ = replace(with_, p_gen_w=net - curtailed, pv_w=pv_w - curtailed, pv_curtailed_w=curtailed)
    heat = points.heat
    return (
        replace(with_, load_w=load_w, heat_pump_w=with_w, sg_state=heat.state),
        replace(without, load_w=load_w, heat_pump_w=base_w, sg_state=heat.base_state),
    )
