"""A run folder as a reader sees it: finished, failed, or left behind by a run that was killed."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from twin.tables import TABLES

EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3, "aborted": 4}


class RunFolderError(Exception):
    """Base of what can go wrong when a run folder is read."""


class NotARunFolderError(RunFolderError):
    """The path is no folder of a run: check the path."""


class DamagedRunError(RunFolderError):
    """A file of the run cannot be read. The text names it; the other files may be fine."""


class UnknownNameError(RunFolderError, KeyError):
    """The run has no such table or variant. The text lists those it has."""

    def __str__(self) -> str:
        return str(self.args[0])


class RunResult:
    """Results of one run, read when asked for and kept.

    Raises NotARunFolderError where ``folder`` holds no ``manifest.json``.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / "manifest.json").is_file():
            what = "has no manifest.json, so it is no run folder" if self.folder.is_dir() else "is no folder"
            raise NotARunFolderError(f"{self.folder} {what}. Give the folder that 'twin run --out' wrote.")

    def __repr__(self) -> str:
        return f"RunResult({str(self.folder)!r}, {self.verdict})"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was run, with which versions, and ``status``: running (also: killed), finished or failed."""
        return self._json("manifest.json")

    @cached_property
    def verdict_record(self) -> dict[str, Any]:
        """``verdict.json`` as written; empty where the run did not come that far."""
        return self._json("verdict.json", missing_ok=True)

    @property
    def verdict(self) -> str:
        """pass, fail, inconclusive, or aborted where the run did not finish."""
        if self.manifest.get("status") != "finished":
            return "aborted"
        return str(self.verdict_record.get("verdict", "aborted"))

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The checks of the verdict, each with name, verdict, value, limit, unit and margin."""
        return list(self.verdict_record.get("checks", []))

    @cached_property
    def kpis(self) -> dict[str, Any]:
        """Name to number, units in the names; None where a number could not be had."""
        return self._json("kpis.json", missing_ok=True)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive, 4 aborted."""
        return EXIT_CODES.get(self.verdict, EXIT_CODES["aborted"])

    @cached_property
    def variants(self) -> list[str]:
        """Names of the variants, the judged one first; empty for a run without variants."""
        entries = self.manifest.get("variants") or []
        ordered = sorted(entries, key=lambda entry: not entry.get("judged"))
        return [str(entry["name"]) for entry in ordered]

    def variant(self, name: str) -> "RunResult":
        """The results of one variant; the judged one is this folder itself. Raises UnknownNameError."""
        if name not in self.variants:
            raise UnknownNameError(
                f"no variant {name!r} in {self.folder}; it has: {', '.join(self.variants) or 'none'}"
            )
        entry = next(entry for entry in self.manifest["variants"] if entry["name"] == name)
        return self if entry.get("judged") else RunResult(self.folder / "variants" / name)

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A table, from its merged file or, where the run was cut short, from the parts it completed.

        Args:
            name: one of ``twin.tables.TABLES``.
            columns: read only these.

        Raises:
            UnknownNameError: there is no such table.
            DamagedRunError: a file of it cannot be read.
        """
        schema = TABLES.get(name)
        if schema is None:
            raise UnknownNameError(f"no table {name!r}; there are: {', '.join(TABLES)}")
        merged = self.folder / f"{name}.parquet"
        files = [merged] if merged.is_file() else sorted(self.folder.glob(f"{name}.parts/part-*.parquet"))
        tables = []
        for file in files:
            try:
                tables.append(pq.read_table(file, columns=columns))
            except (OSError, pa.ArrowException) as error:
                raise DamagedRunError(f"{file} cannot be read: {error}") from error
        if not tables:
            empty = schema.empty_table()
            return empty.select(columns) if columns else empty
        return pa.concat_tables(tables)

    def _json(self, name: str, *, missing_ok: bool = False) -> dict[str, Any]:
        path = self.folder / name
        if missing_ok and not path.is_file():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DamagedRunError(f"{path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise DamagedRunError(f"{path} must hold a JSON object, found a {type(content).__name__}")
        return content
