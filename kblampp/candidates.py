"""Which facts are looked at for a question: those of the entities it names, the nearest of the index, and
those that they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kblampp.kb_store import NO_ENTITY, KBStore
from kblampp.knowledge_index import KnowledgeIndex
from kblampp.readings import fits_of
from kblampp.relation_paths import Path, RelationPaths

MAX_OF_ENTITY = 64
"""Facts about one named entity."""
MAX_PARENTS = 12
"""Facts of a step whose tails are followed."""
MAX_CHILDREN = 48
"""Facts that one step adds."""


@dataclass(frozen=True)
class Found:
    """How a fact was come by."""

    rows: tuple[int, ...]
    """From the fact about the question's entity to itself, each fact about the tail of the one before."""
    path: Path
    """Their relations."""

    @property
    def depth(self) -> int:
        """How many tails were followed."""
        return len(self.rows) - 1


_NO_WAY = Found((), ())


@dataclass(frozen=True)
class Asked:
    """What is looked for, of one question."""

    query: np.ndarray  # float32 [d], of length 1: among the keys
    path_query: np.ndarray  # float32 [d], of length 1: among relation paths
    masked: np.ndarray  # float32 [d], of length 1: the question without names, as it is
    readings: np.ndarray | None = None  # float16 [MAX_READINGS, 2, d]: the question taken apart
    entities: tuple[int, ...] = ()
    """That it names."""
    must_have: tuple[int, ...] = ()
    """Rows that must be found, a chain in its order, for training; added where they are missing."""
    without: frozenset[int] = frozenset()
    """Rows that must not be found; nor is what only they lead to."""


class CandidateFinder:
    """Looks for the candidates of questions.

    Args:
        store: the facts.
        index: over their keys.
        paths: vectors of their relations, one after the other.
        num_candidates: how many the index gives.
        num_hops: a question may take that many facts, so tails are followed one step fewer.
    """

    def __init__(
        self,
        store: KBStore,
        index: KnowledgeIndex,
        paths: RelationPaths,
        *,
        num_candidates: int,
        num_hops: int,
    ) -> None:
        self.store = store
        self.index = index
        self.paths = paths
        self.num_candidates = num_candidates
        self.num_hops = num_hops

    def find(self, questions: Sequence[Asked]) -> list[dict[int, Found]]:
        """The candidates of each question by row, those of the entities it names first."""
        if not questions:
            return []
        num_more = max(len(asked.without) for asked in questions)
        queries = np.stack([asked.query for asked in questions])
        _, nearest = self.index.search(queries, self.num_candidates + num_more)
        return [self._of(asked, near.tolist()) for asked, near in zip(questions, nearest, strict=True)]

    def _of(self, asked: Asked, nearest: list[int]) -> dict[int, Found]:
        near = [row for row in nearest if row not in asked.without][: self.num_candidates]
        by_key = {row: Found((row,), self._path(row)) for row in near}
        named = [(entity, _NO_WAY) for entity in asked.entities]
        found = dict(self._best_about(named, asked, asked.without, MAX_OF_ENTITY * len(named))) or by_key
        parents = list(found.items())[:MAX_PARENTS]
        for _ in range(1, self.num_hops):
            tails = [(int(self.store.array("entities")[row, 1]), way) for row, way in parents]
            children = self._best_about(tails, asked, asked.without.union(found), MAX_CHILDREN)
            found = found | dict(children)
            parents = children[:MAX_PARENTS]
        # A fact that a named entity leads to is taken as that, though its key be near as well.
        found = found | {row: it for row, it in by_key.items() if row not in found}
        self._add_chain(found, asked)
        return found

    def _best_about(
        self, entities: Sequence[tuple[int, Found]], asked: Asked, known: frozenset[int], most: int
    ) -> list[tuple[int, Found]]:
        """Facts about entities, each reached over a way, whose paths are nearest to the question, best first.

        A fact of `known` is left out, one that two ways lead to is taken by the first. An entity may have
        very many facts: they are handled as arrays, until the few that are given are chosen.
        """
        some = [self.store.with_head(entity) for entity, _ in entities]
        rows = np.concatenate([*some, np.empty(0, dtype=np.int64)]).astype(np.int64)
        ways = np.repeat(np.arange(len(some)), [len(it) for it in some])
        firsts = np.sort(np.unique(rows, return_index=True)[1])
        firsts = firsts[~np.isin(rows[firsts], list(known))]
        rows, ways = rows[firsts], ways[firsts]
        if not len(rows):
            return []
        num_relations = len(self.store.relation_names)
        pairs = ways * num_relations + self.store.array("relations")[rows]
        different, which = np.unique(pairs, return_inverse=True)
        paths = [
            (*entities[pair // num_relations][1].path, pair % num_relations) for pair in different.tolist()
        ]
        order = np.argsort(-self._nearness(asked, paths)[which], kind="stable")[:most].tolist()
        return [
            (row, Found((*entities[ways[place]][1].rows, row), paths[which[place]]))
            for place, row in zip(order, rows[order].tolist(), strict=True)
        ]

    def _nearness(self, asked: Asked, paths: Sequence[Path]) -> np.ndarray:
        number = {path: place for place, path in enumerate(dict.fromkeys(paths))}
        different = list(number)
        near = self.paths.vectors(different) @ asked.path_query + self.fits(asked, different)[:, 0]
        return near[[number[path] for path in paths]]

    def fits(self, asked: Asked, paths: Sequence[Path]) -> np.ndarray:
        """How well paths say what is asked, float32 [len(paths), NUM_FITS] (`readings.fits_of`)."""
        readings = np.zeros((0, 2, len(asked.masked))) if asked.readings is None else asked.readings
        return fits_of(asked.masked, readings, paths, self.paths)

    def _add_chain(self, found: dict[int, Found], asked: Asked) -> None:
        last: Found | None = None
        tail = NO_ENTITY
        for row in asked.must_have:
            head, next_tail = self.store.array("entities")[row].tolist()
            own = self._path(row)
            leads_here = last is not None and head == tail and len(last.path) < self.num_hops
            through = (
                Found((*last.rows, row), last.path + own)
                if last is not None and leads_here
                else Found((row,), own)
            )
            if row not in asked.without:
                last = found.setdefault(row, through)
            tail = next_tail

    def _path(self, row: int) -> Path:
        return (int(self.store.array("relations")[row]),)
