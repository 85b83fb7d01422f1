"""What holds the project together: the package list, pins, one version, house rules of form."""

import ast
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("twin", "rigs", "adapters", "market")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SKIPPED = {
    ".git",
    ".venv",
    "runs",
    "build",
    "dist",
    "node_modules",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".cache",
}

COMPANIONS = {"pydantic-core", "markupsafe"}
"""Parts of a declared library (pydantic, jinja2) that have a distribution of their own."""
LINES_PER_FILE = 330  # "about 300"
LINES_PER_FUNCTION = 50  # "about 40", without decorators and docstring; ruff spreads long calls over lines


@cache
def everything() -> tuple[Path, ...]:
    """All files of the project, sorted; what is skipped is not even looked into (an environment is large)."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in SKIPPED and not f.endswith(".egg-info")]
        found += [Path(folder, name) for name in names]
    return tuple(sorted(found))


def files(*suffixes: str) -> list[Path]:
    return [p for p in everything() if p.suffix in suffixes and p.is_file()]


@cache
def distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line and not line.startswith("#")]
    matches = [re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)( ; .*)?", line) for line in found]
    assert [line for line, match in zip(found, matches, strict=True) if match is None] == [], (
        "a pin is name==version, without an address"
    )
    return {normal(m[1]): m[2] for m in matches if m is not None}


def dependencies(*extras: str) -> set[str]:
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(d for e in extras for d in project["optional-dependencies"][e])]
    return {normal(re.match(r"[A-Za-z0-9._-]+", d)[0]) for d in wanted}


def test_every_package_is_listed():
    folders = {
        p.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for name in PACKAGES
        for p in (ROOT / name).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders
    loose = {
        p.parent
        for name in PACKAGES
        for p in (ROOT / name).rglob("*.py")
        if not (p.parent / "__init__.py").exists()
    }
    assert loose == set(), "every folder with modules is a package"


def test_every_data_file_is_packaged():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    missing = []
    for name in PACKAGES:
        for path in (ROOT / name).rglob("*"):
            if (
                SKIPPED & set(path.parts)
                or not path.is_file()
                or path.suffix in {".py", ".pyc", ".nbi", ".nbc"}
            ):
                continue
            holder = next(p for p in path.parents if (p / "__init__.py").exists())
            patterns = data.get(holder.relative_to(ROOT).as_posix().replace("/", "."), [])
            if not any(path in set(holder.glob(pattern)) for pattern in patterns):
                missing.append(path.relative_to(ROOT).as_posix())
    assert missing == []


def test_pins_cover_what_is_declared():
    assert dependencies("test") - set(pins()) == set()


@pytest.mark.parametrize(
    ("folders", "extras"),
    [(PACKAGES, ()), (("tests", "benchmarks", "docs"), ("test",))],
    ids=["packages", "tests"],
)
def test_what_is_imported_is_declared(folders, extras):
    declared = dependencies(*extras) | COMPANIONS
    missing = set()
    for path in (p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))):
        for top in imported(path):
            owners = {normal(d) for d in distributions().get(top, [])}
            if owners and "p2p-grid-twin" not in owners and not owners & declared:
                missing.add((path.relative_to(ROOT).as_posix(), top))
    assert missing == set()


def imported(path: Path) -> set[str]:
    """Names of the outermost packages that a file imports, wherever in the file."""
    names: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {name.split(".")[0] for name in names}


def test_the_version_is_stated_once():
    import twin

    version = PROJECT["project"]["version"]
    assert twin.__version__ == version
    assigned = [
        p for p in files(".py") if re.search(r"^__version__\s*=", p.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert assigned == []
    assert re.search(
        rf"^## \[?({re.escape(version)}|Unreleased)\b",
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )


def test_the_licence_is_apache_2_0_in_full():
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30", (
        "as published by the ASF"
    )
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_no_init_files_under_tests():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize(
    "path",
    [p for name in PACKAGES for p in sorted((ROOT / name).rglob("*.py"))],
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES_PER_FILE
    long = [
        f"{node.name}: {length}"
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := _body_lines(node)) > LINES_PER_FUNCTION
    ]
    assert long == []


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = node.body[0] if ast.get_docstring(node) is not None else None
    return (
        (node.end_lineno or 0)
        - node.lineno
        + 1
        - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)
    )


def test_no_absolute_paths_of_anybodys_machine():
    pattern = re.compile(r"(?<![\w.])/(home|root|work|Users)/\w")
    own = Path(__file__)
    found = [
        f"{p.relative_to(ROOT)}:{n}"
        for p in files(".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".sol", ".cfg")
        if p != own
        for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_links_between_documents_lead_somewhere():
    broken = []
    for path in files(".md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
            if (
                not target.startswith(("http://", "https://", "mailto:"))
                and not (path.parent / target).exists()
            ):
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []


def test_make_targets_that_are_documented_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "check", "bench", "clean", "slow"} <= targets
    for path in files(".md"):
        named = re.findall(r"(?:`|^)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= targets, path
