"""Names as numbers, so that a fact's head can be looked for in a question without reading texts."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable

import numpy as np

MAX_WORDS = 6
NO_WORD = 0
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text, folded: case, accents written apart and possessives do not matter."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'").replace("'s", " ")
    return _WORD.findall(folded)


def hashed_words(texts: Iterable[str], max_words: int | None = MAX_WORDS) -> np.ndarray:
    """int32 [N, max_words]: a number for each word, `NO_WORD` where a text has fewer.

    Args:
        texts: N of them.
        max_words: words beyond are left out; None takes as many as the longest text has.
    """
    numbers = [[zlib.crc32(word.encode()) % 0x7FFFFFFE + 1 for word in words_of(text)] for text in texts]
    width = max_words or max((len(row) for row in numbers), default=0)
    hashed = np.full((len(numbers), max(width, 1)), NO_WORD, dtype=np.int32)
    for row, some in zip(hashed, numbers, strict=True):
        row[: min(len(some), width)] = some[:width]
    return hashed
