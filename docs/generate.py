"""Writes the parts of docs/reference that follow from the code: scenario keys, command line, tables.

Each page has marks (``<!-- generated: name -->`` and ``<!-- end -->``) between which the text is replaced.
"""

import argparse
import ast
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from twin.cli import EPILOG
from twin.commands import chain
from twin.commands.table import ALL
from twin.scenario.keys import Key, all_keys

REFERENCE = Path(__file__).parent / "reference"
TABLES = [Path(__file__).parents[1] / "twin" / name for name in ("tables.py", "tables_market.py")]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<name>", "&lt;name&gt;")


def scenario() -> str:
    """Return one table of keys per section."""
    sections: dict[str, list[str]] = {}
    for key in all_keys():
        parent, _, name = key.path.rpartition(".")
        default = f"`{key.default}`" if key.default not in {"", "required", "none"} else key.default
        row = f"| `{name}` | {_cell(key.allowed)} | {default} | {_cell(key.description)} |"
        sections.setdefault(parent, []).append(row)
    lines: list[str] = []
    for parent, rows in sections.items():
        lines += ["", *_heading(parent), "", "| key | allowed | default | |", "|---|---|---|---|", *rows]
    return "\n".join(lines).strip()


def _heading(path: str) -> Iterator[str]:
    yield f"## {_cell(path)}" if path else "## Top level"
    described: dict[str, Key] = {key.path: key for key in all_keys()}
    text = described[path].description if path in described else ""
    if text:
        yield from ("", text)


def cli() -> str:
    """Return the help of every command of our own."""
    lines: list[str] = []
    commands = [(c.name, c.help, c.module) for c in ALL if not c.own_parser]
    commands.append(("chain register-devices", chain.REGISTER, "twin.commands.chain"))
    for name, text, module in commands:
        parser = argparse.ArgumentParser(prog=f"twin {name}", add_help=False, allow_abbrev=False)
        import_module(module).add_arguments(parser)
        lines += ["", f"## twin {name}", "", f"{text[0].upper()}{text[1:]}.", ""]
        lines += [f"* {_argument(action)}" for action in parser._actions]
    lines += ["", "## Exit codes", "", "```text", EPILOG.strip(), "```"]
    return "\n".join(lines).strip()


def _argument(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest.upper()}`"
    value = f" `{action.metavar}`" if action.option_strings and action.metavar else ""
    return f"{names}{value}: {action.help}"


def tables() -> str:
    """Return one table of columns per Parquet file, with the comments of the files that name them."""
    return "\n\n".join(_tables(path.read_text(encoding="utf-8")) for path in TABLES)


def _tables(text: str) -> str:
    source = text.splitlines()
    lines: list[str] = []
    for node in ast.parse(text).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        (target,) = node.targets
        lines += [
            "",
            f"### {ast.unparse(target).lower()}.parquet",
            "",
            "| column | type | |",
            "|---|---|---|",
        ]
        for column in node.value.args[0].elts:  # type: ignore[attr-defined]
            name, kind = column.elts
            comment = source[column.end_lineno - 1].partition("#")[2].strip()
            lines.append(
                f"| `{name.value}` | {ast.unparse(kind).replace('pa.', '').replace('()', '')} | {_cell(comment)} |"
            )
    return "\n".join(lines).strip()


PAGES: dict[str, Callable[[], str]] = {"scenario": scenario, "cli": cli, "run-folder": tables}


def page(name: str) -> str:
    """Return what the page should be."""
    text = (REFERENCE / f"{name}.md").read_text(encoding="utf-8")
    marks = re.compile(r"(<!-- generated: [^\n]* -->\n).*?(<!-- end -->)", re.DOTALL)
    return marks.sub(lambda match: f"{match[1]}{PAGES[name]()}\n{match[2]}", text, count=1)


if __name__ == "__main__":
    for name in PAGES:
        (REFERENCE / f"{name}.md").write_text(page(name), encoding="utf-8")
