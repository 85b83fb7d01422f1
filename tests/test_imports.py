"""The direction of imports, and which library may be known where."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("twin", "rigs", "adapters", "market")
"""Imports go to the right only."""

CONFINED = {
    "mosaik": ("twin/world.py",),
    "mosaik_api_v3": ("twin/simulators/",),
    "pandapower": ("adapters/grid/",),
    "simbench": ("adapters/grid/",),
    "power_grid_model": ("adapters/grid/",),
    "opendssdirect": ("adapters/grid/",),
    "dss": ("adapters/grid/",),
    "pymodbus": ("adapters/modbus/",),
    "sunspec2": ("adapters/modbus/",),
    "web3": ("adapters/chain/",),
    "eth_tester": ("adapters/chain/",),
    "eth_account": ("adapters/chain/",),
    "eth": ("adapters/chain/",),
    "jinja2": ("twin/report/",),
    "simpy": ("rigs/",),
}

MARKET_MAY_KNOW = {
    "market", "numpy", "numba", "bisect", "collections", "contextlib", "dataclasses", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "itertools",
    "math", "types", "typing", "warnings",
}  # fmt: skip
"""No I/O, no clock, no randomness: what would give them is not on the list."""

HEAVY = {
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "yaml",
    "rich",
    "pandapower",
    "mosaik",
    "numba",
    "scipy",
    "web3",
    "asyncio",
}


@cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(path for package in ORDER for path in (ROOT / package).rglob("*.py")))


@cache
def imported(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of everything that a file imports, wherever in the file."""
    return tuple(_imported(path))


@cache
def distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            yield node.lineno, node.module


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_is_something_to_look_at():
    assert len(sources()) > 50


def test_imports_go_to_the_right_only():
    wrong = []
    for path in sources():
        own = ORDER.index(place(path).split("/")[0])
        for line, name in imported(path):
            top = name.split(".")[0]
            if top in ORDER and ORDER.index(top) < own:
                wrong.append(f"{place(path)}:{line} imports {name}")
    assert wrong == []


def test_libraries_stay_with_their_adapters():
    wrong = []
    for path in sources():
        for line, name in imported(path):
            homes = CONFINED.get(name.split(".")[0])
            if homes is not None and not place(path).startswith(homes):
                wrong.append(f"{place(path)}:{line} imports {name}")
    assert wrong == []


def test_the_market_is_pure():
    wrong = []
    for path in (ROOT / "market").rglob("*.py"):
        wrong += [
            f"{place(path)}:{line} imports {name}"
            for line, name in imported(path)
            if name.split(".")[0] not in MARKET_MAY_KNOW
        ]
        calls = (n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call))
        wrong += [
            f"{place(path)}:{c.lineno} calls {ast.unparse(c.func)}"
            for c in calls
            if ast.unparse(c.func) in {"open", "print", "input"} or "random" in ast.unparse(c.func)
        ]
    assert wrong == []


def test_nobody_imports_tests_or_benchmarks():
    names = {(place(path), name) for path in sources() for _, name in imported(path)}
    assert [n for n in names if n[1].split(".")[0] in {"tests", "benchmarks", "scenarios", "docs"}] == []


@pytest.mark.parametrize("package", ORDER)
def test_no_other_distribution_provides_our_names(package):
    assert set(distributions().get(package, [])) == {"p2p-grid-twin"}


@pytest.mark.parametrize("module", ["twin", "twin.cli", "twin.__main__"])
def test_the_command_line_starts_light(module):
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_importing_prints_and_starts_nothing(tmp_path):
    modules = [place(p).removesuffix(".py").replace("/", ".").removesuffix(".__init__") for p in sources()]
    modules = [m for m in modules if not m.endswith("__main__")]
    code = (
        "import importlib, os, sys, threading\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert os.listdir('.') == [], os.listdir('.')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
