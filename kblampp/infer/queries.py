"""Questions as they come from outside, made into queries or refused."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from typing import Any

from kblampp.answering import Query
from kblampp.errors import DataError
from kblampp.infer.errors import InvalidField, MissingField
from kblampp.time_window import TIMELESS, TimeWindow

FIELDS = ("question", "question_time")
_POINT = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_FORM = "'1998', '1998-02', '1998-02-14', two of them with '/' between, or [start, end] with null for open"
_MAX_SHOWN = 60


def query_of(value: Any, max_question_chars: int) -> Query:
    """A question as JSON: a text, or an object with `question` and perhaps `question_time`.

    Raises:
        MissingField: there is no question.
        InvalidField: it is empty, too long, no valid Unicode, or a field is wrong or unknown.
    """
    fields = {"question": value} if isinstance(value, str) else value
    if not isinstance(fields, Mapping):
        raise InvalidField("a question is a text or an object")
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise InvalidField(f"there is no field {_shown(unknown[0])}; there are {', '.join(FIELDS)}")
    if fields.get("question") is None:
        raise MissingField("field 'question' is missing")
    question = fields["question"]
    if not isinstance(question, str) or not question.strip():
        raise InvalidField("field 'question' must be a text that is not empty")
    if len(question) > max_question_chars:
        raise InvalidField(
            f"field 'question' has {len(question)} characters; at most {max_question_chars} are allowed"
        )
    if not _is_unicode(question):
        raise InvalidField("field 'question' must be valid Unicode")
    return Query(question, asked_time(fields.get("question_time")))


def asked_time(value: Any) -> TimeWindow:
    """The time that is asked about. Raises InvalidField.

    A year or a month lasts from its first to its last day; 'A/B' and [A, B] last from the first day of A to
    the last of B, and a side that is empty or null is open; None is timeless.
    """
    if value is None:
        return TIMELESS
    sides: list[Any] = value if isinstance(value, list) else _sides(value)
    if len(sides) != 2:
        raise InvalidField(f"field 'question_time' is {_FORM}")
    start, end = (None if side is None or side == "" else _days(side) for side in sides)
    try:
        return TimeWindow(start[0] if start else None, end[1] if end else None)
    except DataError as error:
        raise InvalidField(f"field 'question_time': {error}") from error


def _sides(value: Any) -> list[Any]:
    if not isinstance(value, str) or not value.strip("/ "):
        raise InvalidField(f"field 'question_time' is {_FORM}")
    return [part.strip() for part in value.split("/")] if "/" in value else [value.strip()] * 2


def _days(value: Any) -> tuple[date, date]:
    match = _POINT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidField(f"field 'question_time' is {_FORM}, not {_shown(value)}")
    year, month, day = (int(part) if part else None for part in match.groups())
    try:
        first = date(year or 0, month or 1, day or 1)
    except ValueError as error:
        raise InvalidField(f"field 'question_time': there is no day {_shown(value)}") from error
    if day is not None:
        return first, first
    last_month = month or 12
    return first, date(first.year, last_month, monthrange(first.year, last_month)[1])


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
