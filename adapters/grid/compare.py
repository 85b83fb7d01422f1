"""Is this power flow right on this feeder? The engines compared at nominal load, stressed and feeding in."""

import contextlib
from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import Engine, GridState
from adapters.grid.errors import FeederNotSolvableError, UnsupportedElementError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.pandapower_engine import PandapowerEngine

TOLERANCE_V_PU = 1e-8
TOLERANCE_LOADING_PERCENT = 1e-5
T_MODEL_WARNING_PU = 1e-4
OPENDSS_TOLERANCE_PU = 5e-5
OTHER_TOLERANCE_PERCENT = 1e-2
"""Of loading: what 5e-5 pu of voltage may be worth in current, with a margin."""
STRESS_FACTORS = (2.0, 1.6, 1.3, 1.15)


@dataclass(frozen=True)
class Difference:
    """The largest difference between two solutions, and where it is."""

    value: float
    element: str
    state: str


@dataclass(frozen=True)
class EngineComparison:
    """What comparing the engines on a feeder gave.

    ``voltage`` and ``loading`` are the largest differences in pu and in percentage points between
    ``reference`` (pandapower with the π transformer model; OpenDSS on an unbalanced feeder) and
    power-grid-model, ``None`` where ``refused`` names what power-grid-model cannot model, so that the
    reference stands alone. ``opendss`` is the largest voltage difference to OpenDSS where that was asked for
    and can model the feeder, ``phases`` that to pandapower's three-phase run on an unbalanced one; with each goes that
    of loadings. ``t_model`` is the largest voltage difference between pandapower's two
    transformer models, what the choice of model is worth; it is zero where the reference is not pandapower.
    ``v_min_pu``, ``v_max_pu``, ``highest`` (loading in percent and its branch) and ``loss_w`` are the reference's at
    nominal load.
    """

    states: tuple[str, ...]
    voltage: Difference | None
    loading: Difference | None
    t_model: Difference
    refused: tuple[str, ...]
    v_min_pu: float
    v_max_pu: float
    reference: str = "pandapower"
    opendss: Difference | None = None
    opendss_loading: Difference | None = None
    phases: Difference | None = None
    phases_loading: Difference | None = None
    highest: Difference | None = None
    loss_w: float = float("nan")

    @property
    def agrees(self) -> bool:
        """Whether every engine that can model the feeder is within tolerance of the reference."""
        for _, voltage, loading in self.others:
            if not (
                voltage.value <= OPENDSS_TOLERANCE_PU
                and (loading is None or loading.value <= OTHER_TOLERANCE_PERCENT)
            ):
                return False
        if self.voltage is None or self.loading is None:
            return True
        return self.voltage.value <= self.tolerance_pu and self.loading.value <= self.tolerance_percent

    @property
    def others(self) -> tuple[tuple[str, Difference, Difference | None], ...]:
        """Engines that were compared beside power-grid-model: name, difference of voltage and of loading."""
        both = (
            ("OpenDSS", self.opendss, self.opendss_loading),
            ("pandapower", self.phases, self.phases_loading),
        )
        return tuple((name, voltage, loading) for name, voltage, loading in both if voltage is not None)

    @property
    def tolerance_pu(self) -> float:
        """Of voltages of power-grid-model: what the engines' models leave open, which is more against OpenDSS."""
        return TOLERANCE_V_PU if self.reference == "pandapower" else OPENDSS_TOLERANCE_PU

    @property
    def tolerance_percent(self) -> float:
        """The same of loadings, in percentage points."""
        return TOLERANCE_LOADING_PERCENT if self.reference == "pandapower" else OTHER_TOLERANCE_PERCENT

    @property
    def t_model_warning(self) -> bool:
        """Whether the transformer model matters on this feeder."""
        return not self.t_model.value <= T_MODEL_WARNING_PU

    def sentences(self) -> tuple[str, ...]:
        """The comparison in words, for a terminal or a report."""
        if self.voltage is None or self.loading is None:
            more = f" and {len(self.refused) - 8} more" if len(self.refused) > 8 else ""
            named = "; ".join(self.refused[:8]) + more
            found = [f"power-grid-model cannot model {named}: {self.reference} stands alone."]
        else:
            verb = "agree" if self.agrees else "DISAGREE"
            found = [
                f"power-grid-model and {self.reference} {verb}: at most {self.voltage.value:.1e} pu apart "
                f"({self.voltage.element}, {self.voltage.state}; tolerance {self.tolerance_pu:.0e} pu) and "
                f"{self.loading.value:.1e} percentage points of loading ({self.loading.element}, "
                f"{self.loading.state})."
            ]
        for name, voltage, loading in self.others:
            far = not (
                voltage.value <= OPENDSS_TOLERANCE_PU
                and (loading is None or loading.value <= OTHER_TOLERANCE_PERCENT)
            )
            found.append(
                f"{name} {'DISAGREES: it ' if far else ''}is at most {voltage.value:.1e} pu from {self.reference} "
                f"({voltage.element}, {voltage.state}; tolerance {OPENDSS_TOLERANCE_PU:.0e} pu)"
                + (
                    f" and {loading.value:.1e} percentage points of loading ({loading.element})."
                    if loading
                    else "."
                )
            )
        if self.reference == "pandapower" and self.t_model.value != 0:
            found.append(
                f"pandapower's T transformer model differs from the π model by {self.t_model.value:.1e} pu "
                f"({self.t_model.element}, {self.t_model.state})"
                + (": the choice of model matters here." if self.t_model_warning else ".")
            )
        return tuple(found)


