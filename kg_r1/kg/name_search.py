"""Entities of a graph by roughly their name: exact, then by prefix, then by words, then by similarity.

In: the names and labels of a graph's entities. Out: entity indices, best first, ties in the order of labels.
Similarity is RapidFuzz's; why it and not a full-text index, with figures: docs/more_actions.md.
"""

from __future__ import annotations

import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kg_r1.kg.errors import KGError
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.per_graph import PerGraph

MAX_QUERY_CHARS = 200
MAX_NAMES = 2_000_000
"""Names in one index, which takes about 300 bytes for each."""
MAX_PREFIX_HITS = 5_000
"""Names that are looked at for one prefix, in the order of the alphabet."""
MAX_POSTINGS = 20_000
"""Names that are looked at for the rarest word of a query."""
MAX_SCANNED = 500_000
"""Names that one query is compared with: those nearest to it in length."""
MAX_SIMILAR = 200
"""Similar names that are ranked, of each of the two comparisons."""
MIN_SIMILARITY = 60.0
"""Least similarity, of 100: two names of six letters that share fewer than four in order are not alike."""
OTHER_ORDER = 0.95
"""What similarity counts for where only another order of the words brings it about."""

# Letters that Unicode does not decompose into a plain one and a mark.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe"})


class TooManyNames(KGError):
    """The graph is too large for its names to be searched."""

    code = "too_many_names"


