"""The scenario's market section as mechanisms of the core, with every problem it may have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray
from market.admitted import AdmittedOnly
from market.ahead import TradesAhead
from market.before_market import BeforeMarket, Bilateral
from market.dynamic_price import inventory_price
from market.errors import ContractError, MarketError, ParameterError
from market.mechanism import Mechanism, Tariff
from market.orders import empty_orders
from market.pool_market import PoolAndBook
from market.pool_study import PoolStudy, StudySettings
from market.ppa import Agreement, FixedPrice, IndexedPrice
from market.preferences import Preference
from market.registry import make_mechanism
from twin.admission import Admissions, admit
from twin.comparison import NO_MECHANISM, Billing, Comparison
from twin.gate.price import electrical_distance_ohm
from twin.participants import Participants
from twin.scenario.ahead_section import AheadSection
from twin.scenario.fields import duplicates
from twin.scenario.market_section import AgreementSection, MarketSection, PreferenceSection, SupplierSection
from twin.scenario.schema import Scenario
from twin.tariff import micro

Complain = Callable[..., None]
POOLS = "pool_and_book"
TRADING_AHEAD = (POOLS, "order_book")


def contract_party(name: str) -> str:
    """A participant's id in a contract's text, which allows no blanks."""
    return "_".join(name.split())


def market_problems(market: MarketSection, complain: Complain) -> None:
    """Report what is wrong with mechanisms and parameters; needs no feeder."""
    supplier = market.supplier
    main = partial(_tried, market.mechanism, market.parameters, supplier)
    _try(main, "market.mechanism", market.mechanism, complain, "market.parameters")
    for i, name in enumerate(market.shadow):
        make = partial(_tried, name, market.shadow_parameters.get(name, {}), supplier)
        _try(make, f"market.shadow[{i}]", name, complain, f"market.shadow_parameters.{name}")
    for name in duplicates(market.shadow):
        complain("market.shadow", "names a mechanism more than once", name, "each mechanism once")
    if market.index is not None:
        _try(partial(_index_of, market.index, supplier), "market.index", market.index, complain)
    if market.mechanism == POOLS and market.index is not None:
        allowed = "market.parameters.index"
        complain("market.index", f"{POOLS} publishes an index of its own", market.index, allowed)
    if market.ahead is not None:
        _ahead_problems(market, market.ahead, complain)
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
    _named_problems(market, names, complain)
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


def _named_problems(market: MarketSection, names: Sequence[str], complain: Complain) -> None:
    """Report an arbitrageur that is nobody, and admission to no market."""
    trader = None if market.ahead is None else market.ahead.arbitrageur
    if trader is not None and trader not in names:
        complain("market.ahead.arbitrageur", "no such connection point", trader, "a connection point")
    for i, leave in enumerate(market.ahead.leaving if market.ahead else ()):
        if leave.provider not in names:
            path = f"market.ahead.leaving[{i}].provider"
            complain(path, "no such connection point", leave.provider, "a connection point")
    if market.admission is not None and market.mechanism == NO_MECHANISM:
        complain("market.mechanism", "admission needs a local market", NO_MECHANISM, "a mechanism")


def _ahead_problems(market: MarketSection, ahead: AheadSection, complain: Complain) -> None:
    """Report what cannot trade ahead."""
    if market.mechanism not in TRADING_AHEAD:
        allowed = " or ".join(TRADING_AHEAD)
        complain("market.ahead", "needs a mechanism with open slots", market.mechanism, allowed)
    horizon = market.parameters.get("horizon", ahead.horizon_intervals)
    if horizon != ahead.horizon_intervals:
        allowed = f"{ahead.horizon_intervals}, or leave it out"
        complain(
            "market.parameters.horizon", "differs from market.ahead.horizon_intervals", str(horizon), allowed
        )
    if ahead.leaving and market.mechanism != POOLS:
        complain("market.ahead.leaving", "there is no pool to leave", ahead.leaving[0].provider, POOLS)
    if ahead.arbitrageur is not None and market.mechanism != POOLS:
        complain("market.ahead.arbitrageur", "there is no pool to trade with", ahead.arbitrageur, POOLS)


def _tried(name: str, parameters: Mapping[str, Any], supplier: SupplierSection) -> Mechanism:
    """A mechanism that has cleared nothing under every price of the supplier."""
    mechanism = make_mechanism(name, parameters)
    for interval, tariff in enumerate(_tariffs(supplier)):
        mechanism.clear(empty_orders(), tariff, interval)
    return mechanism


def _index_of(member: str, supplier: SupplierSection) -> list[int]:
    return [inventory_price(member, 1, 2, tariff) for tariff in _tariffs(supplier)]


def _tariffs(supplier: SupplierSection) -> list[Tariff]:
    prices = (supplier.retail_price_eur_per_kwh, supplier.night_price_eur_per_kwh)
    feed_in = micro(supplier.feed_in_price_eur_per_kwh)
    return [Tariff(micro(price), feed_in) for price in prices if price is not None]


def _try(
    make: Callable[[], object], path: str, got: str, complain: Complain, parameters: str | None = None
) -> None:
    """Report what ``make`` refuses at ``path``; what it says of a parameter at that parameter under ``parameters``."""
    try:
        make()
    except MarketError as error:
        keys = error.keys if isinstance(error, ParameterError) and parameters else ()
        for i, problem in enumerate(error.problems):
            if keys:
                complain(f"{parameters}.{keys[i]}", problem)  # which says what it got
            else:
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
    buyer, neighbour = rows[section.buyer], None if section.neighbour is None else rows[section.neighbour]
    try:
        return Preference(buyer, neighbour, section.green, section.max_distance_ohm)
    except ContractError as error:  # the core knows rows, a reader names
        by_row, by_name = f"preference of {buyer}:", f"preference of {section.buyer}:"
        raise ContractError([problem.replace(by_row, by_name, 1) for problem in error.problems]) from None


def build_mechanism(scenario: Scenario, names: Sequence[str], engine: Engine) -> Mechanism | None:
    """The mechanism that settles, with contracts and preferences before it; None where there is no local market.

    Args:
        scenario: the resolved scenario, free of problems.
        names: participant ids by row.
        engine: the gate's model, from which electrical distances are taken.
    """
    return build_market(scenario, names, engine).mechanism


@dataclass(frozen=True)
class LocalMarket:
    """The mechanism that settles (None: supplier only), and its parts: what trades ahead, pools, admitted assets."""

    mechanism: Mechanism | None
    ahead: TradesAhead | None = None
    pools: PoolAndBook | None = None
    admissions: Admissions | None = None


def build_market(
    scenario: Scenario, names: Sequence[str], engine: Engine, people: Participants | None = None
) -> LocalMarket:
    """The local market of a scenario, free of problems; ``people`` where assets must be admitted."""
    market = scenario.market
    if market.mechanism == NO_MECHANISM:
        return LocalMarket(None)
    parameters = dict(market.parameters)
    if market.ahead is not None:
        parameters["horizon"] = market.ahead.horizon_intervals
    inner = make_mechanism(market.mechanism, parameters)
    pools = inner if isinstance(inner, PoolAndBook) else None
    if pools is not None:
        bind_pools(pools, scenario, names)
    ahead = inner if market.ahead is not None and isinstance(inner, TradesAhead) else None
    mechanism = _with_bilateral(inner, scenario, names, engine)
    if market.admission is None or people is None:
        return LocalMarket(mechanism, ahead, pools)
    admissions = admit(market.admission, people, scenario.seed, scenario.interval_s, scenario.n_intervals)
    return LocalMarket(AdmittedOnly(mechanism, admissions.first_interval), ahead, pools, admissions)


def bind_pools(pools: PoolAndBook, scenario: Scenario, names: Sequence[str]) -> None:
    """Tell pools, of the settling mechanism or of a shadow, how long an interval lasts and who is their arbitrageur."""
    ahead = scenario.market.ahead
    trader = None if ahead is None or ahead.arbitrageur is None else list(names).index(ahead.arbitrageur)
    pools.bind(scenario.interval_s, trader, ahead.arbitrage_wh if ahead else 0)


def agreements_of(scenario: Scenario) -> list[Agreement]:
    """The agreements of a scenario, free of problems."""
    return [_agreement(section, scenario.n_intervals) for section in scenario.market.agreements]


def _with_bilateral(inner: Mechanism, scenario: Scenario, names: Sequence[str], engine: Engine) -> Mechanism:
    """The mechanism with agreements and preferences before it."""
    market = scenario.market
    if not market.agreements and not market.preferences:
        return inner
    rows = {name: row for row, name in enumerate(names)}
    wishes = [_preference(section, rows) for section in market.preferences]
    far = _distance_at_rest_ohm(engine) if any(w.max_distance is not None for w in wishes) else None
    agreements = agreements_of(scenario)
    parties = {contract_party(name): row for name, row in rows.items()}
    return BeforeMarket(inner, Bilateral(agreements, wishes, parties, far))


def build_comparison(market: MarketSection, n: int, bills: Billing | None = None) -> Comparison | None:
    """The shadow mechanisms of a scenario; None where there are none."""
    if not market.shadow:
        return None
    specs = {name: (name, _shadow_parameters(market, name)) for name in market.shadow}
    return Comparison(market.mechanism, specs, n, bills=bills)


def _shadow_parameters(market: MarketSection, name: str) -> dict[str, Any]:
    """A shadow's parameters; where the settling mechanism trades ahead, its slots are open as long."""
    given = market.shadow_parameters.get(name, {})
    if market.ahead is None or name not in TRADING_AHEAD:
        return given
    return {"horizon": market.ahead.horizon_intervals, **given}


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
