"""A run folder's files, read as they are."""

import json
from pathlib import Path
from typing import Any

from adapters.chain.errors import ChainInputError


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run. Raises ChainInputError where it cannot be read."""
    try:
        return dict(json.loads((folder / name).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ChainInputError(
            f"{folder.name}/{name} cannot be read ({type(error).__name__}): is it a finished run?"
        ) from error


def read_table(folder: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a table of a run; none where it has no such table."""
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    if not path.exists():
        return []
    try:
        return list(pq.read_table(path).to_pylist())
    except (OSError, ValueError) as error:
        raise ChainInputError(f"{folder.name}/{path.name} cannot be read: {error}") from error
