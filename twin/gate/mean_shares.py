"""Who is behind a change of a mean: the shares of its moments, weighted as the mean weighs them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray
from twin.gate.attribution import Shares, attribute, value_of
from twin.gate.seen import Element


@dataclass(frozen=True)
class Moment:
    """One state of a mean: how long it counts, its model, and powers (n_points,) without and with trades."""

    seconds: float
    engine: Engine
    p_base_w: FloatArray
    q_base_var: FloatArray
    p_traded_w: FloatArray
    q_traded_var: FloatArray


def attribute_mean(
    moments: Sequence[Moment], element: Element, squares: bool, tolerance: float = 1e-5
) -> Shares:
    """Attribute the change of an element's mean over ``moments``; the kind of ``element`` is that of a moment.

    An arithmetic mean's shares are the means of the moments' Aumann-Shapley shares. Of a root mean square (``squares``)
    a moment's change counts by (a + b) / (A + B), with a and b its values with and without trades and A and B the two
    means: exact, because A² - B² is the mean of a² - b². So shares add up to the change of the mean, less the
    ``residual``. What is beyond the limit is a property of the mean alone and is shared in the same proportions.
    ``change_p_w`` is the mean change of power, that is energy over time. All NaN where a moment has no solution.
    """
    seconds = np.array([m.seconds for m in moments])
    ends = np.array([_ends(m, element) for m in moments])  # (k, 2): without, with; adverse direction positive
    part = seconds / seconds.sum()
    sign = -1.0 if element.kind == "voltage_min" else 1.0
    if squares:
        whole = sign * np.sqrt(part @ ends**2)
        middle = whole.sum()
        weight = part * ends.sum(axis=1) / middle if middle else part
    else:
        whole, weight = part @ ends, part
    found = [
        attribute(m.engine, m.p_base_w, m.q_base_var, m.p_traded_w, m.q_traded_var, element, tolerance)
        for m in moments
    ]
    of_change: FloatArray = weight @ np.stack([one.share_of_change for one in found])
    limit = sign * element.limit
    change = float(whole[1] - whole[0])
    beyond = np.maximum(whole - limit, 0.0)
    excess = float(beyond[1] - beyond[0])
    of_excess = of_change * (excess / change if change else 0.0)
    return Shares(
        change_p_w=part @ np.stack([one.change_p_w for one in found]),
        share_of_change=of_change,
        share_of_excess=of_excess,
        change=change,
        excess=excess,
        residual=change - float(of_change.sum()),
        residual_of_excess=excess - float(of_excess.sum()),
        solves=sum(one.solves for one in found) + 2 * len(found),
    )


def _ends(m: Moment, element: Element) -> FloatArray:
    """Value without and with trades, adverse direction positive."""
    state = m.engine.solve(np.stack((m.p_base_w, m.p_traded_w)), np.stack((m.q_base_var, m.q_traded_var)))
    return value_of(element, state)
