"""Every problem of a scenario is found at once, located, and explained."""

from decimal import Decimal
from pathlib import Path

import pytest

from twin.scenario.load import load_scenario
from twin.scenario.problems import ScenarioError

GOOD = """\
name: street
start: 2016-01-18T12:00:00+01:00
duration_days: 0.5
seed: 7
grid:
  source: pandapower:example_simple
"""
LAST = len(GOOD.splitlines())


def load(tmp_path: Path, text: str = GOOD, *overrides: str, seed: int | None = None):
    file = tmp_path / "s.yaml"
    file.write_text(text)
    return load_scenario(file, overrides, seed)


def problems(tmp_path: Path, text: str = GOOD, *overrides: str, seed: int | None = None) -> list:
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, text, *overrides, seed=seed)
    return list(caught.value.problems)


def the_problem(tmp_path: Path, text: str = GOOD, *overrides: str):
    found = problems(tmp_path, text, *overrides)
    assert len(found) == 1, [str(p) for p in found]
    return found[0]


def test_a_good_file(tmp_path):
    loaded = load(tmp_path)
    assert loaded.base.n_intervals == 48
    assert loaded.base.start.utcoffset().total_seconds() == 3600
    assert loaded.runs() == {"main": loaded.base}
    assert loaded.judged == "main"


def test_prices_are_the_decimals_that_were_written(tmp_path):
    supplier = "market:\n  supplier: {retail_price_eur_per_kwh: 0.300001, feed_in_price_eur_per_kwh: 0.1}\n"
    loaded = load(tmp_path, GOOD + supplier)
    assert loaded.base.market.supplier.retail_price_eur_per_kwh == Decimal("0.300001")
    assert loaded.base.market.supplier.feed_in_price_eur_per_kwh == Decimal("0.1")


def test_a_price_below_a_millionth_is_refused(tmp_path):
    text = GOOD + "market:\n  supplier:\n    retail_price_eur_per_kwh: 0.3000001\n"
    problem = the_problem(tmp_path, text)
    assert problem.line == LAST + 3
    assert "millionths" in problem.message


