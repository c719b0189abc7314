"""Names as numbers, so that a fact's head can be looked for in a question without reading texts."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

MAX_WORDS = 6
NO_WORD = 0
_WORD = re.compile(r"\w+")
_APOSTROPHES = ("'", "\u2019")


@dataclass(frozen=True)
class Word:
    """A word where it stands in a text that `normalised` made."""

    number: int
    start: int
    end: int


def normalised(text: str) -> str:
    """The text with its letters composed (Unicode NFKC)."""
    return unicodedata.normalize("NFKC", text)


def numbered_words(text: str) -> list[Word]:
    """The words of a normalised text with their numbers and places; case and possessives do not matter."""
    return [Word(_number(found.group().casefold()), found.start(), found.end()) for found in _found(text)]


def words_of(text: str) -> list[str]:
    """The words of a text, folded: case, accents written apart and possessives do not matter."""
    return [found.group().casefold() for found in _found(normalised(text))]


def hashed_words(texts: Iterable[str], max_words: int | None = MAX_WORDS) -> np.ndarray:
    """int32 [N, max_words]: a number for each word, `NO_WORD` where a text has fewer.

    Args:
        texts: N of them.
        max_words: words beyond are left out; None takes as many as the longest text has.
    """
    numbers = [[_number(word) for word in words_of(text)] for text in texts]
    width = max_words or max((len(row) for row in numbers), default=0)
    hashed = np.full((len(numbers), max(width, 1)), NO_WORD, dtype=np.int32)
    for row, some in zip(hashed, numbers, strict=True):
        row[: min(len(some), width)] = some[:width]
    return hashed


def _found(text: str) -> Iterator[re.Match[str]]:
    for found in _WORD.finditer(text):
        is_possessive = found.group() in ("s", "S") and text[: found.start()].endswith(_APOSTROPHES)
        if not is_possessive:
            yield found


def _number(word: str) -> int:
    return zlib.crc32(word.encode()) % 0x7FFFFFFE + 1
