"""JUnit XML: what is not proven is never green."""

from xml.etree import ElementTree

import pytest

from adapters.export.junit import write_junit

CHECKS = [
    {"name": "voltage", "verdict": "pass", "value": 0.95, "limit": 0.94, "unit": "pu"},
    {
        "name": "line loading",
        "verdict": "fail",
        "value": 119.2,
        "limit": 100,
        "unit": "%",
        "element": 'Line <4> & "co"\x00',
        "count": 3,
    },
    {"name": "solver", "verdict": "inconclusive", "detail": "NaN at bus 7"},
    {"name": "EN 50160", "verdict": "not_assessed", "detail": "means of 15 minutes"},
    {"name": "odd", "verdict": "green!"},
]


def suite_of(path):
    return ElementTree.parse(path).getroot().find("testsuite")


def test_each_verdict_has_its_element(tmp_path):
    write_junit(tmp_path / "j.xml", "evening", CHECKS, "fail", 12.3456)
    suite = suite_of(tmp_path / "j.xml")
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "5",
        "failures": "1",
        "errors": "2",
        "skipped": "1",
        "time": "12.346",
    }
    found = {case.get("name"): [child.tag for child in case] for case in suite}
    assert found == {
        "voltage": [],
        "line loading": ["failure"],
        "solver": ["error"],
        "EN 50160": ["skipped"],
        "odd": ["error"],
    }
    message = suite.find("testcase[@name='line loading']/failure").get("message")
    assert "value 119.2 %" in message and "limit 100 %" in message and 'Line <4> & "co"\ufffd' in message


@pytest.mark.parametrize(
    ("verdict", "tag"), [("aborted", "error"), ("inconclusive", "error"), ("fail", "failure"), ("?", "error")]
)
def test_a_verdict_without_a_check_that_explains_it_is_a_case_of_its_own(tmp_path, verdict, tag):
    write_junit(tmp_path / "j.xml", "evening", CHECKS[:1], verdict, 0)
    suite = suite_of(tmp_path / "j.xml")
    assert suite.find(f"testcase[@name='run']/{tag}") is not None
    assert suite.get("tests") == "2"


def test_a_pass_is_clean(tmp_path):
    write_junit(tmp_path / "j.xml", "evening", CHECKS[:1], "pass", 0)
    suite = suite_of(tmp_path / "j.xml")
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("1", "0", "0")