# one wrong thing each: text appended to GOOD, key path, line below GOOD, words that the problem must hold
ONE_WRONG = [
    ("limit:\n  voltage_min_pu: 0.9\n", "limit", 1, "Did you mean limits?"),
    ("limits:\n  voltage_min: 0.9\n", "limits.voltage_min", 2, "Did you mean limits.voltage_min_pu?"),
    ("limits:\n  foo: 0.9\n", "limits.foo", 2, "Known here: voltage_min_pu"),
    ("voltage_min_pu: 0.9\n", "voltage_min_pu", 1, "There is limits.voltage_min_pu."),
    ("limits:\n", "limits", 1, "Leave the empty section out"),
    ("limits: 3\n", "limits", 1, "must be a section"),
    ("limits:\n  voltage_min_pu:\n", "limits.voltage_min_pu", 2, "is empty"),
    ("limits:\n  voltage_min_pu: low\n", "limits.voltage_min_pu", 2, "must be a number; got 'low'"),
    ("limits:\n  voltage_min_pu: -0.9\n", "limits.voltage_min_pu", 2, "too small; got -0.9; allowed: a number above 0"),
    ("limits:\n  voltage_min_pu: 1.2\n", "limits.voltage_min_pu", 2, "must be below voltage_max_pu (1.1); got 1.2"),
    ("limits:\n  line_loading_percent: true\n", "limits.line_loading_percent", 2, "must be a number; got true"),
    ("limits:\n  line_loading_percent: 90 %\n", "limits.line_loading_percent", 2, "Write 90."),
    ("limits:\n  line_loading_percent: '90'\n", "limits.line_loading_percent", 2, "without quotation marks"),
    ("interval_s: 900.5\n", "interval_s", 1, "whole number"),
    ("interval_s: []\n", "interval_s", 1, "must be a whole number; got an empty list"),
    ("interval_s: 700\n", "interval_s", 1, "must divide 3600; got 700"),
    ("interval_s: 15 min\n", "interval_s", 1, "Write 900."),
    ("substep_s: 7\n", "substep_s", 1, "must divide interval_s (900)"),
    ("settlement: {batch_s: 1000}\n", "settlement.batch_s", 1, "multiple of interval_s (900)"),
    ("judge: trade\n", "judge", 1, "Did you mean trades?"),
    ("currency: Euro\n", "currency", 1, "ISO 4217"),
    ("participants:\n  include: []\n", "participants.include", 2, "must not be empty"),
    ("participants:\n  include: everybody\n", "participants.include", 2, "all or a list of names"),
    ("participants:\n  include: [a, 3]\n", "participants.include[1]", 2, "must be text; got 3"),
    ("participants:\n  include: [a, b, a]\n", "participants.include", 2, "'a' twice"),
    ("participants:\n  case_assets: 1\n", "participants.case_assets", 2, "must be true or false; got 1"),
    ("participants:\n  connection: {firm_import_w: 4.2 kW}\n", "participants.connection.firm_import_w", 2, "Write 4200."),
    ("market:\n  supplier: {retail_price_eur_per_kwh: 32 ct/kWh}\n", "market.supplier.retail_price_eur_per_kwh", 2, "Write 0.32."),
    ("market:\n  supplier: {retail: 0.3}\n", "market.supplier.retail", 2, "Did you mean market.supplier.retail_price_eur_per_kwh?"),
    ("market:\n  supplier: {retail_price_eur_per_kwh: true}\n", "market.supplier.retail_price_eur_per_kwh", 2, "must be a price"),
    ("market:\n  supplier: {retail_price_eur_per_kwh: 0.01}\n", "market.supplier.retail_price_eur_per_kwh", 2, "must not be below feed_in_price_eur_per_kwh (0.08)"),
    ("market:\n  supplier: {night_from_h: '22:30'}\n", "market.supplier.night_from_h", 2, "Write 22.5."),
    ("market:\n  supplier: {night_from_h: 24}\n", "market.supplier.night_from_h", 2, "too large"),
    ("expectations:\n  - kpi: x\n", "expectations[0]", 2, "give min, max or both"),
    ("expectations:\n  - {kpi: x, min: 3, max: 2}\n", "expectations[0].min", 2, "must not be above max (2)"),
    ("expectations: {kpi: x}\n", "expectations", 1, "must be a list"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key_path", "line", "words"), ONE_WRONG, ids=lambda value: str(value)[:40])
def test_one_wrong_thing(tmp_path, text, key_path, line, words):
    problem = the_problem(tmp_path, GOOD + text)
    assert problem.key_path == key_path
    assert problem.line == LAST + line
    assert words in str(problem)
    assert str(problem).startswith(f"{tmp_path / 's.yaml'}:{LAST + line}: {key_path}: ")


ASSET_WRONG = [
    ("{kind: ev, count: 1, p_max: 11}", "[0].p_max", "Did you mean participants.assets[0].p_max_w?"),
    ("{kind: ev, count: 1, p_max_w: 11 kW}", "[0].p_max_w", "Write 11000."),
    ("{kind: ev, count: -1}", "[0].count", "too small; got -1"),
    ("{kind: ev, share_percent: 130}", "[0].share_percent", "a number from 0 to 100"),
    ("{kind: ev}", "[0]", "exactly one of share_percent, count or at"),
    ("{kind: ev, count: 1, at: [a]}", "[0]", "exactly one of share_percent, count or at"),
    ("{kind: ev, at: [a, b, a]}", "[0].at", "'a' twice"),
    ("{kind: ev, count: 1, soc_min: 0.1}", "[0].soc_min", "is no known key"),
    ("{kind: ev, count: 1, energy_need_wh: 70000}", "[0].energy_need_wh", "capacity_wh (60000)"),
    ("{kind: ev, count: 1, strategy: cheep}", "[0].strategy", "Did you mean cheap?"),
    ("{kind: batery, count: 1}", "[0].kind", "Did you mean battery?"),
    ("{count: 1}", "[0].kind", "is missing; allowed: battery, ev, heat_pump or pv"),
    ("{kind: battery, count: 1, soc_min: 0.96, soc_initial: 0.97}", "[0].soc_min", "below soc_max (0.95)"),
    (
        "{kind: battery, count: 1, soc_initial: 0.05}",
        "[0].soc_initial",
        "from soc_min (0.1) to soc_max (0.95)",
    ),
    (
        "{kind: battery, count: 1, reserve_price_eur_per_kwh: '0,14'}",
        "[0].reserve_price_eur_per_kwh",
        "Write 0.14",
    ),
    ("ev", "[0]", "must be a section; got 'ev'"),
]


@pytest.mark.parametrize(("asset", "suffix", "words"), ASSET_WRONG, ids=lambda value: str(value)[:40])
def test_assets_speak_no_jargon(tmp_path, asset, suffix, words):
    problem = the_problem(tmp_path, f"{GOOD}participants:\n  assets:\n    - {asset}\n")
    assert problem.key_path == f"participants.assets{suffix}"
    assert problem.line == LAST + 3
    assert words in str(problem)
    for jargon in ("tag", "discriminator", "union", "Input should", "validation", "Value error", "Section"):
        assert jargon not in str(problem)


@pytest.mark.parametrize("key", ["name", "start", "duration_days", "seed", "grid"])
def test_what_is_missing_is_named(tmp_path, key):
    lines = GOOD.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith((f"{key}:", *(["  "] if key == "grid" else [])))]
    problem = the_problem(tmp_path, "".join(kept))
    assert problem.key_path == key
    assert problem.message == "is missing"


def test_a_missing_key_points_to_its_section(tmp_path):
    problem = the_problem(
        tmp_path, GOOD.replace("  source: pandapower:example_simple", "  engine: pandapower")
    )
    assert (problem.key_path, problem.line) == ("grid.source", 5)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("2016-01-18T12:00:00", "Write 2016-01-18T12:00:00+01:00"), ("2016-01-18", "Write 2016-01-18T00:00:00+01:00"),
        ("yesterday", "date and time"), ("12", "date and time"), ("2016-01-18T12:07:00+01:00", "full interval"),
        ("2016-13-18T12:00:00+01:00", "date and time"),
    ],
)  # fmt: skip
def test_the_start_needs_a_time_zone_and_a_full_interval(tmp_path, start, words):
    problem = the_problem(tmp_path, GOOD.replace("2016-01-18T12:00:00+01:00", start))
    assert (problem.key_path, problem.line) == ("start", 2)
    assert words in str(problem)


