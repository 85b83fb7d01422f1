"""A moment within a run, as a scenario writes it: seconds after the start, a clock time, or a whole date."""

from datetime import datetime, timedelta

from pydantic import Field

from twin.scenario.fields import Section

_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"
_DATE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$"


class MomentSection(Section):
    """Something that begins at ``at`` or ``at_s``; without either, with the run."""

    at: str | None = Field(
        None,
        pattern=f"{_CLOCK}|{_DATE}",
        description="When it begins: a local time such as '17:30' (the first in the run), or date, time and zone.",
    )
    at_s: float | None = Field(
        None, ge=0, description="When it begins, in seconds after the start, instead of at."
    )

    def from_s(self, start: datetime) -> float:
        """When it begins, in s after the start of the run (negative: before it)."""
        if self.at is None:
            return self.at_s or 0.0
        if len(self.at) == 5:
            at = start.replace(hour=int(self.at[:2]), minute=int(self.at[3:]), second=0)
            return (at if at >= start else at + timedelta(days=1)).timestamp() - start.timestamp()
        return datetime.fromisoformat(self.at).timestamp() - start.timestamp()
