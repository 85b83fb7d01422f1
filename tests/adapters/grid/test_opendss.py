"""OpenDSS files as feeders, against the voltages that IEEE published, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from adapters.grid.compare import compare_engines, nominal_powers
from adapters.grid.engine import ModelError
from adapters.grid.errors import FeederNotSolvableError, GridInputError, UnsupportedElementError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.source import load_feeder

DATA = Path(__file__).parent / "data"

# Kersting, "Radial distribution test feeders" (IEEE PES): phase voltages in pu, None where the bus lacks the phase.
# The 13 buses were compared with the copy of the published table in github.com/Constancellc/epg-psopt
# (mtd/3phase_linearization/reproduce_ieee13.m): every number is the same. No second copy of the 34-bus table was at
# hand; its published losses (below) are another number of the same report that the solution meets.
IEEE13 = {
    "632": (1.0210, 1.0420, 1.0174),
    "633": (1.0180, 1.0401, 1.0148),
    "634": (0.9940, 1.0218, 0.9960),
    "645": (None, 1.0329, 1.0155),
    "646": (None, 1.0311, 1.0134),
    "671": (0.9900, 1.0529, 0.9778),
    "675": (0.9835, 1.0553, 0.9758),
    "680": (0.9900, 1.0529, 0.9777),
    "684": (0.9881, None, 0.9758),
    "611": (None, None, 0.9738),
    "652": (0.9825, None, None),
}
IEEE34 = {
    "800": (1.0500, 1.0500, 1.0500),
    "802": (1.0475, 1.0484, 1.0484),
    "806": (1.0457, 1.0474, 1.0474),
    "808": (1.0136, 1.0296, 1.0289),
    "812": (0.9763, 1.0100, 1.0069),
    "814": (0.9467, 0.9945, 0.9893),
    "890": (0.9167, 0.9235, 0.9177),
}


@pytest.fixture(scope="module")
def ieee13() -> Feeder:
    return load_feeder("ieee13/published_taps.dss", DATA)


def solved(feeder: Feeder, error: ModelError | None = None) -> dict[str, float]:
    p, q = nominal_powers(feeder)
    engine = make_engine(feeder, "opendss", error or ModelError())
    state = engine.solve(p[None], q[None])
    assert state.converged.all()
    return dict(zip(feeder.bus_names, state.v_pu[0], strict=True))


@pytest.mark.parametrize(
    ("file", "published", "tolerance"),
    [("ieee13/published_taps.dss", IEEE13, 0.0014), ("ieee34/published_taps.dss", IEEE34, 0.004)],
)
def test_published_voltages(
    file: str, published: dict[str, tuple[float | None, ...]], tolerance: float
) -> None:
    v = solved(load_feeder(file, DATA))
    for bus, phases in published.items():
        for phase, expected in zip("abc", phases, strict=True):
            if expected is None:
                assert f"{bus}.{phase}" not in v
            else:
                assert v[f"{bus}.{phase}"] == pytest.approx(expected, abs=tolerance), f"{bus}.{phase}"


def test_published_losses_of_34_buses() -> None:
    """Published: 273.049 kW."""
    feeder = load_feeder("ieee34/published_taps.dss", DATA)
    p, q = nominal_powers(feeder)
    state = make_engine(feeder, "opendss").solve(p[None], q[None])
    assert state.loss_w[0] / 1e3 == pytest.approx(273.049, rel=0.015)


def test_what_is_understood(ieee13: Feeder) -> None:
    assert not ieee13.balanced
    assert len(ieee13.points) == 15
    assert {p.name: p.phases for p in ieee13.points}["634b"] == "b"
    assert ieee13.bus_names[ieee13.slack_bus] == "sourcebus.a"
    line = ieee13.branch_names.index("Line.671684.c")
    assert ieee13.bus_names[ieee13.branch_from[line]] == "671.c"
    assert ieee13.bus_names[ieee13.branch_to[line]] == "684.c"
    trafo = ieee13.branch_names.index("Transformer.xfm1.b")
    assert ieee13.branch_rated_va[trafo] == pytest.approx(500e3 / 3)
    text = " ".join(ieee13.notes)
    for said in ("taps frozen at 1, 1.0625", "state no rating", "646, 692", "vminpu"):
        assert said in text


def test_loading_and_balance(ieee13: Feeder) -> None:
    p, q = nominal_powers(ieee13)
    state = make_engine(ieee13, "opendss").solve(p[None], q[None])
    trafo = ieee13.branch_names.index("Transformer.xfm1.a")
    # 160 kW and 110 kvar at 0.994 pu on a third of 500 kVA
    expected = 100 * np.hypot(160, 110) / 0.994 / (500 / 3)
    assert state.loading_percent[0, trafo] == pytest.approx(expected, rel=0.01)
    assert state.unbalance_percent is not None
    assert 0.5 < np.nanmax(state.unbalance_percent) < 3
    assert np.isnan(state.unbalance_percent[0, ieee13.bus_names.index("611.c")])


def test_what_a_load_of_another_model_draws_follows_from_the_published_voltage(ieee13: Feeder) -> None:
    p, q = nominal_powers(ieee13)
    twice = make_engine(ieee13, "opendss").solve(np.stack((p, p / 2)), np.stack((q, q / 2)))
    shift = twice.p_shift_w
    assert shift is not None
    drawn = {point.name: -(p + shift[0])[i] for i, point in enumerate(ieee13.points)}
    published = {
        "611": 170e3 * IEEE13["611"][2],
        "652": 128e3 * IEEE13["652"][0] ** 2,
    }  # constant current, impedance
    for name, power_w in published.items():
        assert drawn[name] == pytest.approx(power_w, rel=2e-3)
    constant = [i for i, point in enumerate(ieee13.points) if point.name not in ("611", "646", "652", "692")]
    assert (shift[:, constant] == 0).all() and (np.abs(shift[1]) != np.abs(shift[0])).any()
    injected = (p + shift[0]).sum() + twice.p_slack_w[0]
    rest = injected - twice.loss_w[0]
    assert abs(rest) < 0.01 * abs(p).sum(), "what is drawn, lost and delivered belong together"


def test_scenarios_do_not_depend_on_each_other(ieee13: Feeder) -> None:
    p, q = nominal_powers(ieee13)
    engine = make_engine(ieee13, "opendss")
    alone = engine.solve(0.3 * p[None], 0.3 * q[None])
    engine.solve(60 * p[None], 60 * q[None])  # diverges
    factors = np.array([[1.2], [60.0], [0.3]])
    among = engine.solve(factors * p, factors * q)
    assert among.converged.tolist() == [True, False, True]
    assert np.array_equal(among.v_pu[2], alone.v_pu[0])


def test_model_errors(ieee13: Feeder) -> None:
    base = solved(ieee13)
    worse = solved(ieee13, ModelError(line_impedance_factor=1.2))
    assert worse["671.a"] < base["671.a"] - 0.005
    assert solved(ieee13, ModelError(source_voltage_pu=0.97))["650.a"] == pytest.approx(0.97, abs=1e-3)
    at_neutral = solved(ieee13, ModelError(tap_pos=0))
    assert at_neutral["rg60.a"] == pytest.approx(at_neutral["650.a"], abs=2e-4)
    with pytest.raises(GridInputError, match=r"-16\.\.16"):
        make_engine(ieee13, "opendss", ModelError(tap_pos=40))


def test_other_engines_refuse_the_file(ieee13: Feeder) -> None:
    for name in ("power_grid_model", "pandapower"):
        with pytest.raises(UnsupportedElementError, match=r"OpenDSS file.*Use engine: opendss"):
            make_engine(ieee13, name)
    found = compare_engines(ieee13)
    assert found.agrees
    assert found.reference == "opendss"
    assert "stands alone" in found.sentences()[0]


ENDED = (
    "New Circuit.c basekv=0.4 bus1=a phases=3\nNew Line.l bus1=a bus2=b phases=3 r1=.1 x1=.1\n"
    "New Line.spur bus1=b bus2=c phases=3 r1=.1 x1=.1 enabled=yes\n"
    "New Load.x bus1=b phases=3 kW=1 kV=0.4\nSet voltagebases=[0.4]\nCalcv\nSolve\n"
)
CIRCUIT = "Clear\nNew Circuit.c basekv=0.4 bus1=a phases=3\nNew Line.l bus1=a bus2=b phases=3 r1=.1 x1=.1\n"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("New Circuit.c\nNew Line.l linecode=missing bus1=a bus2=b\n", "feeder.dss"),
        (CIRCUIT + "Redirect ../outside.dss\n", r"feeder\.dss:4: \.\./outside\.dss lies outside"),
        (CIRCUIT + "Redirect missing.dss\n", r"feeder\.dss:4: missing\.dss does not exist"),
        (CIRCUIT + "Export voltages\n", r"feeder\.dss:4: 'Export' writes files"),
        (CIRCUIT + "Exp voltages\n", r"feeder\.dss:4: 'Exp' writes files"),
        (CIRCUIT + "Sav circuit\n", r"feeder\.dss:4: 'Sav' writes files"),
        (CIRCUIT + "Show voltages\n", r"feeder\.dss:4: 'Show' writes files"),
        (CIRCUIT + "Set datap=/\n", r"feeder\.dss:4: 'Set' writes files or changes folders"),
        (CIRCUIT + "Redir ../outside.dss\n", r"feeder\.dss:4: \.\./outside\.dss lies outside"),
        (CIRCUIT + 'Redirect "..//outside.dss"\n', r"feeder\.dss:4: \.\.//outside\.dss lies outside"),
        (CIRCUIT + "Redirect file=../outside.dss\n", r"feeder\.dss:4: \.\./outside\.dss lies outside"),
        (CIRCUIT + "New Loadshape.s csvfile=../p.csv\n", r"feeder\.dss:4: \.\./p\.csv lies outside"),
        (
            CIRCUIT + "New Loadshape.s npts=2 mult=(file=../p.csv)\n",
            r"feeder\.dss:4: \.\./p\.csv lies outside",
        ),
        ("! nothing in it\n", "feeder.dss makes no circuit"),
        (
            ENDED.replace("bus1=b", "bus1=b.4").replace("phases=3 kW", "phases=1 kW"),
            r"feeder\.dss:4: Load\.x is connected to b\.4: phases are",
        ),
        (
            ENDED.replace("bus1=b", "bus1=island"),
            r"feeder\.dss:4: Load\.x is connected to island\.a, .* energises",
        ),
        (CIRCUIT + "New Load.x bus1=b kW=1 kV=0.4\nSolve\n", "bus a has no voltage base"),
    ],
)
def test_files_that_are_refused(text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "feeder.dss").write_text(text)
    with pytest.raises(GridInputError, match=match):
        load_feeder("feeder.dss", tmp_path)


def test_what_no_source_reaches_is_left_out_and_told(tmp_path: Path) -> None:
    """A bus behind an open line has no voltage: not 0 pu that somebody might take for a result."""
    text = ENDED.replace(
        "Solve", "Open Line.spur 1\nSolve ! show export redirect ../nothing are words of a comment"
    )
    (tmp_path / "feeder.dss").write_text(text)
    feeder = load_feeder("feeder.dss", tmp_path)
    assert feeder.bus_names == ("a.a", "a.b", "a.c", "b.a", "b.b", "b.c")
    assert feeder.branch_names == ("Line.l.a", "Line.l.b", "Line.l.c")
    assert any("left out: c.a, c.b, c.c" in note for note in feeder.notes)
    assert min(solved(feeder).values()) > 0.9


def test_a_file_that_does_not_converge(tmp_path: Path) -> None:
    text = CIRCUIT + "New Load.x bus1=b kW=90000 kV=0.4 vminpu=0.01\nSet voltagebases=[0.4]\nCalcv\n"
    (tmp_path / "feeder.dss").write_text(text)
    with pytest.raises(FeederNotSolvableError, match=r"feeder\.dss"):
        load_feeder("feeder.dss", tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(GridInputError, match="does not exist"):
        load_feeder("nothing.dss", tmp_path)