@pytest.mark.parametrize("days", ["0", "-1", "0.001", "4000", "1 week", "true"])
def test_durations_that_cannot_be(tmp_path, days):
    problem = the_problem(tmp_path, GOOD.replace("duration_days: 0.5", f"duration_days: {days}"))
    assert (problem.key_path, problem.line) == ("duration_days", 3)


def test_everything_at_once(tmp_path):
    """Also the rules between keys elsewhere, which a plain validator never reaches while a key is wrong."""
    text = (
        "name: Street One\nstart: 2016-01-18T12:00:00\nduration_days: 0\nseed: -1\ninterval_s: 700\n"
        "grid:\n  sorce: x\nlimits:\n  voltage_min_pu: 1.2\nparticipants:\n  assets:\n"
        "    - {kind: ev, count: x}\n    - {kind: ev}\n    - {kind: boat}\n"
    )
    found = {(p.line, p.key_path) for p in problems(tmp_path, text)}
    assert found == {
        (1, "name"), (2, "start"), (3, "duration_days"), (4, "seed"), (5, "interval_s"), (6, "grid.source"),
        (7, "grid.sorce"), (9, "limits.voltage_min_pu"), (12, "participants.assets[0].count"),
        (13, "participants.assets[1]"), (14, "participants.assets[2].kind"),
    }  # fmt: skip


