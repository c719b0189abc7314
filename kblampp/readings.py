"""Ways to take a question apart: a phrase about the entity that it names, and what is asked of whom that is.

'On which doorstep would one find the mentor of X?' asks 'On which doorstep would one find X?' of 'the mentor
of X'. Each of the two says fewer relations than the whole, whose vector hardly tells which comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from kblampp.encoders.text_encoder import TextEncoder
from kblampp.entity_names import MASK, MAX_MENTIONS
from kblampp.relation_paths import Path, RelationPaths

MAX_READINGS = 4
"""Of one question."""
MAX_BEFORE, MAX_AFTER = 7, 3
"""Words of a phrase before and after the name."""
NUM_FITS = 4
"""Numbers of how well a path fits: the mean of both parts' cosines; the lesser; how near a phrase alone is to
the path, since what a phrase says is the way to the answer; and by how much another of all relations is
nearer than its last: where an entity lacks what is asked, one that it has not."""
MAX_KEPT = 50_000
"""Texts whose vectors are kept: 77 MiB at 384 dimensions."""
_ENDING = re.compile(r"(['\u2019]s)?[?.,;:!]*$")


def phrases_of(masked: str) -> list[tuple[str, str]]:
    """Runs of two and more words around a `MASK`, each with the text that has `MASK` for it; of the first
    MAX_MENTIONS of them.

    What ends the last word, a possessive or a mark, stays in the text: the phrase 'X's mentor' of 'Where is
    X's mentor's town?' leaves 'Where is X's town?'.
    """
    words = masked.split()
    found: dict[tuple[str, str], None] = {}
    # A question of a thousand names has no more phrases than one of a few.
    places = [place for place, word in enumerate(words) if _bare(word) == MASK][:MAX_MENTIONS]
    for place in places:
        for start in range(max(0, place - MAX_BEFORE), place + 1):
            for end in range(place + 1, min(len(words), place + MAX_AFTER + 1) + 1):
                if 2 <= end - start <= len(words) - 2:
                    last = words[end - 1]
                    ending = last[len(_bare(last)) :]
                    phrase = " ".join([*words[start : end - 1], _bare(last)])
                    found[phrase, " ".join([*words[:start], MASK + ending, *words[end:]])] = None
    return list(found)


def _bare(word: str) -> str:
    return _ENDING.sub("", word)


class QuestionReader:
    """Takes masked questions apart and encodes the parts.

    No part has a name in it, so that one vector serves every question that has the part.

    Args:
        encoder: of keys and questions.
        relations: vectors of a store's relations, float [num_relations, d]: the phrases that are nearest to
            one of them are the readings.
    """

    def __init__(self, encoder: TextEncoder, relations: np.ndarray) -> None:
        self._encoder = encoder
        self._relations = np.asarray(relations, dtype=np.float32)
        self._kept: dict[tuple[str, bool], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, masked: Sequence[str]) -> np.ndarray:
        """The readings of questions, the likeliest first.

        Args:
            masked: B questions with `MASK` for each name.

        Returns:
            Vectors of phrase and rest, float16 [B, MAX_READINGS, 2, d]; 0 where there are fewer readings.
        """
        phrases = {text: phrases_of(text) for text in dict.fromkeys(masked)}
        self._encode((phrase for some in phrases.values() for phrase, _ in some), is_query=False)
        readings = {text: self._likeliest(some) for text, some in phrases.items()}
        self._encode((rest for some in readings.values() for _, rest in some), is_query=True)
        d = self._relations.shape[1]
        vectors = np.zeros((len(masked), MAX_READINGS, 2, d), dtype=np.float16)
        for number, text in enumerate(masked):
            for place, (phrase, rest) in enumerate(readings[text]):
                vectors[number, place] = self._kept[phrase, False], self._kept[rest, True]
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]  # the oldest
        return vectors

    def _likeliest(self, phrases: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        if not phrases:
            return []
        vectors = np.stack([self._kept[phrase, False] for phrase, _ in phrases])
        nearness = (vectors @ self._relations.T).max(-1)
        return [phrases[place] for place in np.argsort(-nearness, kind="stable")[:MAX_READINGS]]

    def _encode(self, texts: Iterable[str], *, is_query: bool) -> None:
        new = [text for text in dict.fromkeys(texts) if (text, is_query) not in self._kept]
        vectors = self._encoder.encode(new, as_queries=is_query, normalise=True)
        self._kept.update(((text, is_query), vector) for text, vector in zip(new, vectors, strict=True))


def fits_of(
    whole: np.ndarray, readings: np.ndarray, paths: Sequence[Path], relations: RelationPaths
) -> np.ndarray:
    """How well relation paths say what one question asks.

    A path of one relation is compared with the whole question, a longer one by its best reading: its first
    relation with the phrase, the others with the rest, which counts as often as there are of them.

    Args:
        whole: the question's vector without names, float32 [d], of length 1.
        readings: of `QuestionReader.read`, [MAX_READINGS, 2, d].
        paths: n of them.
        relations: encodes paths.

    Returns:
        float32 [n, NUM_FITS].
    """
    if not paths:
        return np.zeros((0, NUM_FITS), dtype=np.float32)
    fits = np.repeat((relations.vectors(paths) @ whole)[:, None], NUM_FITS, 1)
    readings = readings[readings.any((-1, -2))].astype(np.float32)
    fits[:, 2] = _cosines(readings[:, 0], paths, relations).max(0, initial=0.0)
    last = [path[-1] for path in paths]
    every = relations.relations
    to_whole = every @ whole
    fits[:, 3] = to_whole[last] - to_whole.max()
    longer = [number for number, path in enumerate(paths) if len(path) > 1]
    if not longer or not len(readings):
        return fits
    first = _cosines(readings[:, 0], [paths[number][:1] for number in longer], relations)
    others = _cosines(readings[:, 1], [paths[number][1:] for number in longer], relations)
    lengths = np.array([len(paths[number]) for number in longer])
    means = (first + (lengths - 1) * others) / lengths
    best = means.argmax(0), np.arange(len(longer))
    fits[longer, :2] = np.stack([means[best], np.minimum(first, others)[best]], -1)
    to_rests = readings[:, 1] @ every.T
    lasts = np.array(last)[longer]
    fits[longer, 3] = to_rests[best[0], lasts] - to_rests.max(-1)[best[0]]
    return fits


def _cosines(vectors: np.ndarray, paths: Sequence[Path], relations: RelationPaths) -> np.ndarray:
    """float32 [len(vectors), len(paths)]; each different path is compared once."""
    number = {path: place for place, path in enumerate(dict.fromkeys(paths))}
    cosines = vectors @ relations.vectors(list(number)).T
    return cosines[:, [number[path] for path in paths]]
