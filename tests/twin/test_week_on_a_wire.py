"""A week of emulated devices behind sockets comes to what native ones give, within the resolution of the wire."""

import numpy as np
import pytest

from rigs.journal import replay
from twin.bench_run import LOG
from twin.run import run
from twin.scenario.load import load_scenario

ROLES = ("load 0.battery", "load 1.battery", "load 3.pv")
BENCH = "bench: week\ndevices:\n" + "".join(
    f"  {role}: {{driver: emulated, mode: armed}}\n" for role in ROLES
)
WEEK = {"duration_days": 7, "outputs": {"report": False}}


@pytest.fixture(scope="module")
def weeks(tmp_path_factory, street_text, write_day_profiles):
    """The street's week with native devices, with devices in memory, and over sockets with every frame logged."""
    folder = tmp_path_factory.mktemp("week")
    write_day_profiles(folder / "profiles.csv", days=9)
    (folder / "wire.yaml").write_text(BENCH)
    (folder / "memory.yaml").write_text(BENCH.replace("emulated", "memory"))
    results = {}
    for name in ("native", "memory", "wire"):
        devices = {} if name == "native" else {"bench": f"{name}.yaml", "record": name == "wire"}
        path = folder / f"{name}_week.yaml"
        path.write_text(street_text(**WEEK, devices=devices))
        results[name] = run(load_scenario(path), folder / name)
    return results


def of(result, participant: str, column: str) -> np.ndarray:
    table = result.table("participants").to_pandas()
    return table.loc[table["participant"] == participant, column].to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["memory", "wire"])
def test_a_week_comes_to_the_same(weeks, name) -> None:
    native, other = weeks["native"], weeks[name]
    assert other.kpis["intervals_count"] == native.kpis["intervals_count"] == 7 * 96
    assert other.kpis["bad_samples_count"] == 0
    assert (other.kpis["wire_samples_count"] > 0) is (name == "wire")
    for role in ROLES:
        house = role.rpartition(".")[0]
        # per interval 1 W of power is a quarter of a Wh; orders are whole Wh, and a state of charge is read to 0.01 %
        apart_wh = of(other, house, "metered_wh") - of(native, house, "metered_wh")
        assert abs(apart_wh.sum()) <= 5, "counters add up: nothing drifts over a week"
        assert np.abs(apart_wh).max() <= 8
        assert np.abs(of(other, house, "v_pu") - of(native, house, "v_pu")).max() < 1e-4
    soc = [of(result, "load 0", "soc") for result in (native, other)]
    assert np.abs(soc[1] - soc[0]).max() < 1e-3
    assert {c["name"]: c["verdict"] for c in other.checks if c["name"].startswith("trades.")} == {
        c["name"]: c["verdict"] for c in native.checks if c["name"].startswith("trades.")
    }


@pytest.mark.slow
def test_the_log_of_a_week_is_whole_and_replays(weeks) -> None:
    done = replay(weeks["wire"].folder / LOG)
    assert done.readings >= 7 * 96 * len(ROLES)
    assert done.differences == ()
