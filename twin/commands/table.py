"""Which subcommands there are, as data: a module is imported only when its command is used."""

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Command:
    """A subcommand.

    A command of our own has a module with ``add_arguments`` and ``execute``; where ``own_parser`` is set, the
    module has ``main(argv) -> int`` and reads the rest of the command line itself.
    """

    name: str
    help: str
    module: str
    own_parser: bool = False


ALL = (
    Command("run", "run a scenario and judge it", "twin.commands.run"),
    Command("check", "validate a scenario and all it refers to; run nothing", "twin.commands.check"),
    Command("report", "write report.html of a finished run anew", "twin.commands.report"),
    Command("export", "write a table of a run as CSV", "twin.commands.export"),
    Command("new", "write a commented first scenario that runs", "twin.commands.new"),
    Command("schema", "print the JSON Schema of scenario files, for editors", "twin.commands.schema"),
    Command("feeder", "show what a feeder holds and whether the engines agree on it", "twin.commands.feeder"),
    Command("hosting", "how much trading, PV or charging the feeder hosts", "twin.commands.hosting"),
    Command("rig", "work with benches of emulated and real devices", "rigs.cli", own_parser=True),
    Command("chain", "work with the settlement chain", "twin.commands.chain", own_parser=True),
)


def available() -> dict[str, Command]:
    """Return the commands whose module is installed, by name."""
    return {command.name: command for command in ALL if _exists(command.module)}


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
