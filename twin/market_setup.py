"""The scenario's market section as mechanisms of the core, with every problem it may have."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray
from market.before_market import BeforeMarket, Bilateral
from market.errors import MarketError
from market.mechanism import Mechanism
from market.pool_study import PoolStudy, StudySettings
from market.ppa import Agreement, FixedPrice, IndexedPrice
from market.preferences import Preference
from market.registry import make_mechanism
from twin.comparison import NO_MECHANISM, Comparison
from twin.gate.price import electrical_distance_ohm
from twin.scenario.market_section import AgreementSection, MarketSection, PreferenceSection
from twin.scenario.schema import Scenario
from twin.tariff import micro

Complain = Callable[..., None]


def contract_party(name: str) -> str:
    """A participant's id in a contract's text, which allows no blanks."""
    return "_".join(name.split())


def market_problems(market: MarketSection, complain: Complain) -> None:
    """Report what is wrong with mechanisms and parameters; needs no feeder."""
    main = partial(make_mechanism, market.mechanism, market.parameters)
    _try(main, "market.mechanism", market.mechanism, complain)
    for i, name in enumerate(market.shadow):
        make = partial(make_mechanism, name, market.shadow_parameters.get(name, {}))
        _try(make, f"market.shadow[{i}]", name, complain)
    for name in market.shadow_parameters:
        if name not in market.shadow:
            allowed = ", ".join(market.shadow) or "none: market.shadow is empty"
            complain(f"market.shadow_parameters.{name}", "no such shadow mechanism", name, allowed)


def bilateral_problems(scenario: Scenario, names: Sequence[str], complain: Complain) -> None:
    """Report agreements and preferences that name nobody, or contradict themselves; and a pool study's slot."""
    market = scenario.market
    if market.pool_study is not None and market.pool_study.slot_s % scenario.interval_s:
        allowed = f"a multiple of interval_s ({scenario.interval_s})"
        complain(
            "market.pool_study.slot_s", "must be whole intervals", str(market.pool_study.slot_s), allowed
        )
    if (market.agreements or market.preferences) and market.mechanism == NO_MECHANISM:
        complain(
            "market.mechanism", "agreements and preferences need a local market", NO_MECHANISM, "a mechanism"
        )
    for key, sections, fields in (
        ("agreements", market.agreements, ("seller", "buyer")),
        ("preferences", market.preferences, ("buyer", "neighbour")),
    ):
        for i, section in enumerate(sections):
            for field in fields:
                name = getattr(section, field)
                if name is not None and name not in names:
                    complain(
                        f"market.{key}[{i}].{field}", "no such connection point", name, "a connection point"
                    )
    rows = {name: row for row, name in enumerate(names)}
    ids = [contract_party(name) for name in names]
    for i, agreement in enumerate(market.agreements):
        for field in ("seller", "buyer"):
            name = getattr(agreement, field)
            if name in rows and ids.count(contract_party(name)) > 1:
                problem = (
                    "a contract cannot tell this connection point from another that differs by blanks only"
                )
                complain(f"market.agreements[{i}].{field}", problem, name)
        make = partial(_agreement, agreement, scenario.n_intervals)
        _try(make, f"market.agreements[{i}]", agreement.seller, complain)
    for i, wish in enumerate(market.preferences):
        if wish.buyer in rows and (wish.neighbour is None or wish.neighbour in rows):
            _try(partial(_preference, wish, rows), f"market.preferences[{i}]", wish.buyer, complain)


def _try(make: Callable[[], object], path: str, got: str, complain: Complain) -> None:
    try:
        make()
    except MarketError as error:
        for problem in error.problems:
            complain(path, problem, got)


def _agreement(section: AgreementSection, n_intervals: int) -> Agreement:
    price: FixedPrice | IndexedPrice
    if section.index is None:
        assert section.price_eur_per_kwh is not None
        price = FixedPrice(micro(section.price_eur_per_kwh))
    else:
        index = section.index
        terms = (index.factor, index.premium_eur_per_kwh, index.floor_eur_per_kwh, index.cap_eur_per_kwh)
        price = IndexedPrice(*(micro(term) for term in terms))
    seller, buyer = contract_party(section.seller), contract_party(section.buyer)
    return Agreement(seller, buyer, 0, max(0, n_intervals - 1), section.max_wh, price, section.take_or_pay_wh)


def _preference(section: PreferenceSection, rows: Mapping[str, int]) -> Preference:
    neighbour = None if section.neighbour is None else rows[section.neighbour]
    return Preference(rows[section.buyer], neighbour, section.green, section.max_distance_ohm)


def build_mechanism(scenario: Scenario, names: Sequence[str], engine: Engine) -> Mechanism | None:
    """The mechanism that settles, with contracts and preferences before it; None where there is no local market.

    Args:
        scenario: the resolved scenario, free of problems.
        names: participant ids by row.
        engine: the gate's model, from which electrical distances are taken.
    """
    market = scenario.market
    if market.mechanism == NO_MECHANISM:
        return None
    inner = make_mechanism(market.mechanism, market.parameters)
    if not market.agreements and not market.preferences:
        return inner
    rows = {name: row for row, name in enumerate(names)}
    wishes = [_preference(section, rows) for section in market.preferences]
    far = _distance_at_rest_ohm(engine) if any(w.max_distance is not None for w in wishes) else None
    agreements = [_agreement(section, scenario.n_intervals) for section in market.agreements]
    parties = {contract_party(name): row for name, row in rows.items()}
    return BeforeMarket(inner, Bilateral(agreements, wishes, parties, far))


def build_comparison(market: MarketSection, n: int) -> Comparison | None:
    """The shadow mechanisms of a scenario; None where there are none."""
    if not market.shadow:
        return None
    specs = {name: (name, market.shadow_parameters.get(name, {})) for name in market.shadow}
    return Comparison(market.mechanism, specs, n)


def build_pool_study(scenario: Scenario) -> PoolStudy | None:
    """The pools beside the run; None where the scenario asks for none."""
    section = scenario.market.pool_study
    if section is None:
        return None
    settings = StudySettings(
        capacity_wh=section.capacity_wh,
        fee_ppm=int(section.fee_percent * 10_000),
        slot_intervals=section.slot_s // scenario.interval_s,
        self_discharge_ppm_per_h=int(section.self_discharge_percent_per_h * 10_000),
        arbitrage_wh=section.arbitrage_wh,
    )
    return PoolStudy(settings, scenario.interval_s)


def _distance_at_rest_ohm(engine: Engine) -> FloatArray:
    rest = np.zeros(len(engine.feeder.points))
    return electrical_distance_ohm(engine, rest, rest)
