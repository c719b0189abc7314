"""Facts with the time in which they hold: a data set's `facts_timed.tsv`, and what a date means.

In: lines 'head<tab>relation<tab>tail<tab>start<tab>end'; ids as in the triples, dates in ISO 8601 of any
precision, a start or end left empty where it is open. Out: the facts of an entity, each with its window.

A window is closed: it has its first and its last day in it. A date of a month or year means all of its
days, on either side of a window and when it is asked about; so two dates agree as far as the coarser of the
two goes. `TimeWindow` of the injection side means the same, in days.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kg_r1.kg.errors import quoted
from kg_r1.kg.lines import checked_name, data_error, numbered_lines

FILE_NAME = "facts_timed.tsv"
FIELDS = ("head", "relation", "tail", "start", "end")
DATE_FORMS = "1994, 1994-07 or 1994-07-15, with four digits or more a year; 0000 is 1 BCE and -0043 is 44 BCE"
MAX_FILES = 8

Day = tuple[int, int, int]  # year, month, day; a year counts as in ISO 8601, so that days compare

_DATE = re.compile(r"(-?\d{4,6})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class PartialDate:
    """A year, a month or a day: its text, and its first and last day, both in it."""

    text: str
    first: Day
    last: Day

    @classmethod
    def parse(cls, text: str) -> PartialDate:
        """The date that a text in ISO 8601 means. Raises ValueError for anything else."""
        match = _DATE.fullmatch(text)
        if match is None or text.startswith("-0000"):
            raise ValueError(f"{quoted(text)} is no date such as {DATE_FORMS}")
        year, month, day = (None if part is None else int(part) for part in match.groups())
        assert year is not None
        if month is None:
            return cls(text, (year, 1, 1), (year, 12, 31))
        if not 1 <= month <= 12:
            raise ValueError(f"{quoted(text)} has no month {month}")
        num_days = 29 if month == 2 and _is_leap(year) else _MONTH_DAYS[month - 1]
        if day is None:
            return cls(text, (year, month, 1), (year, month, num_days))
        if not 1 <= day <= num_days:
            raise ValueError(f"{quoted(text)} has no day {day}")
        return cls(text, (year, month, day), (year, month, day))


@dataclass(frozen=True)
class Window:
    """When a fact holds, its first and last day in it; a side that is None is open.

    Raises:
        ValueError: it ends before it starts.
    """

    start: PartialDate | None
    end: PartialDate | None

    def __post_init__(self) -> None:
        if self.start and self.end and self.start.first > self.end.last:
            raise ValueError(f"the window ends ({self.end.text}) before it starts ({self.start.text})")

    def overlaps(self, time: PartialDate) -> bool:
        """Whether there is a day that is in the window and in `time`."""
        starts_after = self.start is not None and self.start.first > time.last
        ends_before = self.end is not None and self.end.last < time.first
        return not (starts_after or ends_before)

    def text(self) -> str:
        """'1994 - 1998', 'open' for an open side, or the date alone where both sides are one and the same."""
        start, end = (side.text if side else "open" for side in (self.start, self.end))
        return start if self.start and start == end else f"{start} - {end}"


@dataclass(frozen=True)
class TimedFact:
    """One fact by ids, when it holds, and the line of the file that says so."""

    head: str
    relation: str
    tail: str
    window: Window
    line: int

    def other_end(self, entity_id: str) -> str:
        """The id at the end where `entity_id` does not stand; itself where it stands at both."""
        return self.tail if self.head == entity_id else self.head


class TimedFacts:
    """The facts of one file. Immutable, and safe to read from many threads.

    Args:
        path: the file; a line that stands in it twice counts once.

    Raises:
        DataError: it cannot be read, or a line is bad; names file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._of: dict[str, list[TimedFact]] = {}
        seen: dict[tuple[str, ...], TimedFact] = {}
        for number, text in numbered_lines(path):
            fields = tuple(text.split("\t"))
            if fields not in seen:
                seen[fields] = _fact(path, number, fields)
        for fact in seen.values():
            for entity_id in dict.fromkeys((fact.head, fact.tail)):
                self._of.setdefault(entity_id, []).append(fact)
        self.relations = frozenset(fact.relation for fact in seen.values())
        self.num_facts = len(seen)

    def of(self, entity_id: str) -> list[TimedFact]:
        """The facts with the entity at either end, in the order of the file; [] for an unknown one."""
        return list(self._of.get(entity_id, ()))


class TimedFactFiles:
    """The `facts_timed.tsv` of data sets, each read once until it changes. Thread-safe.

    Args:
        max_files: most files kept in memory; the one used longest ago goes first.
    """

    def __init__(self, max_files: int = MAX_FILES) -> None:
        self.max_files = max_files
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[tuple[int, int], TimedFacts]] = OrderedDict()
        self._reading: dict[Path, threading.Lock] = {}

    def of(self, folder: Path) -> TimedFacts | None:
        """The timed facts of the data set in `folder`; None when it has none.

        Raises:
            DataError: the file cannot be read, or a line is bad.
        """
        path = folder / FILE_NAME
        with self._lock:
            reading = self._reading.setdefault(path, threading.Lock())
        with reading:
            try:
                status = path.stat()
            except FileNotFoundError:
                return None
            version = (status.st_mtime_ns, status.st_size)
            with self._lock:
                kept = self._kept.get(path)
                if kept is not None and kept[0] == version:
                    self._kept.move_to_end(path)
                    return kept[1]
            facts = TimedFacts(path)
            with self._lock:
                self._kept[path] = (version, facts)
                self._kept.move_to_end(path)
                while len(self._kept) > self.max_files:
                    self._kept.popitem(last=False)
            return facts


def span_of(facts: list[TimedFact]) -> Mapping[str, str]:
    """{'from': ..., 'to': ...}: the first and the last date that facts name, for a message; {} for none."""
    sides = [side for fact in facts for side in (fact.window.start, fact.window.end) if side is not None]
    if not sides:
        return {}
    return {
        "from": min(sides, key=lambda side: side.first).text,
        "to": max(sides, key=lambda side: side.last).text,
    }


def _fact(path: Path, number: int, fields: tuple[str, ...]) -> TimedFact:
    if len(fields) != len(FIELDS):
        wanted = "\\t".join(FIELDS)
        raise data_error(path, number, f"has {len(fields)} fields where {len(FIELDS)} belong ({wanted})")
    head, relation, tail = (
        checked_name(path, number, value, what) for value, what in zip(fields, FIELDS[:3], strict=False)
    )
    try:
        start, end = (PartialDate.parse(side.strip()) if side.strip() else None for side in fields[3:])
        return TimedFact(head, relation, tail, Window(start, end), number)
    except ValueError as error:
        raise data_error(path, number, str(error)) from error


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