class NameSearch:
    """An index of names. Immutable, and safe to search from many threads.

    Args:
        names: [num_entities] the entities' names; several may share one.
        labels: [num_entities] what is shown for each, no two alike; ties are broken by them.
    """

    def __init__(self, names: Sequence[str], labels: Sequence[str]) -> None:
        order = sorted(range(len(names)), key=lambda one: (len(key_of(names[one])), labels[one]))
        # Everything below is by place in this order, so that names of about one length lie side by side.
        self._entities = array("q", order)
        self._labels = [labels[entity] for entity in order]
        self._keys = [key_of(names[entity]) for entity in order]
        # Kept apart from the keys only where it differs: most names are one word, or sorted already.
        self._sorted_keys = [_same_object(key, _words_sorted(key)) for key in self._keys]
        self._alphabetic = array("q", sorted(range(len(order)), key=self._keys.__getitem__))
        self._postings: dict[str, array[int]] = {}
        for place, key in enumerate(self._keys):
            for word in sorted(set(key.split())):
                self._postings.setdefault(word, array("q")).append(place)

    @classmethod
    def of(cls, graph: KnowledgeGraph) -> NameSearch:
        """The index of a graph's entities.

        Raises:
            TooManyNames: the graph has more than `MAX_NAMES` of them.
            DataError: the graph cannot be read.
        """
        num_entities = graph.num_entities
        if num_entities > MAX_NAMES:
            raise TooManyNames(
                f"the graph has {num_entities} entities, and names are searched in up to {MAX_NAMES}",
                "Give a name exactly as the graph spells it",
            )
        # Labels come all at once; a graph behind an endpoint would be asked for each name by itself.
        labels = graph.labels(range(num_entities))
        return cls([_name_in(label, graph.entity_id(one)) for one, label in enumerate(labels)], labels)

    def search(self, query: str, max_results: int) -> list[int]:
        """The entities whose names are most like `query`, as indices, best first; [] where none is like it.

        In this order: names that are the same but for case, accents and punctuation; the same words in
        another order; names that start with the query, the shortest first; names that have all of its words,
        the shortest first; names spelt alike, by similarity. Ties are in the order of labels.
        """
        key = key_of(query[:MAX_QUERY_CHARS])
        found: dict[int, None] = {}
        for stage in (self._equal, self._starting, self._with_words, self._similar):
            if len(found) >= max_results:
                break
            found.update(dict.fromkeys(stage(key)))
        return [self._entities[place] for place in list(found)[:max_results]]

    def num_bytes(self) -> int:
        """Bytes of what the index itself holds; labels, which it shares with the graph, are not counted."""
        from sys import getsizeof

        own_sorted = [one for one, key in zip(self._sorted_keys, self._keys, strict=True) if one is not key]
        parts: Iterable[Any] = (
            self._entities,
            self._labels,
            self._keys,
            *self._keys,
            self._sorted_keys,
            *own_sorted,
            self._alphabetic,
            self._postings,
            *self._postings,
            *self._postings.values(),
        )
        return sum(map(getsizeof, parts))

    def _equal(self, key: str) -> list[int]:
        same = [place for place in self._from(key) if self._keys[place] == key]
        words = _words_sorted(key)
        first, last = self._of_length(len(key), len(key))
        holders = self._rarest(words.split())
        moved = [place for place in holders if first <= place < last and self._sorted_keys[place] == words]
        return [*self._by_label(same), *self._by_label(moved)]

    def _starting(self, key: str) -> list[int]:
        if not key:
            return []
        # Places are by length and then by label.
        return sorted(place for place in self._from(key) if self._keys[place].startswith(key))

    def _with_words(self, key: str) -> list[int]:
        words = set(key.split())
        return [place for place in self._rarest(words) if words <= set(self._keys[place].split())]

    def _similar(self, key: str) -> list[int]:
        if not key:
            return []
        from rapidfuzz import fuzz, process

        # The ratio is twice the letters in common over all letters, so a name outside these lengths fails.
        reach = (200 - MIN_SIMILARITY) / MIN_SIMILARITY
        first, last = self._nearest_in_length(
            len(key), self._of_length(int(len(key) / reach), int(len(key) * reach) + 1)
        )
        scores: dict[int, float] = {}
        for asked, keys, weight in (
            (key, self._keys, 1.0),
            (_words_sorted(key), self._sorted_keys, OTHER_ORDER),
        ):
            hits = process.extract(
                asked,
                keys[first:last],
                scorer=fuzz.ratio,
                processor=None,
                limit=MAX_SIMILAR,
                score_cutoff=MIN_SIMILARITY,
            )
            for _, score, offset in hits:
                place = first + offset
                scores[place] = max(scores.get(place, 0.0), weight * score)
        return sorted(scores, key=lambda place: (-scores[place], self._labels[place]))

    def _from(self, key: str) -> list[int]:
        """Places of the names that start with `key`, at most `MAX_PREFIX_HITS`, in the alphabet's order."""
        first = bisect_left(self._alphabetic, key, key=self._keys.__getitem__)
        last = bisect_right(self._alphabetic, key, lo=first, key=lambda place: self._keys[place][: len(key)])
        return list(self._alphabetic[first : min(last, first + MAX_PREFIX_HITS)])

    def _rarest(self, words: Iterable[str]) -> Sequence[int]:
        """Places of the names with the word that the fewest have; [] where no name has some word."""
        postings = [self._postings.get(word, array("q")) for word in words]
        return min(postings, key=len)[:MAX_POSTINGS] if postings else []

    def _of_length(self, least: int, most: int) -> tuple[int, int]:
        """The first place, and the one behind the last, of keys of `least` to `most` characters."""
        return bisect_left(self._keys, least, key=len), bisect_right(self._keys, most, key=len)

    def _nearest_in_length(self, length: int, span: tuple[int, int]) -> tuple[int, int]:
        first, last = span
        if last - first <= MAX_SCANNED:
            return span
        middle = bisect_left(self._keys, length, first, last, key=len)
        start = min(max(first, middle - MAX_SCANNED // 2), last - MAX_SCANNED)
        return start, start + MAX_SCANNED

    def _by_label(self, places: list[int]) -> list[int]:
        return sorted(places, key=self._labels.__getitem__)


name_search_of: Callable[[KnowledgeGraph], NameSearch] = PerGraph(NameSearch.of).of
"""The index of a graph, built when it is first asked for and dropped with the graph."""


def key_of(text: str) -> str:
    """`text` for comparison: case, accents, punctuation and white space set aside.

    A text of nothing but punctuation keeps it, so that a name such as '!!!' can be found.
    """
    # Taken apart twice: some letters have a small form only once they are plain, and fall apart only then.
    small = unicodedata.normalize("NFKD", text).casefold()
    folded = unicodedata.normalize("NFKD", small).translate(_PLAIN)
    plain = "".join(character for character in folded if not unicodedata.combining(character))
    words = "".join(character if character.isalnum() else " " for character in plain).split()
    return " ".join(words or plain.split())


def _name_in(label: str, entity_id: str) -> str:
    """The name that a label shows, without the id that tells it from others of the name."""
    mark = f" [{entity_id}]"
    while label.endswith(mark) and label != mark:
        label = label.removesuffix(mark)
    return label


def _words_sorted(key: str) -> str:
    return " ".join(sorted(key.split()))


def _same_object(key: str, other: str) -> str:
    return key if key == other else other
