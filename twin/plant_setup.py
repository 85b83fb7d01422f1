"""What a scenario's plant is made of beyond its engine: inverters that answer, tap changers, and who knows of them."""

from collections.abc import Callable, Collection

from adapters.grid.engine import Engine, ModelError
from adapters.grid.errors import GridError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.inverter_engine import InverterEngine
from adapters.grid.oltc import Following, TapChanger, TapControl
from twin.answering_plant import AnsweringPlant
from twin.inverters import Inverters, make_inverters, rating_problems
from twin.participants import Participants
from twin.plant import Plant
from twin.scenario.schema import Scenario

Complain = Callable[..., None]


def make_changer(scenario: Scenario, feeder: Feeder, engine: str, error: ModelError) -> TapChanger | None:
    """The plant's tap changers, where the scenario has some under control. Raises ``GridInputError``."""
    section = scenario.grid.plant.tap_control
    if section is None:
        return None
    named = [TapControl(one.v_set_pu, one.band_pu, one.name) for one in section.transformers]
    return TapChanger(feeder, engine, named or TapControl(section.v_set_pu, section.band_pu), error)


def plant_inverters(
    scenario: Scenario, people: Participants, on_bench: Collection[str] = ()
) -> Inverters | None:
    """The inverters that answer in the plant; None where the scenario has none, or a bench serves them all."""
    section = scenario.grid.plant.inverters
    made = None if section is None else make_inverters(section, people, on_bench)
    return made if made is not None and made.kind else None


def gate_inverters(scenario: Scenario, inverters: Inverters | None) -> Inverters | None:
    """Those of them that the operator's model has as well."""
    section = scenario.grid.plant.inverters
    return inverters if section is not None and section.known_to_gate else None


def make_gate_engine(
    feeder: Feeder, engine: str, changer: TapChanger | None, foreseen: Inverters | None = None
) -> Engine:
    """The operator's engine: as planned, with the plant's last taps where these move, and with known inverters."""
    plain = make_engine(feeder, engine) if changer is None else Following(feeder, engine, changer.positions)
    return plain if foreseen is None else InverterEngine(plain, foreseen.fleet)


def make_plant(
    scenario: Scenario,
    people: Participants,
    engine: Engine,
    changer: TapChanger | None,
    inverters: Inverters | None,
) -> Plant:
    """The plant; the plain one where nothing in it answers."""
    if inverters is None and changer is None:
        return Plant(engine, scenario.step_s)
    return AnsweringPlant(engine, inverters, changer, scenario.step_s, people)


def answering_notes(scenario: Scenario, people: Participants, on_bench: Collection[str] = ()) -> list[str]:
    """What gate and plant each know of inverters and taps, a sentence each; for report and manifest."""
    plant, notes = scenario.grid.plant, []
    if plant.inverters is not None:
        made = make_inverters(plant.inverters, people, on_bench)
        everybody = make_inverters(plant.inverters, people)
        own = plant.inverters
        curve = "" if own.mode == "fixed_power_factor" else f", curves of {own.curve}"
        notes.append(
            f"plant: {len(made.kind)} inverters ({', '.join(own.assets)}) answer by {own.mode}{curve}, "
            "solved to a fixed point with the power flow in every step."
        )
        knows = (
            "the operator's model has the same inverters: sensitivities, checks and cuts include what they answer."
            if own.known_to_gate
            else "the operator's model has no inverters: it may cut too much, or let pass what breaks a limit."
        )
        notes.append(f"gate: {knows}")
        left = [role for role in on_bench if role.rpartition(".")[2] in own.assets]
        if len(made.kind) < len(everybody.kind):
            notes.append(
                f"plant: {', '.join(sorted(left))} answer for themselves on the bench: their reactive power is "
                "what they report, and no rule of the plant is added to it."
            )
    if plant.tap_control is not None:
        notes.append(
            "gate: computes with the positions that the plant's taps had at the end of the last interval."
        )
    return notes


def plant_problems(
    scenario: Scenario,
    feeder: Feeder,
    people: Participants,
    engine: str,
    error: ModelError,
    complain: Complain,
) -> None:
    """Complain about what the plant's own reactions cannot be."""
    plant = scenario.grid.plant
    if plant.inverters is not None and not make_inverters(plant.inverters, people).kind:
        complain(
            "grid.plant.inverters",
            f"nobody has {' or '.join(plant.inverters.assets)}, so there is no inverter",
            hint="Add participants.assets of such a kind.",
        )
    if plant.inverters is not None:
        for role, why in rating_problems(plant.inverters, people):
            complain("grid.plant.inverters.s_rated_va", f"{role}: {why}", plant.inverters.s_rated_va[role])
    _departure_problems(scenario, feeder, complain)
    if plant.tap_control is not None:
        try:
            make_changer(scenario, feeder, engine, error)
        except GridError as wrong:
            complain("grid.plant.tap_control", str(wrong))


def _departure_problems(scenario: Scenario, feeder: Feeder, complain: Complain) -> None:
    plant, native = scenario.grid.plant, hasattr(feeder.native, "bus")
    for key, possible in (
        ("line_impedance_spread_percent", True),
        ("swapped_phases_percent", any(point.phases != "abc" for point in feeder.points)),
    ):
        given = getattr(plant, key)
        if given and not native:
            complain(f"grid.plant.{key}", "an OpenDSS file is solved as it is", given, "0")
        elif given and not possible:
            complain(f"grid.plant.{key}", "this feeder has no single-phase connection point", given, "0")
