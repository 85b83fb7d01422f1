"""What can be wrong with a scenario, as a value: where, what was got, what is allowed, what to do."""

from collections.abc import Iterable
from dataclasses import dataclass

from twin.errors import WrongInputError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a scenario or in what it refers to.

    ``line`` is 1-based and ``None`` where there is none (a missing file, a key given on the command line).
    """

    file: str
    line: int | None
    key_path: str
    message: str
    got: str = ""
    allowed: str = ""
    hint: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [f"{where}: {self.key_path}: {self.message}" if self.key_path else f"{where}: {self.message}"]
        if self.got:
            parts.append(f"got {self.got}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        text = "; ".join(parts)
        if not text.endswith((".", "?", "!")):
            text += "."
        return f"{text} {self.hint}".rstrip()

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the problem as plain data, for ``--json``."""
        return {
            "file": self.file,
            "line": self.line,
            "key_path": self.key_path,
            "message": self.message,
            "got": self.got,
            "allowed": self.allowed,
            "hint": self.hint,
        }


class ScenarioError(WrongInputError):
    """The scenario is wrong. ``problems`` holds everything that was found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("a ScenarioError needs at least one problem")
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__("\n".join([f"{head} found; nothing was run.", *(f"  {p}" for p in self.problems)]))
