"""``twin new``: write a commented first scenario that runs."""

import argparse
import re
import sys
from importlib.resources import files
from pathlib import Path

from twin.errors import WrongInputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin new`` understands."""
    parser.add_argument("name", help="name of the scenario; NAME.yaml is written to the current folder")


def execute(arguments: argparse.Namespace) -> int:
    """Write NAME.yaml; refuse to overwrite."""
    given = str(arguments.name).removesuffix(".yaml")
    path = Path(f"{given}.yaml")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", given.rpartition("/")[2]):
        raise WrongInputError(
            f"{given!r} is no scenario name. Use lower-case letters, digits, - and _: my_street."
        )
    text = files("twin.scenario").joinpath("templates/new.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("NAME", path.stem))
    except FileExistsError:
        raise WrongInputError(f"{path} exists already; it is left as it is. Choose another name.") from None
    except OSError as error:
        raise WrongInputError(f"{path} cannot be written: {error.strerror}.") from None
    sys.stdout.write(f"wrote {path}\nnext: twin run {path}\n")
    return 0
