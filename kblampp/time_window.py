"""When a fact holds, or what time a question asks about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from kblampp.errors import DataError


@dataclass(frozen=True)
class TimeWindow:
    """Days from `start` to `end`, both inside; None leaves that side open."""

    start: date | None = None
    end: date | None = None

    def __post_init__(self) -> None:
        if self.start and self.end and self.start > self.end:
            raise DataError(f"the time window ends ({self.end}) before it starts ({self.start})")

    @property
    def is_timeless(self) -> bool:
        """Both sides are open."""
        return self.start is None and self.end is None

    def overlaps(self, other: TimeWindow) -> bool:
        """Whether there is a day in both."""
        starts_after = self.start and other.end and self.start > other.end
        ends_before = self.end and other.start and self.end < other.start
        return not (starts_after or ends_before)

    def to_json(self) -> list[str | None] | None:
        """`[start, end]` as ISO dates; None when both sides are open."""
        if self.is_timeless:
            return None
        return [side.isoformat() if side else None for side in (self.start, self.end)]

    @classmethod
    def from_json(cls, value: Any) -> TimeWindow:
        """What `to_json` made. Raises DataError for anything else."""
        if value is None:
            return TIMELESS
        if not isinstance(value, list) or len(value) != 2:
            raise DataError(f"a time window is [start, end] or null, not {value!r}")
        return cls(*(_day(side) for side in value))


TIMELESS = TimeWindow()


def _day(value: Any) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"a side of a time window is a date such as '1998-02-01' or null, not {value!r}"
        ) from error
