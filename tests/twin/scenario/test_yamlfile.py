"""Files are read as their author meant them, or refused with what to write."""

from pathlib import Path

import pytest
import yaml

from twin.scenario.problems import ScenarioError
from twin.scenario.yamlfile import plain_scalar, read_value, read_yaml


def problems_of(tmp_path: Path, content: str | bytes) -> list:
    file = tmp_path / "s.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ScenarioError) as caught:
        read_yaml(file)
    return list(caught.value.problems)


def test_lines_of_every_key_path(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(
        "# a comment\na: 1\nb:\n  c:\n    - x: 2\n      y: 3\n    - 4\n  d: {e: 5,\n      f: 6}\n"
    )
    read = read_yaml(file)
    assert read.tree == {"a": 1, "b": {"c": [{"x": 2, "y": 3}, 4], "d": {"e": 5, "f": 6}}}
    expected = {
        "a": 2, "b": 3, "b.c": 4, "b.c[0]": 5, "b.c[0].x": 5, "b.c[0].y": 6, "b.c[1]": 7,
        "b.d": 8, "b.d.e": 8, "b.d.f": 9,
    }  # fmt: skip
    assert read.lines == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("11000", 11000), ("-3", -3), ("+3", 3), ("0", 0), ("0.32", 0.32), (".5", 0.5), ("1e3", 1000.0), ("-2.5E-1", -0.25),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("none", "none"), ("2016-01-18", "2016-01-18"), ("2016-01-18T12:00:00+01:00", "2016-01-18T12:00:00+01:00"),
        ("11 kW", "11 kW"), ("1.2.3", "1.2.3"), ("Bus 7", "Bus 7"), ("simbench:1-LV-rural2--2-sw", "simbench:1-LV-rural2--2-sw"),
    ],
)  # fmt: skip
def test_plain_scalars_are_what_yaml_1_2_says(text, value):
    assert plain_scalar(text) == value
    assert type(plain_scalar(text)) is type(value)


@pytest.mark.parametrize("text", ["no", "NO", "Yes", "on", "off", "17:30", "1:20:30", "010", "0x1F", "0o17", "11_000", ".inf", "-.INF", ".nan", "1e999"])  # fmt: skip
def test_what_readers_read_differently_is_refused(text):
    with pytest.raises(ValueError, match=r"write|finite"):
        plain_scalar(text)
    assert read_value(f'"{text}"') == text, "quoted, it is text"


@pytest.mark.parametrize("text", ["NO", "17:30", "010", "11_000"])
def test_these_are_traps_indeed(text):
    assert yaml.safe_load(text) != text, "plain PyYAML reads something else"


def test_a_bad_scalar_is_located(tmp_path):
    (problem,) = problems_of(tmp_path, "a: 1\nb:\n  - GB\n  - NO\n")
    assert (problem.line, problem.key_path) == (4, "b[1]")
    assert '"NO"' in problem.message


def test_all_duplicates_are_reported(tmp_path):
    first, second = problems_of(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert (first.line, first.key_path) == (2, "b.c")
    assert (second.line, second.key_path) == (3, "a")
    assert "first in line 1" in second.message


def test_tabs_are_named_by_line(tmp_path):
    problems = problems_of(tmp_path, "a:\n\tb: 1\n\tc: 2\n")
    assert [p.line for p in problems] == [2, 3]
    assert all("tab" in p.message for p in problems)


def test_other_syntax_errors_have_a_line(tmp_path):
    (problem,) = problems_of(tmp_path, "a: 1\nb: [1, 2\nc: 3\n")
    assert problem.line == 3
    assert "YAML" in problem.message


def test_not_utf_8(tmp_path):
    (problem,) = problems_of(tmp_path, "a: 1\nb: Straße\n".encode("latin-1"))
    assert problem.line == 2
    assert "UTF-8" in problem.message


def test_a_byte_order_mark_is_no_problem(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_bytes("a: ü\n".encode("utf-8-sig"))
    assert read_yaml(file).tree == {"a": "ü"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"), ("# only a comment\n", "empty"), ("- a\n- b\n", "keys and values"), ("hello\n", "keys and values"),
        ("a: 1\n---\nb: 2\n", "single document"), ("a: !!python/object:os.system x\n", "tags"), ("a: !foo [1]\n", "tags"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "merge keys"), ("a: *x\n", "alias"), ("? [a]\n: 1\n", "single word"),
        ("a: " + "[" * 5000 + "\n", "deep"), ("a: " + "[" * 80 + "]" * 80 + "\n", "nesting"),
        ("a: \x00\n", "YAML"),
    ],
)  # fmt: skip
def test_what_is_no_scenario(tmp_path, content, words):
    assert words in str(problems_of(tmp_path, content)[0])


@pytest.mark.timeout(60)
def test_an_alias_bomb_is_refused_quickly(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    (problem,) = problems_of(tmp_path, bomb)
    assert "values" in problem.message


def test_an_alias_to_itself_is_refused(tmp_path):
    assert "nesting" in problems_of(tmp_path, "a: &a [*a]\n")[0].message


def test_aliases_otherwise_work(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("a: &ev {p: 1}\nb: [*ev, *ev]\n")
    assert read_yaml(file).tree["b"] == [{"p": 1}, {"p": 1}]


def test_huge_files_are_not_read(tmp_path):
    (problem,) = problems_of(tmp_path, "#" * 1_000_001)
    assert "larger" in problem.message


def test_missing_files_and_folders(tmp_path):
    (tmp_path / "winter_evening.yaml").write_text("a: 1\n")
    with pytest.raises(ScenarioError, match=r"winter_evening\.yaml\?"):
        read_yaml(tmp_path / "winter_evning.yaml")
    with pytest.raises(ScenarioError, match=r"holds .*winter_evening\.yaml"):
        read_yaml(tmp_path / "x.yaml")
    with pytest.raises(ScenarioError, match="folder"):
        read_yaml(tmp_path)
