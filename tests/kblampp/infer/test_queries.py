"""Questions from outside are made into queries or refused by name."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kblampp.infer.errors import ServiceError
from kblampp.infer.queries import asked_time, query_of
from kblampp.time_window import TIMELESS, TimeWindow


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("1998", date(1998, 1, 1), date(1998, 12, 31)),
        ("2000-02", date(2000, 2, 1), date(2000, 2, 29)),
        ("1999-12", date(1999, 12, 1), date(1999, 12, 31)),
        ("1998-02-14", date(1998, 2, 14), date(1998, 2, 14)),
        ("1990/1995-03", date(1990, 1, 1), date(1995, 3, 31)),
        ("1990/", date(1990, 1, 1), None),
        ("/1990", None, date(1990, 12, 31)),
        (["1990-05-01", None], date(1990, 5, 1), None),
        (["1990", "1991"], date(1990, 1, 1), date(1991, 12, 31)),
    ],
)
def test_a_time_lasts_from_its_first_to_its_last_day(
    value: Any, first: date | None, last: date | None
) -> None:
    assert asked_time(value) == TimeWindow(first, last)


def test_no_time_is_timeless() -> None:
    assert asked_time(None) == asked_time([None, None]) == TIMELESS


@pytest.mark.parametrize(
    "value",
    [1998, True, "", " ", "/", "98", "1998-13", "1998-02-30", "0000", "1/2/3", "1995/1990", {}, [], ["1998"],
     [1998, None], float("nan"), "١٩٩٨", "\ud800"],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ServiceError) as caught:
        asked_time(value)
    assert caught.value.code == "invalid_field"
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({}, "missing_field"),
        ({"question": None}, "missing_field"),
        ({"question": 3}, "invalid_field"),
        ({"question": ["a"]}, "invalid_field"),
        ({"question": "  "}, "invalid_field"),
        ({"question": "a" * 21}, "invalid_field"),
        ({"question": "a \ud800"}, "invalid_field"),
        ({"question": "a", "k": 3}, "invalid_field"),
        ({"question": "a", "\ud800": 3}, "invalid_field"),
        ({"question": "a", "question_time": 1998}, "invalid_field"),
        (None, "invalid_field"),
        (3.5, "invalid_field"),
        ([], "invalid_field"),
    ],
)
def test_what_is_no_question_is_refused(value: Any, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        query_of(value, 20)
    assert caught.value.code == code


def test_a_text_alone_is_a_question() -> None:
    assert query_of("a" * 20, 20) == query_of({"question": "a" * 20, "question_time": None}, 20)
