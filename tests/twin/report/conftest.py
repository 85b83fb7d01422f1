"""Fixtures of the report's tests. Helper modules are loaded by path: tests/ holds no packages."""

import importlib.util
import json
import re
import sys
from html import unescape
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _load(name):
    spec = importlib.util.spec_from_file_location(f"report_{name}", HERE / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def synthetic():
    _load("street")
    _load("records")
    return _load("synthetic")


@pytest.fixture(scope="session")
def day(synthetic, tmp_path_factory):
    """One winter day in three variants, and its report."""
    from twin.report.render import write_report

    folder = synthetic.build(tmp_path_factory.mktemp("day") / "run")
    write_report(folder)
    return folder


@pytest.fixture
def browser(tmp_path):
    page = _load("browser").Browser(tmp_path / "profile")
    yield page
    page.close()


class Page:
    """A report as text: what a reader sees, and the data that the pictures are drawn from."""

    def __init__(self, path: Path):
        self.html = path.read_text(encoding="utf-8")
        self.data = json.loads(
            re.search(r'<script type="application/json" id="data">(.*?)</script>', self.html, re.S)[1]
        )
        body = re.sub(r"<(script|style)\b.*?</\1>", "", self.html, flags=re.S)
        self.text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " "))

    def section(self, start, end):
        """The text between two headings."""
        return self.text.split(start, 1)[1].split(end, 1)[0]


@pytest.fixture(scope="session")
def read_page():
    return Page
