"""Dates, windows, and the file of timed facts with its errors."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kblampp.time_window import TimeWindow
from kg_r1.kg.errors import DataError
from kg_r1.kg.timed_facts import FILE_NAME, PartialDate, TimedFactFiles, TimedFacts, Window, span_of


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1994", (1994, 1, 1), (1994, 12, 31)),
        ("1996-02", (1996, 2, 1), (1996, 2, 29)),
        ("1900-02", (1900, 2, 1), (1900, 2, 28)),
        ("2000-02-29", (2000, 2, 29), (2000, 2, 29)),
        ("0000", (0, 1, 1), (0, 12, 31)),
        ("-0043-03-15", (-43, 3, 15), (-43, 3, 15)),
        ("-0004-02", (-4, 2, 1), (-4, 2, 29)),
        ("-12000", (-12000, 1, 1), (-12000, 12, 31)),
    ],
)
def test_a_date_is_all_of_its_days(text: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    parsed = PartialDate.parse(text)
    assert (parsed.first, parsed.last) == (first, last)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("94", "is no date such as 1994"),
        ("1994-7", "is no date"),
        ("1994/07", "is no date"),
        ("1994-07-15T00:00:00Z", "is no date"),
        ("now", "is no date"),
        ("", "is no date"),
        ("-0000", "is no date"),
        ("+1994", "is no date"),
        ("１９９４", "is no date"),
        ("1994\n", "is no date"),
        ("1994-13", "has no month 13"),
        ("1994-00", "has no month 0"),
        ("1900-02-29", "has no day 29"),
        ("1994-04-31", "has no day 31"),
    ],
)
def test_what_is_no_date(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PartialDate.parse(text)


def window(start: str, end: str) -> Window:
    return Window(*(PartialDate.parse(side) if side else None for side in (start, end)))


@pytest.mark.parametrize(
    ("start", "end", "time", "holds"),
    [
        ("1994", "1998", "1998-12-31", True),
        ("1994", "1998", "1999", False),
        ("1994", "1998", "1993-12-31", False),
        ("1994-06-02", "1994-06-02", "1994", True),
        ("1994-06-02", "1994-06-02", "1994-06", True),
        ("1994-06-02", "1994-06-02", "1994-06-01", False),
        ("1994-06", "", "1994", True),
        ("1994-06", "", "1994-05", False),
        ("", "1994-06", "1994-06-30", True),
        ("", "1994-06", "1994-07", False),
        ("", "", "-9999", True),
        ("-0043", "-0026", "-0030", True),
        ("-0043", "0014", "0000", True),
        ("-0043", "-0026", "-0044", False),
    ],
)
def test_when_a_window_holds(start: str, end: str, time: str, holds: bool) -> None:
    assert window(start, end).overlaps(PartialDate.parse(time)) is holds


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("1994", "1998", "1994 - 1998"),
        ("1994", "", "1994 - open"),
        ("", "1998-05", "open - 1998-05"),
        ("", "", "open - open"),
        ("2020", "2020", "2020"),
    ],
)
def test_a_window_as_text(start: str, end: str, text: str) -> None:
    assert window(start, end).text() == text


def test_a_window_ends_after_it_starts() -> None:
    assert window("1994-06", "1994").overlaps(PartialDate.parse("1994-06"))
    with pytest.raises(ValueError, match=r"ends \(1994-05\) before it starts \(1994-06\)"):
        window("1994-06", "1994-05")


DAYS = st.dates(min_value=date(1, 1, 1), max_value=date(9999, 12, 31))
SIDES = st.tuples(st.none() | DAYS, st.none() | DAYS).map(
    lambda sides: sides[::-1] if None not in sides and sides[0] > sides[1] else sides
)


@given(sides=SIDES, asked=DAYS, form=st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d"]))
def test_days_mean_what_they_mean_on_the_side_of_injection(
    sides: tuple[date | None, date | None], asked: date, form: str
) -> None:
    time = PartialDate.parse(
        {"%Y": f"{asked.year:04}", "%Y-%m": asked.isoformat()[:7]}.get(form, asked.isoformat())
    )
    ours = window(*(side.isoformat() if side else "" for side in sides))
    theirs = TimeWindow(*sides).overlaps(TimeWindow(date(*time.first), date(*time.last)))
    assert ours.overlaps(time) is theirs


FACTS = """\
q1\theld\tq2\t1994\t1998
q3\theld\tq1\t\t-0043

q1\theld\tq2\t1994\t1998
q1\tborn\tq1\t1950-02-03\t
"""


def written(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text, encoding="utf-8")
    return path


def test_facts_by_entity(tmp_path: Path) -> None:
    facts = TimedFacts(written(tmp_path, FACTS))
    assert (facts.num_facts, facts.relations) == (3, {"held", "born"})
    assert [(fact.line, fact.other_end("q1"), fact.window.text()) for fact in facts.of("q1")] == [
        (1, "q2", "1994 - 1998"),
        (2, "q3", "open - -0043"),
        (5, "q1", "1950-02-03 - open"),
    ]
    assert facts.of("q9") == []
    assert span_of(facts.of("q1")) == {"from": "-0043", "to": "1998"}
    assert span_of([]) == {}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1\theld\tq2\t1994", r"has 4 fields where 5 belong \(head\\trelation\\ttail\\tstart\\tend\)"),
        ("q1\t \tq2\t1994\t", "relation is empty"),
        ("q1\theld\tq2\t94\t", "'94' is no date"),
        ("q1\theld\tq2\t1994\t1993", r"the window ends \(1993\) before it starts \(1994\)"),
        ("q1\theld\tq2\t1994\tnow", "'now' is no date"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = written(tmp_path, f"{FACTS}{line}\n")
    with pytest.raises(DataError, match=rf"{FILE_NAME}:6: {problem}"):
        TimedFacts(path)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    files = TimedFactFiles()
    assert files.of(tmp_path) is None
    path = written(tmp_path, FACTS)
    first = files.of(tmp_path)
    assert first is not None and files.of(tmp_path) is first
    written(tmp_path, "q1\theld\tq2\t1994\t1998\n")
    os.utime(path, ns=(1, 1))
    second = files.of(tmp_path)
    assert second is not None and second.num_facts == 1


def test_files_kept_are_bounded(tmp_path: Path) -> None:
    files = TimedFactFiles(max_files=1)
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        written(folder, FACTS)
    first = files.of(folders[0])
    files.of(folders[1])
    assert files.of(folders[0]) is not first