def test_problems_come_in_the_order_of_the_file_and_are_counted(tmp_path):
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, GOOD + "a: 1\nb: 2\n", "c=3")
    assert [p.key_path for p in caught.value.problems] == ["a", "b", "c"]
    assert str(caught.value).startswith("3 problems found; nothing was run.\n")
    assert caught.value.exit_code == 2


VARIANTS = """\
variants:
  supplier:
    set: {market.mechanism: none}
  local:
    set:
      coordination.mode: none
      limits.voltage_min_pu: 0.95
  gated:
    judged: true
"""


def test_variants_are_resolved_in_the_order_of_the_file(tmp_path):
    loaded = load(tmp_path, GOOD + VARIANTS)
    assert list(loaded.runs()) == ["supplier", "local", "gated"]
    assert loaded.judged == "gated"
    assert loaded.variants["supplier"].market.mechanism == "none"
    assert loaded.variants["local"].coordination.mode == "none"
    assert loaded.variants["local"].limits.voltage_min_pu == 0.95
    assert loaded.variants["gated"].model_dump(exclude={"variants"}) == loaded.base.model_dump(
        exclude={"variants"}
    )


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        ("coordination.mod: none", "coordination.mod", "Did you mean coordination.mode?"),
        ("coordnation.mode: none", "coordnation.mode", "is no known key. Did you mean coordination?"),
        ("coordination.mode: gates", "coordination.mode", "Did you mean gate?"),
        (
            "coordination: {mode: none}",
            "coordination",
            "Write one key per line: 'coordination.mode: 'none''.",
        ),
        ("coordination.mode.x: none", "coordination.mode.x", "got a section with x; allowed: none, gate"),
        ("seed: 3", "seed", "same in all variants"),
        ("duration_days: 3", "duration_days", "same in all variants"),
        (
            "participants.assets[0].count: 3",
            "participants.assets[0].count",
            "participants.assets has no items",
        ),
        ("a..b: 3", "a..b", "no key path"),
    ],
)
def test_a_wrong_override_is_reported_where_it_stands(tmp_path, line, key, words):
    text = GOOD + VARIANTS.replace("coordination.mode: none", line)
    problem = the_problem(tmp_path, text)
    assert problem.key_path == f"variants.local.set.{key}"
    assert problem.line == LAST + 6
    assert words in str(problem)


def test_what_is_wrong_in_the_base_is_not_repeated_for_every_variant(tmp_path):
    problem = the_problem(tmp_path, GOOD + "interval_s: 700\n" + VARIANTS)
    assert problem.key_path == "interval_s"


def test_a_rule_broken_by_one_override_is_reported_there(tmp_path):
    text = (
        GOOD
        + "limits:\n  voltage_min_pu: 0.95\n"
        + VARIANTS.replace("limits.voltage_min_pu: 0.95", "limits.voltage_max_pu: 0.94")
    )
    problem = the_problem(tmp_path, text)
    assert (problem.key_path, problem.line) == ("variants.local.set.limits.voltage_max_pu", LAST + 9)
    assert "must be below voltage_max_pu (0.94); got 0.95" in str(problem)


def test_variants_of_lists(tmp_path):
    text = GOOD + "participants:\n  assets:\n    - {kind: ev, count: 1}\n    - {kind: pv, count: 1}\n"
    variant = "variants:\n  a:\n    judged: true\n    set:\n      participants.assets[1].count: 5\n"
    assert [a.count for a in load(tmp_path, text + variant).variants["a"].participants.assets] == [1, 5]
    assert [a.count for a in load(tmp_path, text).base.participants.assets] == [1, 1]
    whole = variant.replace("assets[1].count: 5", "assets: []")
    assert load(tmp_path, text + whole).variants["a"].participants.assets == []
    beyond = variant.replace("assets[1]", "assets[2]")
    assert "only 2 items" in the_problem(tmp_path, text + beyond).message


