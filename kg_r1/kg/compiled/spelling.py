"""The labels of a mapped graph that are spelt most like a text, for the hint of an unknown name.

The measure is that of `kg_r1.kg.names.NameIndex`: the share of character trigrams in common. A small graph is
read through; a large one has its trigrams in the store. Either way the work of one look-up is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kg_r1.kg.names import MAX_POSTINGS, MAX_QUERY_CHARS, MIN_SIMILARITY, fold, trigrams

if TYPE_CHECKING:
    from kg_r1.kg.compiled.dataset import Trigrams
    from kg_r1.kg.compiled.graph import MappedGraph

MAX_SCANNED = 5_000
"""Entities of a graph that is read through; a larger shared graph has its trigrams compiled."""

CODE_POINT_BITS = 21


def trigram_key(trigram: str) -> int:
    """Three characters as one integer below 2 ** 63."""
    first, second, third = map(ord, trigram)
    return (first << 2 * CODE_POINT_BITS) | (second << CODE_POINT_BITS) | third


class CloseLabels:
    """Look-up of close labels in one graph."""

    def __init__(self, graph: MappedGraph, postings: Trigrams) -> None:
        self.graph = graph
        self.postings = postings

    def find(self, text: str, max_labels: int) -> list[str]:
        """Up to `max_labels` labels, best first; none that is far from `text`."""
        wanted = trigrams(fold(text[:MAX_QUERY_CHARS]))
        # A label that shares fewer cannot reach MIN_SIMILARITY: it has at least the trigrams it shares.
        min_shared = MIN_SIMILARITY * len(wanted) / (2 - MIN_SIMILARITY)
        scored = []
        for label, num_shared in self._sharing(wanted):
            if num_shared >= min_shared:
                num_own = len(trigrams(fold(label)))
                scored.append((-2 * num_shared / (num_own + len(wanted)), label))
        return [label for score, label in sorted(scored)[:max_labels] if -score >= MIN_SIMILARITY]

    def _sharing(self, wanted: set[str]) -> Iterator[tuple[str, int]]:
        """Labels with the number of wanted trigrams that each has."""
        if len(self.postings.keys):
            yield from self._of_postings(wanted)
            return
        nodes = range(min(self.graph.num_entities, 4 * MAX_SCANNED))
        for label in self.graph.labels(nodes):
            padded = f"  {fold(label)} "
            num_shared = sum(trigram in padded for trigram in wanted)
            if num_shared:
                yield label, num_shared

    def _of_postings(self, wanted: set[str]) -> Iterator[tuple[str, int]]:
        num_shared: Counter[int] = Counter()
        num_seen = 0
        # Rare trigrams say the most, and reading them first keeps a look-up bounded in a large graph.
        for nodes in sorted((self._nodes_with(trigram) for trigram in sorted(wanted)), key=len):
            num_seen += len(nodes)
            if num_seen > MAX_POSTINGS and num_shared:
                break
            num_shared.update(nodes[:MAX_POSTINGS])
        enough = MIN_SIMILARITY * len(wanted) / (2 - MIN_SIMILARITY)
        likely = [node for node, shared in num_shared.items() if shared >= enough]
        yield from zip(self.graph.labels(likely), (num_shared[node] for node in likely), strict=True)

    def _nodes_with(self, trigram: str) -> Sequence[int]:
        keys, key = self.postings.keys, trigram_key(trigram)
        place = bisect_left(keys, key)
        if place == len(keys) or keys[place] != key:
            return ()
        start = self.postings.ends[place - 1] if place else 0
        return self.postings.nodes[start : self.postings.ends[place]]
