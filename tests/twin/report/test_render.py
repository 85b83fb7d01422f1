"""report.html: one file, offline, escaped, and every number on it is the run's."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from twin.report import render, series
from twin.report.pack import unpack
from twin.report.render import write_report
from twin.results import NotARunFolderError, RunResult

HOSTILE = (
    '</script><script>window.hacked=1</script><!--"><img src=x onerror="window.hacked=1">{{ 7*7 }}\u2028'
)


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(day, read_page):
    return read_page(day / "report.html")


class TestOneFileOffline:
    def test_it_refers_to_nothing_outside_itself(self, page):
        assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", page.html)
        tags = Tags(page.html).tags
        assert not [
            tag for tag, a in tags if tag in ("link", "img", "iframe", "base", "object") or "src" in a
        ]
        assert all(a["href"].startswith("#") for tag, a in tags if tag == "a")
        assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket", page.html)

    def test_its_policy_allows_its_own_script_and_nothing_else(self, page):
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page.html)[1]
        script = re.findall(r"<script>(.*?)</script>", page.html, re.S)
        digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
        assert len(script) == 1 and f"script-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'")

    def test_it_carries_the_licence_of_what_it_carries(self, page):
        assert "Leon Sorokin" in page.html and "Permission is hereby granted" in page.html

    def test_a_week_in_three_variants_stays_small(self, synthetic, tmp_path):
        synthetic.build(tmp_path / "week", days=7)
        assert write_report(tmp_path / "week").stat().st_size < 6e6


class TestFirstScreen:
    def test_verdict_margin_and_extremes(self, page, day):
        record = RunResult(day).verdict_record
        first = page.text.split("Variants side by side")[0]
        bus, branch = record["worst_bus"], record["worst_branch"]
        assert "The verdict is pass" in first and "Trades pass the gate" in first
        assert f"{record['smallest_margin']['margin']:.4f} pu" in first
        assert (
            f"{bus['v_pu']:.4f} pu" in first
            and bus["name"] in first
            and "beyond the limit for 45 min" in first
        )
        assert "LV1 Load 4 0.0180" in first and "−0.0060 (relief)" in first
        assert f"{branch['loading_percent']:.1f} %" in first and "never beyond its limit" in first
        for item in record["not_assessed"]:
            assert f"{item['name']} ({item['why']})" in first

    def test_variants_side_by_side(self, page, day):
        table = page.section("Variants side by side", "Engines and data")
        run = RunResult(day)
        assert re.search(
            r"Cars buy from the supplier .*Neighbours trade freely .*Trades pass the gate judged", table
        )
        for name in run.variants:
            assert f"{run.variant(name).kpis['v_min_pu']:.4f} pu" in table
        over = run.variant("supplier").kpis["transformer_loading_max_percent"]
        assert over > 100 and f"{over:.1f} % ✕" in table
        assert "2 of 10" in table and "20.1 kWh" in table and "4.32 EUR" in table and "31.2 %" in table

    def test_quality(self, page):
        text = page.section("Engines and data", "Every check")
        assert "3.2e−10 pu" in text and "4.1e−05 pu" in text and "noisy" in text and "118 W" in text
        assert "house_02.inverter (emulated): 96 samples, 0 bad" in text
        assert "all accounts sum to exactly zero" in text

    def test_a_perfect_forecast_is_labelled(self, synthetic, tmp_path, read_page):
        synthetic.build(tmp_path / "r", variants=synthetic.VARIANTS[2:], forecast="perfect")
        assert "gate and plant agree by construction" in read_page(write_report(tmp_path / "r")).text


class TestNothingUnprovenIsGreen:
    @pytest.mark.parametrize("status", [None, "failed"])
    def test_a_run_cut_short(self, synthetic, tmp_path, read_page, status):
        synthetic.build(tmp_path / "r", variants=synthetic.VARIANTS[2:], status=status)
        page = read_page(write_report(tmp_path / "r"))
        assert 'class="verdict unknown"' in page.html and 'class="verdict pass"' not in page.html
        assert "Aborted" in page.text and "Pass" not in page.section("Skip to the feeder", "Every check")
        assert len(page.data["variants"][0]["states"]["slots"]) == (80 if status is None else 96)

    @pytest.mark.parametrize("verdict", ["inconclusive", "not_assessed", "marvellous"])
    def test_other_verdicts(self, synthetic, tmp_path, read_page, verdict):
        folder = synthetic.build(tmp_path / "r", variants=synthetic.VARIANTS[2:])
        record = json.loads((folder / "verdict.json").read_text())
        checks = [{**check, "verdict": verdict} for check in record["checks"]]
        (folder / "verdict.json").write_text(json.dumps({**record, "verdict": verdict, "checks": checks}))
        html = read_page(write_report(folder)).html
        assert not re.search(r'class="(verdict|badge) pass"', html)

    def test_an_interval_that_was_not_solved(self, synthetic):
        import pyarrow as pa

        limits = synthetic.LIMITS
        table = pa.table(
            {
                "v_min_pu": [0.97, None, 1.0],
                "v_max_pu": [1.0, None, 1.0],
                "line_loading_max_percent": [20.0, float("nan"), 130.0],
                "trafo_loading_max_percent": [10.0, None, 10.0],
                "plant_converged": [True, False, True],
            }
        )
        use = series.use_percent(table, limits)
        np.testing.assert_allclose(use, [50, np.nan, 130])
        payload = series.series_payload(table, use)
        assert unpack(payload["unsolved"]).tolist() == [0, 1, 0]
        assert series.slots_of(use, 1).tolist() == [1]


class TestNumbersArriveWhole:
    def test_states(self, page, day):
        for entry in page.data["variants"]:
            table = RunResult(day).variant(entry["name"]).table("grid_states")
            for key, column, tolerance in (("v", "v_pu", 2e-6), ("l", "loading_percent", 2e-3)):
                wanted = np.array(table[column].to_pylist())
                got = unpack(entry["states"][key]).reshape(wanted.shape)
                np.testing.assert_allclose(got, wanted, atol=tolerance)
            assert entry["states"]["slots"] == list(range(96))

    def test_powers_and_series(self, page, day):
        entry = next(v for v in page.data["variants"] if v["name"] == "gated")
        people = (
            RunResult(day)
            .table("participants")
            .to_pandas()
            .pivot(index="interval", columns="participant", values="p_gen_w")
        )
        got = unpack(entry["power"]["p"]).reshape(96, -1)
        np.testing.assert_allclose(got, people[entry["power"]["names"]].to_numpy(), atol=1)
        intervals = RunResult(day).table("intervals").to_pandas()
        np.testing.assert_allclose(unpack(entry["series"]["ev_kw"]), intervals["ev_w"] / 1e3, atol=1e-2)
        price = unpack(entry["series"]["price"]) * 1e6
        np.testing.assert_allclose(price, intervals["price_micro_per_kwh"].astype(float), atol=1)
        assert np.isnan(price).any()

    def test_a_long_run_is_thinned_and_keeps_its_worst(self, synthetic, tmp_path, monkeypatch, read_page):
        folder = synthetic.build(
            tmp_path / "r", days=3, variants=synthetic.VARIANTS[:2] + synthetic.VARIANTS[2:]
        )
        monkeypatch.setattr(render, "STATE_VALUES", 3 * 40 * (42 + 41 + 40))
        monkeypatch.setattr(series, "MAX_POINTS", 50)
        page = read_page(write_report(folder))
        for entry in page.data["variants"]:
            intervals = RunResult(folder).variant(entry["name"]).table("intervals").to_pandas()
            use = series.use_percent(
                RunResult(folder).variant(entry["name"]).table("intervals"), synthetic.LIMITS
            )
            slots = entry["states"]["slots"]
            assert len(slots) <= 40 and int(np.argmax(use)) in slots
            assert [k // 8 for k in slots] == list(range(36))  # one of every eight intervals
            assert unpack(entry["series"]["v_min"]).min() == pytest.approx(
                intervals["v_min_pu"].min(), abs=1e-5
            )
            assert unpack(entry["series"]["local_kwh"]).sum() == pytest.approx(
                intervals["local_accepted_wh"].sum() / 1e3, rel=1e-3
            )
            assert unpack(entry["series"]["load_kw"]).mean() == pytest.approx(
                intervals["load_w"].mean() / 1e3, rel=1e-3
            )


@pytest.fixture(scope="module")
def hostile(synthetic, tmp_path_factory, read_page):
    variants = [{**v, "title": HOSTILE} for v in synthetic.VARIANTS]
    folder = synthetic.build(
        tmp_path_factory.mktemp("hostile") / "r", variants=variants, house=HOSTILE.replace("{", "{{").replace("}", "}}") + " {}", title=HOSTILE,
        description=HOSTILE, command=HOSTILE, git_commit=HOSTILE, currency="<b>",
        feeder={"notes": [HOSTILE], "source": HOSTILE}, versions={HOSTILE: HOSTILE}, seed=HOSTILE,
        devices={"roles": [{"role": HOSTILE, "driver": HOSTILE}]}, forecast=HOSTILE, start="2016-01-18T12:00+01:00",
    )  # fmt: skip
    return read_page(write_report(folder))


class TestHostileText:
    def test_it_stays_text(self, hostile):
        tags = [tag for tag, _ in Tags(hostile.html).tags]
        assert tags.count("script") == 2 and "img" not in tags and "b>" not in tags
        assert not [a for _, attributes in Tags(hostile.html).tags for a in attributes if a.startswith("on")]
        assert hostile.text.count("window.hacked=1") > 20 and "{{ 7*7 }}" in hostile.text

    def test_it_arrives_unchanged(self, hostile):
        assert hostile.data["feeder"]["buses"][1]["n"] == HOSTILE + " 1"
        assert hostile.data["variants"][0]["title"] == HOSTILE


class TestWhatIsMissing:
    def test_only_a_manifest(self, tmp_path, read_page):
        (tmp_path / "manifest.json").write_text("{}")
        page = read_page(write_report(tmp_path))
        assert page.text.count("not recorded") > 15
        assert "Nothing was settled on a chain" in page.text and "kept no rows per participant" in page.text

    def test_no_variant_folder(self, synthetic, tmp_path, read_page):
        import shutil

        folder = synthetic.build(tmp_path / "r")
        shutil.rmtree(folder / "variants" / "local")
        page = read_page(write_report(folder))
        assert [entry["name"] for entry in page.data["variants"]] == ["supplier", "gated"]

    def test_no_run(self, tmp_path):
        with pytest.raises(NotARunFolderError):
            write_report(tmp_path)