def test_exactly_one_variant_is_judged(tmp_path):
    none = the_problem(tmp_path, GOOD + VARIANTS.replace("judged: true", "judged: false"))
    two = the_problem(tmp_path, GOOD + VARIANTS.replace("  local:\n", "  local:\n    judged: true\n"))
    for problem in (none, two):
        assert (problem.key_path, problem.line) == ("variants", LAST + 1)
        assert "exactly one" in problem.message


@pytest.mark.parametrize("name", ["../out", "A b", "x/y", "-x", ".hidden"])
def test_variant_names_become_folders(tmp_path, name):
    text = GOOD + VARIANTS.replace("  local:", f"  {name!r}:")
    problem = the_problem(tmp_path, text)
    assert "folder" in problem.message
    assert problem.line == LAST + 4


def test_set_overrides_the_file_before_the_variants(tmp_path):
    loaded = load(tmp_path, GOOD + VARIANTS, "duration_days=1", "limits.voltage_min_pu=0.92", seed=9)
    assert loaded.base.n_intervals == 96
    assert loaded.base.seed == 9
    found = {name: run.limits.voltage_min_pu for name, run in loaded.runs().items()}
    assert found == {"supplier": 0.92, "local": 0.95, "gated": 0.92}
    assert {run.seed for run in loaded.runs().values()} == {9}


def test_set_reaches_lists_variants_and_missing_sections(tmp_path):
    text = GOOD + "participants:\n  assets:\n    - {kind: ev, count: 1}\n" + VARIANTS
    loaded = load(
        tmp_path,
        text,
        "participants.assets.0.count=2",
        "variants.local.set.coordination.mode=gate",
        "outputs.report=false",
    )
    assert loaded.base.participants.assets[0].count == 2
    assert loaded.variants["local"].coordination.mode == "gate"
    assert not loaded.base.outputs.report
    assert load(tmp_path, text, "participants.assets[0].count=3").base.participants.assets[0].count == 3


@pytest.mark.parametrize(
    ("override", "key_path", "words"),
    [
        ("duration_days", "--set", "key.path=value"), ("=3", "--set", "key.path=value"), ("a..b=3", "--set", "key path"),
        ("seed=[1", "--set", "YAML"), ("name=NO", "--set", "truth value"), ("sed=3", "sed", "Did you mean seed?"),
        ("seed=three", "seed", "must be a whole number; got 'three'"), ("limits.voltage_min_pu=1.2", "limits.voltage_min_pu", "below"),
        ("name.x=1", "name.x", "is a value ('street')"), ("grid[0]=1", "grid[0]", "is a section, not a list"),
        ("limits={voltage_min_pu: 0.9}", "limits", "one key per line"),
    ],
)  # fmt: skip
def test_wrong_overrides_are_blamed_on_the_command_line(tmp_path, override, key_path, words):
    problem = the_problem(tmp_path, GOOD, override)
    assert (problem.file, problem.line, problem.key_path) == ("command line", None, key_path)
    assert words in str(problem)


def test_an_override_that_nobody_would_see_is_refused(tmp_path):
    text = GOOD + "variants:\n  a:\n    judged: true\n    set: {coordination.mode: none}\n"
    assert "no effect" in the_problem(tmp_path, text, "coordination.mode=gate").message


def test_later_problems_point_into_the_file(tmp_path):
    loaded = load(
        tmp_path, GOOD + "participants:\n  assets:\n    - kind: ev\n      at: [a,\n        b]\n", "seed=3"
    )
    assert loaded.problem("participants.assets[0].at[1]", "x").line == LAST + 5
    assert loaded.problem("participants.assets[0].p_max_w", "x").line == LAST + 3
    assert loaded.problem("limits.voltage_min_pu", "x").line is None
    assert loaded.problem("seed", "x").file == "command line"
    assert loaded.problem("grid.source", "no such case", got="y").file == str(tmp_path / "s.yaml")


def test_the_scenario_survives_its_own_json(tmp_path):
    loaded = load(tmp_path, GOOD + VARIANTS + "participants:\n  assets:\n    - {kind: ev, count: 1}\n")
    again = type(loaded.base).model_validate_json(loaded.base.model_dump_json())
    assert again == loaded.base
