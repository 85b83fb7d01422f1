"""The parts of the report: numbers in words, packed arrays, the drawing, violations, participants."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adapters.export.run_folder import RunFolder
from twin.report import violations, words
from twin.report.feeder import feeder_payload
from twin.report.pack import pack, unpack
from twin.report.people import people_of
from twin.report.series import at_a_moment, use_percent
from twin.report.summary import _extreme, _quantities, check_name, first_screen, quality, variant_rows
from twin.results import RunResult
from twin.tables import TABLES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (words.energy(0), "0 Wh"),
        (words.energy(-999), "−999 Wh"),
        (words.energy(22_345), "22.3 kWh"),
        (words.energy(1_159_543), "1.16 MWh"),
        (words.energy(None), "not recorded"),
        (words.power(float("nan")), "not recorded"),
        (words.power(-6789), "−6.8 kW"),
        (words.money(-1_234_567_890_000, "EUR"), "−1\u202f234\u202f567.89 EUR"),
        (words.money(10**17 + 10_000, "EUR"), "100\u202f000\u202f000\u202f000.01 EUR"),
        (words.price(187_500, "EUR"), "0.1875 EUR/kWh"),
        (words.duration(0), "0 s"),
        (words.duration(6300), "1 h 45 min"),
        (words.duration(7 * 86400), "7 d"),
        (words.element_hours(86 * 3600 + 1800), "86.5 element-hours"),
        (words.element_hours(360), "0.10 element-hours"),
        (words.element_hours(None), "not recorded"),
        (words.duration(86400), "24 h"),
        (words.quantity(0.93996, "pu", apart_from=0.94), "0.93996 pu"),
        (words.quantity(100.04, "percent", apart_from=100), "100.04 %"),
        (words.quantity(100.0, "percent", apart_from=100), "100.0 %"),
        (words.quantity(3.2e-10, "pu"), "3.2e−10 pu"),
        (words.quantity(71812, "W", apart_from=35000), "71.8 kW"),
        (words.quantity(35010, "W", apart_from=35000), "35\u202f010.0 W"),
        (words.quantity(70400, "VA"), "70.4 kVA"),
        (words.difference(-149, "VA"), "−149 VA"),
        (words.quantity(True, "pu"), "not recorded"),
        (words.difference(-0.6, "percent"), "−0.6 pp"),
        (words.number(-0.0001, 2), "0.00"),
        (words.moment("2016-01-18T18:45:00+01:00"), "Mon 18 Jan 2016, 18:45"),
        (words.moment("yesterday"), "not recorded"),
        (words.zone("2016-01-18T18:45:00-03:30"), "UTC−03:30"),
        (check_name("feeder.voltage_min"), "Lowest voltage, without trades"),
        (check_name("expect.cut_wh"), "cut_wh, expected"),
        (check_name("something_new"), "Something new"),
    ],
)
def test_numbers_in_words(text, wanted):
    assert text.replace(words.NBSP, " ") == wanted


@example(np.array([0.0, 65535 * 5e-324]))  # the step is rounded down to 5e-324
@given(
    hnp.arrays(
        np.float64,
        st.integers(0, 50),
        elements=st.floats(-1e7, 1e7) | st.just(float("nan")) | st.just(float("inf")),
    )
)
def test_packing_loses_less_than_its_step(values):
    packed = pack(values)
    got = unpack(packed)
    finite = np.isfinite(values)
    assert packed["n"] == values.size
    np.testing.assert_array_equal(np.isfinite(got), finite)
    if finite.any():
        span = np.ptp(values[finite])
        np.testing.assert_allclose(got[finite], values[finite], rtol=0, atol=span / 65534 * 0.51 + 1e-9)


class TestDrawing:
    def feeder(self, tmp_path, xy, *, lengths=None, held=None):
        """MV - trafo - bar - a - b, and c off the bar; d is not connected."""
        folder = RunFolder.create(tmp_path / "r", {}, schemas=TABLES)
        bus = ["mv", "bar", "a", "b", "c", "d"]
        folder.append(
            "feeder_buses",
            {
                "bus": bus,
                "x": [p[0] for p in xy],
                "y": [p[1] for p in xy],
                "vn_v": [2e4] + [400.0] * 5,
                "participants": held,
            },
        ) if held else folder.append(
            "feeder_buses",
            {"bus": bus, "x": [p[0] for p in xy], "y": [p[1] for p in xy], "vn_v": [2e4] + [400.0] * 5},
        )
        columns = {"branch": ["t", "1", "2", "3"], "kind": ["trafo", "line", "line", "line"],
                   "from_bus": ["bar", "bar", "a", "bar"], "to_bus": ["mv", "a", "b", "c"]}  # fmt: skip
        folder.append("feeder_branches", {**columns, "length_m": lengths} if lengths else columns)
        folder.finish("finished", {})
        return feeder_payload(RunResult(tmp_path / "r"))

    XY = ((50.0, 80.0), (0.0, 0.0), (10.0, 100.0), (20.0, 400.0), (30.0, -50.0), (0.0, 0.0))

    def test_it_fits_the_page_landscape(self, tmp_path):
        drawn = self.feeder(tmp_path, self.XY)
        xy = np.array([(bus["x"], bus["y"]) for bus in drawn["buses"]])
        assert (xy >= 0).all() and (xy[:, 0] <= 1000).all() and (xy[:, 1] <= drawn["height"]).all()
        assert np.ptp(xy[:, 0]) > np.ptp(xy[:, 1])  # the street runs north, the page is wide

    def test_the_transformer_stands_at_its_lower_bus(self, tmp_path):
        drawn = self.feeder(tmp_path, self.XY)
        at = {bus["n"]: np.array([bus["x"], bus["y"]]) for bus in drawn["buses"]}
        apart = np.linalg.norm(at["mv"] - at["bar"])
        assert 20 < apart < 70 and apart < np.linalg.norm(at["bar"] - at["b"]) / 3

    def test_distance_in_branches_or_metres(self, tmp_path):
        drawn = self.feeder(tmp_path / "1", self.XY)
        assert [bus["d"] for bus in drawn["buses"]] == [0, 1, 2, 3, 2, None]
        assert drawn["distance_unit"] == "branches"
        drawn = self.feeder(tmp_path / "2", self.XY, lengths=[None, 30.0, 12.5, 7.0])
        assert [bus["d"] for bus in drawn["buses"]] == [0, 0, 30, 42.5, 7, None]
        assert drawn["distance_unit"] == "m"
        drawn = self.feeder(tmp_path / "3", self.XY, lengths=[None, 30.0, None, 7.0])
        assert drawn["distance_unit"] == "branches"

    def test_without_coordinates_it_is_laid_out(self, tmp_path):
        drawn = self.feeder(tmp_path, [(float("nan"),) * 2] * 6)
        at = {bus["n"]: (bus["x"], bus["y"]) for bus in drawn["buses"]}
        assert len(set(at.values())) == 6 and at["mv"][0] < at["bar"][0] < at["a"][0] < at["b"][0]

    def test_degrees_keep_their_proportions(self, tmp_path):
        # a square of 0.001 degrees at 60 degrees north is half as wide as it is high
        corners = ((11.0, 60.0), (11.0, 60.0), (11.001, 60.0), (11.001, 60.001), (11.0, 60.001), (11.0, 60.0))
        drawn = self.feeder(tmp_path, corners)
        at = {bus["n"]: np.array([bus["x"], bus["y"]]) for bus in drawn["buses"]}
        ratio = np.linalg.norm(at["b"] - at["a"]) / np.linalg.norm(at["b"] - at["c"])
        assert ratio == pytest.approx(2, rel=1e-2)


class TestViolations:
    def run(self, tmp_path, values, shares=()):
        folder = RunFolder.create(tmp_path / "r", {}, schemas=TABLES)
        for i, (kind, value, limit) in enumerate(values):
            unit = "pu" if "voltage" in kind else "percent"
            folder.append("violations", {
                "interval": [i], "element": [f"e{i}"], "kind": [kind], "phase": ["abc"], "value": [value], "limit": [limit],
                "worst_interval": [i], "unit": [unit], "duration_s": [900], "cause": ["trades"], "status": ["violated"],
            })  # fmt: skip
        for name, share in shares:
            folder.append("shares", {
                "interval": [0], "element": ["e0"], "kind": [values[0][0]], "status": ["violated"], "participant": [name],
                "change_p_w": [-share], "share_of_change": [share], "share_of_excess": [share], "unit": ["percent"], "residual": [1e-9],
            })  # fmt: skip
        folder.finish("finished", {})
        times = [f"2016-01-18T12:{15 * k:02d}:00+01:00" for k in range(4)]
        return violations.violations_context(RunResult(tmp_path / "r"), times, "EUR")["violated"]

    def test_the_worst_comes_first(self, tmp_path):
        listed = self.run(
            tmp_path,
            [("line_loading", 104.0, 100.0), ("voltage_min", 0.92, 0.94), ("voltage_max", 1.07, 1.06), ("line_loading", float("nan"), 100.0)],
        )  # fmt: skip
        assert [row["element"] for row in listed["rows"]] == ["e3", "e1", "e2", "e0"]
        assert listed["rows"][3]["value"].replace(words.NBSP, " ") == "104.0 %"

    def test_what_is_left_out_is_counted(self, tmp_path):
        listed = self.run(tmp_path, [("line_loading", 101.0 + i, 100.0) for i in range(60)])
        assert listed["total"] == 60 and len(listed["rows"]) == violations.SHOWN

    def test_what_has_no_shares_is_counted(self, tmp_path):
        self.run(tmp_path, [("line_loading", 104.0, 100.0)])
        (tmp_path / "r" / "verdict.json").write_text(json.dumps({"episodes_without_shares": 7}))
        assert violations.violations_context(RunResult(tmp_path / "r"), [], "EUR")["unshared"] == 7

    def test_relief_is_shown_beside_burden(self, tmp_path):
        shares = [(f"p{i}", float(i - 5)) for i in range(20)]  # -5 .. 14, sum 90
        people = self.run(tmp_path, [("line_loading", 150.0, 100.0)], shares)["rows"][0]["people"]
        assert [p["name"] for p in people["rows"]] == [
            "p19",
            "p18",
            "p17",
            "p16",
            "p15",
            "p14",
            "p13",
            "p2",
            "p1",
            "p0",
        ]
        assert [p["relief"] for p in people["rows"]] == [False] * 7 + [True] * 3
        assert people["rest_count"] == 10 and people["rest"].replace(words.NBSP, " ") == "25.0 pp"
        assert people["rows"][0]["width"] == 100 and people["rows"][-1]["width"] == pytest.approx(
            100 * 5 / 14, abs=0.1
        )


def test_sums_per_participant(day):
    run = RunResult(day)
    got = people_of(run)
    meters = run.table("participants").to_pandas()
    trades = run.table("trades").to_pandas()
    for name in ("LV1 Load 2", "LV1 Load 4", "LV1 Load 9"):
        wh = meters[meters.participant == name].metered_wh
        assert got[name]["used_wh"] == -wh[wh < 0].sum() and got[name]["fed_wh"] == wh[wh > 0].sum()
        assert got[name]["bill_micro"] == meters[meters.participant == name].bill_micro.sum()
        own = trades[trades.participant == name]
        assert got[name].get("sold_wh", 0) == own[own.side == "sell"].accepted_wh.sum()
        assert got[name].get("bought_wh", 0) == own[own.side == "buy"].accepted_wh.sum()
        assert got[name].get("cut_wh", 0) == (own.cleared_wh - own.accepted_wh).sum()


def test_every_kpi_is_in_the_reference():
    text = (ROOT / "docs/reference/kpis.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `([a-z0-9_]+)` \|", text, re.M))
    written = set(
        re.findall(r'^ +"([a-z0-9_]+)":', (ROOT / "twin/kpis.py").read_text(encoding="utf-8"), re.M)
    )
    assert len(written) > 30 and written <= known
    assert {row[1] for row in _quantities("EUR")} <= known


def test_a_value_of_a_moment_is_held_against_the_short_time_rating():
    limits = {
        "line_loading_percent": 100,
        "line_short_time_loading_percent": 150,
        "transformer_loading_percent": 100,
    }
    kpis = {"line_loading_max_percent": 120.0, "transformer_loading_max_percent": 120.0}
    run = SimpleNamespace(manifest={"scenario": {"limits": limits}}, kpis=kpis)
    beyond = {row["key"]: row["cells"][0]["beyond"] for row in variant_rows({"one": run}, "EUR")}
    assert (beyond["line_loading_max_percent"], beyond["transformer_loading_max_percent"]) == (False, True)
    drawn = at_a_moment(limits)  # strip, map and charts as well
    assert (drawn["line_loading_percent"], drawn["transformer_loading_percent"]) == (150, 100)
    table = pa.table({"line_loading_max_percent": [120.0]})
    assert use_percent(table, drawn).tolist() == pytest.approx([80.0])


@pytest.mark.parametrize(
    ("kpis", "wanted"),
    [
        ((21, 3 * 3600, 86 * 3600), "21, during 3 h (86.0 element-hours)"),
        ((1, 900, 900), "1, during 15 min"),
        ((0, 0, 0), "0"),
        ((2, None, None), "2"),
    ],
)
def test_how_long_is_never_longer_than_the_run(kpis, wanted):
    """86 hours within a run of 3 hours are hours of elements, and are called so."""
    run = SimpleNamespace(
        manifest={}, kpis=dict(zip(("violations_count", "violated_any_s", "violated_s"), kpis, strict=True))
    )
    rows = {row["key"]: row for row in variant_rows({"one": run}, "EUR")}
    assert rows["violations_count"]["cells"][0]["text"].replace(words.NBSP, " ") == wanted
    assert "together" not in rows["violations_count"]["label"]


def test_what_not_every_variant_has_is_a_row_where_one_has_it():
    """Inverters, taps and robustness: a dash where there are none, a zero where they did nothing."""
    keys = {"inverter_absorbed_varh", "volt_watt_curtailed_wh", "tap_moves_count", "robust_cut_wh"}

    def rows(*kpis):
        runs = {str(i): SimpleNamespace(manifest={}, kpis=each) for i, each in enumerate(kpis)}
        return {
            r["key"]: [c["text"] for c in r["cells"]] for r in variant_rows(runs, "EUR") if r["key"] in keys
        }

    assert rows(dict.fromkeys(keys), {}) == {}
    answers = {"inverter_absorbed_varh": 52_667.1, "volt_watt_curtailed_wh": 0.0, "tap_moves_count": None}
    assert rows(dict.fromkeys(keys), answers) == {
        "inverter_absorbed_varh": ["–", "52.7\u00a0kvarh"],
        "volt_watt_curtailed_wh": ["–", "0\u00a0Wh"],
    }
    assert rows({"tap_moves_count": 2, "robust_cut_wh": 0}) == {
        "tap_moves_count": ["2"],
        "robust_cut_wh": ["0\u00a0Wh"],
    }


def test_engines_are_named_as_they_were_compared_and_checks_in_words():
    told = "power-grid-model cannot model an OpenDSS file: opendss stands alone."
    manifest = {"engines": {"agreement": {"sentences": [told]}}}
    shown = quality(SimpleNamespace(manifest=manifest, kpis={"t_model_difference_pu": 0.0}))
    assert (shown["agreement"], shown["t_model"]) == (told, None)
    record = {"not_assessed": [{"name": "trades.line_loading", "reason": "no rating"}, {"name": "a b"}]}
    screen = first_screen(SimpleNamespace(manifest={}, verdict_record=record, verdict="pass", checks=[]))
    assert [item["name"] for item in screen["not_assessed"]] == ["line loading, with trades", "a b"]


def test_who_hardly_mattered_is_not_named():
    shares = [("a", 1.0), ("b", 0.0101), ("c", 0.0099), ("d", 0.0), ("e", -0.02), ("f", -0.009), ("g", None)]
    people = [{"participant": name, "share": share, "unit": "percent"} for name, share in shares]
    shown = _extreme({"responsible": people, "loading_percent": 101.0}, "loading_percent", "%")["people"]
    assert [p["name"] for p in shown] == ["a", "b", "e", "g"]
