"""Times that questions name."""

from __future__ import annotations

import pytest

from kblampp.offline.time_words import time_in


@pytest.mark.parametrize(
    ("words", "window"),
    [
        ("from 1811 to 1827", ["1811-01-01", "1827-12-31"]),
        ("Who lived there from Feb 1990 to 1992?", ["1990-02-01", "1992-12-31"]),
        ("between Feb 1990 and 1992", ["1990-02-01", "1992-12-31"]),
        ("from Apr 1935 to Apr 1937", ["1935-04-01", "1937-04-30"]),
        ("in 1998", ["1998-01-01", "1998-12-31"]),
        ("in Feb 2000", ["2000-02-01", "2000-02-29"]),
        ("on 2 March 1911", ["1911-03-02", "1911-03-02"]),
        ("on March 2nd, 1911", ["1911-03-02", "1911-03-02"]),
        ("before Mar 1811", [None, "1811-02-28"]),
        ("until 1950", [None, "1950-12-31"]),
        ("after 1998", ["1999-01-01", None]),
        ("since May 2001", ["2001-05-01", None]),
        ("in the 1980s", ["1980-01-01", "1989-12-31"]),
        ("in the late 1980s", ["1987-01-01", "1989-12-31"]),
        ("from 1990 to 1985", ["1990-01-01", "1990-12-31"]),
        ("on 31 February 1990", None),
        ("room 101 of house 12345", None),
        ("Who is it?", None),
    ],
)
def test_a_time_is_read(words: str, window: list[str | None] | None) -> None:
    assert time_in(words).to_json() == window
