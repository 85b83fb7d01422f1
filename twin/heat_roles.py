"""Heat pumps as roles of a bench: a state is ordered, the meter beside it tells what is drawn."""

from collections.abc import Sequence

from rigs.device import Ambient, Command, RoleSpec
from rigs.sg_ready import HeatNeed, order_w
from twin.fleet import Flows
from twin.heat_pumps import HeatDemand, HeatState, draws
from twin.participants import Participants


def heat_specs(people: Participants, row: int) -> list[RoleSpec]:
    """The roles of a participant's heat pump, if it has one that knows SG Ready states only: pump and meter."""
    if people.heat is None or not people.heat.p_w[row] > 0 or people.heat.modulates[row]:
        return []
    name, p_w = people.names[row], float(people.heat.p_w[row])
    return [RoleSpec(f"{name}.heat_pump", "heat_pump", p_w), RoleSpec(f"{name}.heat_meter", "meter", p_w)]


def heat_orders(
    people: Participants,
    roles: Sequence[tuple[str, str, int]],
    flows: Flows,
    state: HeatState | None,
    demand: HeatDemand,
    step_s: int,
) -> tuple[dict[str, Command], dict[str, Ambient]]:
    """What heat pumps on a bench are told for a step, and what their houses ask of them; their meters see no more."""
    mine = [entry for entry in roles if entry[1] in ("heat_pump", "heat_meter")]
    if not mine:
        return {}, {}
    assert people.heat is not None and state is not None and flows.sg_state is not None
    can = draws(people.heat, state.stored_wh, demand, people.firm_import_w, step_s / 3600.0)
    commands: dict[str, Command] = {}
    ambient: dict[str, Ambient] = {}
    for role, kind, row in mine:
        ambient[role] = Ambient()
        if kind == "heat_pump":
            commands[role] = Command(order_w(int(flows.sg_state[row]), float(people.heat.p_w[row])))
            need = HeatNeed(float(can.normal_w[row]), float(can.most_w[row]))
            ambient[role] = Ambient(p_available_w=need.normal_w, heat=need)
    return commands, ambient
