"""The generated parts of the reference are what the code says."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["scenario", "cli", "run-folder"])
def test_reference_pages_are_up_to_date(generate, name):
    shown = (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
    assert shown == generate.page(name), "run `make docs`"


def test_every_key_flag_and_column_is_on_its_page():
    """Read from the sources themselves, not through the generator."""
    from twin.scenario.schema import Scenario
    from twin.tables import TABLES

    reference = ROOT / "docs" / "reference"
    keys = (reference / "scenario.md").read_text(encoding="utf-8")
    for model in [Scenario, *_sections(Scenario)]:
        for name, field in model.model_fields.items():
            assert f"| `{name}` |" in keys, f"{model.__name__}.{name} {field}"
    columns = (reference / "run-folder.md").read_text(encoding="utf-8")
    for name, schema in TABLES.items():
        section = columns.partition(f"### {name}.parquet")[2].partition("###")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == schema.names
    flags = (reference / "cli.md").read_text(encoding="utf-8")
    for source in (ROOT / "twin" / "commands").glob("*.py"):
        for flag in re.findall(r'"(--[a-z-]+)",', source.read_text(encoding="utf-8")):
            if flag != "--variant" or source.stem == "run":
                assert f"`{flag}`" in flags or flag == "--json", flag


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "model_fields")


def _sections(model) -> list:
    found = []
    for field in model.model_fields.values():
        if _is_section(field.annotation):
            found += [field.annotation, *_sections(field.annotation)]
    return found


def test_every_page_is_reached_from_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / t).resolve() for t in re.findall(r"\]\(([^)#]+)\)", index.read_text(encoding="utf-8"))
    }
    pages = {p.resolve() for p in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    assert sorted(p.relative_to(ROOT).as_posix() for p in pages - linked) == []
