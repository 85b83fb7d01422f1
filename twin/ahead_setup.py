"""Agents and trading desk of a scenario: with slots open ahead where it asks for them, the plain ones otherwise."""

from typing import Any

from market.admitted import AdmittedOnly
from market.dynamic_price import inventory_price
from market.mechanism import Tariff
from market.orders import BUY, SELL, Orders
from market.pool_study import PoolStudy
from twin.agents import Agents
from twin.ahead import Planner, PlanningAgents
from twin.ahead_desk import AheadDesk
from twin.comparison import Comparison
from twin.heat_demand import HeatForecaster
from twin.heating import Heating
from twin.market_setup import LocalMarket, bind_pools
from twin.participants import Participants
from twin.prepare import PreparedRun
from twin.profiles import Forecaster, Profiles
from twin.tariff import SupplierTariff
from twin.trading import Index, TradingDesk


def make_agents(run: PreparedRun, tariff: SupplierTariff, profiles: Profiles, *arguments: Any) -> Agents:
    """The participants' strategies; ``arguments`` are those of ``Agents`` after the second of the day."""
    s, people = run.scenario, run.people
    heating = None
    if profiles.heat is not None:
        heating = Heating(people, HeatForecaster(profiles.heat, s, people.names), tariff, s.interval_s)
    plain = (people, tariff, s.interval_s, run.day_start_s, *arguments, heating)
    if s.market.ahead is None:
        return Agents(*plain)
    forecaster = Forecaster(profiles, s, people)
    clock = (s.interval_s, run.day_start_s, s.n_intervals)
    return PlanningAgents(Planner(s.market.ahead, people, forecaster, tariff, clock), *plain)


def make_desk(
    market: LocalMarket,
    run: PreparedRun,
    tariff: SupplierTariff,
    comparison: Comparison | None,
    study: PoolStudy | None,
) -> TradingDesk:
    """The desk that clears."""
    if comparison is not None and isinstance(market.mechanism, AdmittedOnly):
        comparison.admitted = market.mechanism.admitted  # shadows clear what the settling mechanism may
    for pools in () if comparison is None else comparison.pools():
        bind_pools(pools, run.scenario, run.people.names)
    member = run.scenario.market.index
    index = None if member is None else published_index(member, run.people)
    rest = (tariff, run.scenario.interval_s, comparison, study, index)
    if market.ahead is None or market.mechanism is None:
        return TradingDesk(market.mechanism, *rest)
    return AheadDesk(market.ahead, market.mechanism, *rest)


def published_index(member: str, people: Participants) -> Index:
    """The dynamic price of a member of the inventory family: u is energy on offer over energy asked for."""

    def index(orders: Orders, tariff: Tariff) -> int | None:
        side, energy = orders["side"], orders["energy_wh"]
        asked = int(energy[side == BUY].sum())
        return inventory_price(member, int(energy[side == SELL].sum()), asked, tariff) if asked else None

    return index
