"""What the README and the tutorial show is what happens."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "docs" / "tutorial" / "first-scenario.md"]


def module(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def without_numbers(text: str) -> list[str]:
    """Lines without their numbers, which may move in the last digits; exit codes are kept."""
    return [line if line.isdigit() else re.sub(r"\d[\d.,]*", "#", line) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_console_examples_print_what_is_shown(page, tmp_path):
    shown = page.read_text(encoding="utf-8")
    now = module(ROOT / "docs" / "consoles.py").rendered(page, tmp_path)
    assert "```console\n$ twin" in shown
    assert without_numbers(now) == without_numbers(shown), "python docs/consoles.py PAGE rewrites the output"


@pytest.mark.slow
def test_make_demo_leaves_a_report(tmp_path):
    """With the environment at hand: a stamp newer than the pins keeps make from installing."""
    stamp = tmp_path / "stamp"
    stamp.touch()
    report = ROOT / "runs" / "winter_evening" / "report.html"
    report.unlink(missing_ok=True)
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run(
        [make, "demo", f"STAMP={stamp}", f"VENV={sys.prefix}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Pass: ") == 1
    assert 10_000 < report.stat().st_size < 6_000_000


def test_the_first_screen():
    """One sentence, a picture, two commands, an example with its output, links; before anything else."""
    text = README.read_text(encoding="utf-8")
    head = text[: text.index("\n## ")]
    assert len(head.splitlines()) <= 60
    assert "make demo" in head
    assert "make test" in head
    assert "docs/tutorial/first-scenario.md" in head
    (example,) = re.findall(r"```console\n(.*?)```", head, re.DOTALL)
    assert 6 <= len(example.splitlines()) <= 20


def test_the_scenario_in_the_readme_is_right(tmp_path):
    from twin.scenario.load import load_scenario

    (text,) = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "s.yaml").write_text(text)
    assert load_scenario(tmp_path / "s.yaml").base.name == "my_street"


def test_commands_in_documents_exist():
    """Every ``twin ...`` in a document names a command and flags that there are."""
    from twin.cli import main
    from twin.commands.table import available

    helps: dict[str, str] = {}
    for name, command in available().items():
        if command.own_parser:
            continue
        done = subprocess.run(
            [sys.executable, "-m", "twin", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        helps[name] = done.stdout
    assert callable(main)
    wrong = []
    for page in [
        README,
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "scenarios").rglob("*.md"),
    ]:
        for line in re.findall(
            r"(?:^\$ |^|`)(twin [a-z]+[^`\n]*)", page.read_text(encoding="utf-8"), re.MULTILINE
        ):
            words = line.partition(" #")[0].split()
            if words[1] not in available():
                wrong.append(f"{page.name}: {line}")
            if words[1] in helps:
                flags = {w.partition("=")[0] for w in words if w.startswith("--")}
                wrong += [f"{page.name}: {line}: {flag}" for flag in flags if flag not in helps[words[1]]]
    assert wrong == []


def test_every_shipped_scenario_is_listed():
    folder = ROOT / "scenarios"
    linked = set(re.findall(r"\]\(([a-z0-9_]+\.yaml)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert linked == {p.name for p in folder.glob("*.yaml")}