def nominal_powers(feeder: Feeder) -> tuple[FloatArray, FloatArray]:
    """Powers (n_points,) into the grid, in W and var, at the loads' rated values with no asset running."""
    p = np.array([-point.p_rated_w for point in feeder.points], dtype=np.float64)
    q = np.array([-point.q_rated_var for point in feeder.points], dtype=np.float64)
    return p, q


def compare_engines(feeder: Feeder, *, every: bool = False) -> EngineComparison:
    """Solve the feeder's nominal, a stressed and a feeding-in state in the engines and compare them.

    Args:
        feeder: from ``load_feeder``.
        every: also in OpenDSS, or per phase in pandapower, whichever is not the reference (a second more).

    Raises:
        FeederNotSolvableError: the reference does not converge at nominal load, or holds a NaN.
    """
    reference = make_engine(feeder, "pandapower" if feeder.balanced else "opendss")
    names, p, q, expected = _states(feeder, reference)
    refused: tuple[str, ...] = ()
    voltage = loading = third_voltage = third_loading = None
    t_model = Difference(0.0, "none", "not compared")
    try:
        fast = make_engine(feeder, "power_grid_model").solve(p, q)
        voltage = _largest(expected.v_pu, fast.v_pu, feeder.bus_names, names)
        loading = _largest(expected.loading_percent, fast.loading_percent, feeder.branch_names, names)
    except UnsupportedElementError as error:
        refused = error.elements
    if feeder.balanced:
        other = PandapowerEngine(feeder, trafo_model="t").solve(p, q)
        t_model = _largest(expected.v_pu, other.v_pu, feeder.bus_names, names)
    if every:
        with contextlib.suppress(UnsupportedElementError):  # it then has no part in the comparison
            third = make_engine(feeder, "opendss" if feeder.balanced else "pandapower").solve(p, q)
            third_voltage = _largest(expected.v_pu, third.v_pu, feeder.bus_names, names)
            third_loading = _largest(
                expected.loading_percent, third.loading_percent, feeder.branch_names, names
            )
    compared = (third_voltage, third_loading)
    opendss, phases = (compared, (None, None)) if feeder.balanced else ((None, None), compared)
    return EngineComparison(
        states=names,
        voltage=voltage,
        loading=loading,
        t_model=t_model,
        refused=refused,
        v_min_pu=float(expected.v_pu[0].min()),
        v_max_pu=float(expected.v_pu[0].max()),
        reference=reference.name,
        opendss=opendss[0],
        opendss_loading=opendss[1],
        phases=phases[0],
        phases_loading=phases[1],
        highest=_highest(expected.loading_percent[0], feeder.branch_names, names[0]),
        loss_w=float(expected.loss_w[0]),
    )


def _states(feeder: Feeder, reference: Engine) -> tuple[tuple[str, ...], FloatArray, FloatArray, GridState]:
    p, q = nominal_powers(feeder)
    nominal = reference.solve(p[None, :], q[None, :])
    if not nominal.converged[0]:
        at_rest = reference.solve(0 * p[None, :], 0 * q[None, :]).converged[0]
        hint = (
            "it does at no load: check the loads"
            if at_rest
            else "nor at no load: check impedances, topology and voltage-controlled generators"
        )
        raise FeederNotSolvableError(
            f"{feeder.name}: the power flow does not converge at nominal load, without generation; {hint}."
        )
    feed_in = -0.5 * p
    if feeder.assets:
        feed_in = 0.1 * p
        for asset in feeder.assets:
            feed_in[asset.point] += asset.p_rated_w if asset.kind == "pv" else 0.0
    candidates = [("nominal load", p, q), ("feeding in", feed_in, 0.1 * q)]
    candidates += [(f"{factor:g} times nominal load", factor * p, factor * q) for factor in STRESS_FACTORS]
    stacked_p, stacked_q = np.array([c[1] for c in candidates]), np.array([c[2] for c in candidates])
    solved = reference.solve(stacked_p, stacked_q)
    stressed = [i for i in range(2, len(candidates)) if solved.converged[i]][:1]
    rows = [i for i in (0, 1) if solved.converged[i]] + stressed
    return (
        tuple(candidates[i][0] for i in rows),
        stacked_p[rows],
        stacked_q[rows],
        reference.solve(stacked_p[rows], stacked_q[rows]),
    )


def _highest(loading: FloatArray, elements: tuple[str, ...], state: str) -> Difference | None:
    """The highest loading; None where no branch has a rating."""
    if not np.isfinite(loading).any():
        return None
    row = int(np.nanargmax(loading))
    return Difference(float(loading[row]), elements[row], state)


def _largest(
    expected: FloatArray, got: FloatArray, elements: tuple[str, ...], states: tuple[str, ...]
) -> Difference:
    """The largest difference; a number on one side only counts as infinite, so that a NaN never agrees."""
    difference = np.abs(expected - got)
    difference[np.isnan(expected) & np.isnan(got)] = 0.0
    difference[np.isnan(expected) ^ np.isnan(got)] = np.inf
    if not difference.size:
        return Difference(0.0, "none", states[0])
    row, column = np.unravel_index(int(np.argmax(difference)), difference.shape)
    return Difference(float(difference[row, column]), elements[column], states[row])
