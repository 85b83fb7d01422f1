"""JUnit XML, which every CI system shows: one case per check, never green where nothing was proven."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from adapters.export.files import write_text_atomically

# Characters that XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"fail": "failure", "inconclusive": "error", "aborted": "error", "not_assessed": "skipped"}


def write_junit(
    path: Path, name: str, checks: Sequence[Mapping[str, Any]], verdict: str, duration_s: float
) -> None:
    """Write the checks of a run.

    Args:
        path: the file; written whole or not at all.
        name: the scenario's name; the suite is called after it.
        checks: as in ``verdict.json``. fail becomes a failure, inconclusive an error, not_assessed is
            skipped; a word that is not known is an error.
        verdict: of the whole run. Where it is not ``pass`` and no check says why (a run that was aborted),
            a case ``run`` says so.
        duration_s: wall-clock time, on the suite.
    """
    suite = ElementTree.Element("testsuite", name=_clean(name), time=f"{duration_s:.3f}")
    tags = [_case(suite, name, check) for check in checks]
    expected = None if verdict == "pass" else _TAGS.get(verdict, "error")
    if expected and expected not in tags:
        case = ElementTree.SubElement(suite, "testcase", classname=_clean(name), name="run")
        ElementTree.SubElement(case, expected, message=_clean(f"the run is {verdict}"))
        tags.append(expected)
    suite.set("tests", str(len(tags)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(tags.count(tag)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    write_text_atomically(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')


def _case(suite: ElementTree.Element, name: str, check: Mapping[str, Any]) -> str | None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_clean(name), name=_clean(check.get("name", "check"))
    )
    verdict = check.get("verdict")
    if verdict == "pass":
        return None
    tag = _TAGS.get(str(verdict), "error")
    ElementTree.SubElement(case, tag, message=_clean(_message(check)), type=_clean(verdict))
    return tag


def _message(check: Mapping[str, Any]) -> str:
    unit = check.get("unit") or ""
    words = [f"{check.get('verdict')}:"]
    words += [
        f"{key} {check[key]} {unit}".strip() for key in ("value", "limit") if check.get(key) is not None
    ]
    words += [f"at {check['element']}"] if check.get("element") else []
    for key, label in (("first_interval", "first interval"), ("count", "count"), ("detail", "detail")):
        words += [f"{label} {check[key]}"] if check.get(key) not in (None, "") else []
    return " ".join(words)


def _clean(text: object) -> str:
    return _FORBIDDEN.sub("\ufffd", str(text))
