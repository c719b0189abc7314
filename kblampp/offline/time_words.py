"""The time that a sentence or question names, as a window."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta

from kblampp.time_window import TIMELESS, TimeWindow

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_POINT = (
    rf"(?:(?:\d{{1,2}}(?:st|nd|rd|th)?\s+)?{_MONTH},?\s+(?:\d{{1,2}}(?:st|nd|rd|th)?\s*,?\s+)?)?"
    r"(?:(?:the\s+)?(?:early|mid|late)?[\s-]*(?<!\d)[12]\d{3}s|(?<!\d)[12]\d{3})(?!\d)"
)
_SPAN = re.compile(
    rf"(?P<one>{_POINT})\s*(?:to|and|until|till|through|-|–)\s*(?P<other>{_POINT})", re.IGNORECASE
)
_BOUND = re.compile(rf"\b(?P<word>before|until|till|after|since)\s+(?P<one>{_POINT})", re.IGNORECASE)
_ALONE = re.compile(rf"(?P<one>{_POINT})", re.IGNORECASE)
_DECADE_PARTS = {"early": (0, 3), "mid": (4, 6), "late": (7, 9)}


def time_in(text: str) -> TimeWindow:
    """The first span that the text names, else its first bound, else its first date; timeless when none.

    'from 1811 to 1827' lasts from the first day of 1811 to the last of 1827; 'before May 1990' ends with
    April 1990; 'in the late 1980s' is 1987 to 1989. A span that ends before it starts is its first date.
    """
    if match := _SPAN.search(text):
        one, other = _window(match["one"]), _window(match["other"])
        if one is not None and other is not None:
            first, last = one[0], other[1]
            return TimeWindow(first, last) if first <= last else TimeWindow(*one)
    if (match := _BOUND.search(text)) and (window := _window(match["one"])):
        first, last = window
        return {
            "before": TimeWindow(None, first - timedelta(days=1)),
            "until": TimeWindow(None, last),
            "till": TimeWindow(None, last),
            "after": TimeWindow(last + timedelta(days=1), None),
            "since": TimeWindow(first, None),
        }[match["word"].lower()]
    if (match := _ALONE.search(text)) and (window := _window(match["one"])):
        return TimeWindow(*window)
    return TIMELESS


def _window(point: str) -> tuple[date, date] | None:
    """First and last day of a year, a month, a day or a decade; None for a day that the calendar lacks."""
    words = point.lower()
    year = int(re.findall(r"[12]\d{3}", words)[-1])
    if words.endswith("s"):
        part = next((name for name in _DECADE_PARTS if name in words), None)
        first, last = _DECADE_PARTS[part] if part else (0, 9)
        return date(year + first, 1, 1), date(year + last, 12, 31)
    month_name = re.search(_MONTH, words)
    if month_name is None:
        return date(year, 1, 1), date(year, 12, 31)
    month = _MONTHS.index(month_name[0][:3]) + 1
    day_words = re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", words.replace(str(year), ""))
    last_day = monthrange(year, month)[1]
    if day_words is None:
        return date(year, month, 1), date(year, month, last_day)
    day = int(day_words[1])
    return (date(year, month, day), date(year, month, day)) if 1 <= day <= last_day else None
