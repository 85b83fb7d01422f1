"""What a scenario's plant is made of beyond its engine: inverters that answer, a tap changer, and who follows it."""

from collections.abc import Callable

from adapters.grid.engine import Engine, ModelError
from adapters.grid.errors import GridError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.oltc import Following, TapChanger, TapControl
from twin.answering_plant import AnsweringPlant, make_fleet
from twin.participants import Participants
from twin.plant import Plant
from twin.scenario.schema import Scenario

Complain = Callable[..., None]


def make_changer(scenario: Scenario, feeder: Feeder, engine: str, error: ModelError) -> TapChanger | None:
    """The plant's tap changer, where the scenario has one under control. Raises ``GridInputError``."""
    section = scenario.grid.plant.tap_control
    if section is None:
        return None
    return TapChanger(feeder, engine, TapControl(section.v_set_pu, section.band_pu), error)


def make_gate_engine(feeder: Feeder, engine: str, changer: TapChanger | None) -> Engine:
    """The operator's engine: as planned, and with the plant's last tap where that moves."""
    return make_engine(feeder, engine) if changer is None else Following(feeder, engine, changer.position)


def make_plant(scenario: Scenario, people: Participants, engine: Engine, changer: TapChanger | None) -> Plant:
    """The plant; the plain one where nothing in it answers."""
    inverters = scenario.grid.plant.inverters
    fleet = None if inverters is None else make_fleet(inverters, people)
    if fleet is None and changer is None:
        return Plant(engine)
    return AnsweringPlant(engine, fleet, changer, scenario.step_s)


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
    if plant.inverters is not None and not (people.pv_rated_w > 0).any():
        complain(
            "grid.plant.inverters",
            "nobody has PV, so there is no inverter",
            hint="Add participants.assets of kind pv.",
        )
    if plant.inverters is not None and scenario.devices.bench is not None:
        complain(
            "grid.plant.inverters",
            "devices on a bench have curves of their own; inverters in the plant would answer twice",
            hint="Leave out grid.plant.inverters or devices.bench.",
        )
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
