"""Which entities a question names, and the question with their names masked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kblampp.kb_store import KBStore
from kblampp.name_words import MAX_WORDS, NO_WORD, Word, normalised, numbered_words

MASK = "X"
"""Stands for a name. Of 330 one-hop questions all-MiniLM-L6-v2 finds the relation of .936 with it, of .897
with 'it' (docs/log.md, 2026-11-26)."""
MAX_MENTIONS = 4
"""Entities of one question that are looked up."""
_BASE = np.uint64(1_000_003)


@dataclass(frozen=True)
class Linked:
    """A question and the entities that it names."""

    entities: tuple[int, ...]
    masked: str
    """The question with `MASK` for each name; the question itself when it names nobody."""


class EntityNames:
    """The names of a store's heads, found by their words: 16 bytes a head, none of it text.

    The longest name that stands in a question word for word is taken first, then others around it. A name of
    more than MAX_WORDS words is found by its first MAX_WORDS. A name that two heads share leads to both.
    """

    def __init__(self, store: KBStore) -> None:
        starts = store.array("head_starts")
        first_rows = store.array("by_head")[starts[:-1]]
        numbers = _numbers(store.array("name_words")[first_rows])
        self._entities = np.argsort(numbers, kind="stable")
        self._numbers = numbers[self._entities]

    def link(self, question: str) -> Linked:
        """The entities that a question names, at most MAX_MENTIONS."""
        text = normalised(question)
        words = numbered_words(text)
        taken = np.zeros(len(words), dtype=bool)
        mentions: list[tuple[int, int, list[int]]] = []
        for length in range(min(MAX_WORDS, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                if taken[start : start + length].any():
                    continue
                found = self._named(words[start : start + length])
                if found:
                    taken[start : start + length] = True
                    mentions.append((words[start].start, words[start + length - 1].end, found))
        entities = [entity for _, _, found in mentions for entity in found]
        for start, end, _ in sorted(mentions, reverse=True):
            text = text[:start] + MASK + text[end:]
        return Linked(tuple(dict.fromkeys(entities))[:MAX_MENTIONS], text)

    def _named(self, words: list[Word]) -> list[int]:
        row = np.full((1, MAX_WORDS), NO_WORD, dtype=np.int64)
        row[0, : len(words)] = [word.number for word in words]
        number = _numbers(row)[0]
        first, last = (np.searchsorted(self._numbers, number, side=side) for side in ("left", "right"))
        found: list[int] = self._entities[first:last].tolist()
        return found


def _numbers(name_words: np.ndarray) -> np.ndarray:
    """uint64 [N]: one number for all words of a name, int [N, MAX_WORDS]; overflow is wanted."""
    number = np.zeros(len(name_words), dtype=np.uint64)
    for column in name_words.T:
        number = number * _BASE + column.astype(np.uint64)
    return number
