"""Which facts are looked at for a question: the nearest of the index, and those that they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from kblampp.kb_store import NO_ENTITY, KBStore
from kblampp.knowledge_index import KnowledgeIndex

MAX_PARENTS = 8
"""Facts of a step whose tails are followed."""
MAX_CHILDREN = 32
"""Facts that one step adds."""


@dataclass(frozen=True)
class Candidates:
    """Rows of facts for B questions, padded to C."""

    rows: np.ndarray  # int64 [B, C]; padding repeats a row
    is_real: np.ndarray  # bool [B, C]
    depth: np.ndarray  # int64 [B, C]: 0 from the index, n after n steps


def find_candidates(
    store: KBStore,
    index: KnowledgeIndex,
    queries: np.ndarray,
    num_candidates: int,
    num_hops: int,
    must_have: Sequence[Sequence[int]] | None = None,
    without: Sequence[Sequence[int]] | None = None,
) -> Candidates:
    """The candidates of each question.

    Args:
        store: the facts.
        index: over their keys.
        queries: float32 [B, d], of length 1.
        num_candidates: how many the index gives.
        num_hops: a question may take that many facts, so tails are followed one step fewer.
        must_have: rows that each question must have among them, for training; put in where they are missing.
        without: rows that each question must not have; what only they lead to is not found either.
    """
    num_more = max(map(len, without), default=0) if without else 0
    _, nearest = index.search(queries, num_candidates + num_more)
    chosen = []
    for number, query in enumerate(queries):
        gone = set(without[number]) if without else set()
        found = [row for row in nearest[number].tolist() if row not in gone]
        rows = dict.fromkeys(found[:num_candidates], 0)
        frontier = list(rows)[:MAX_PARENTS]
        for depth in range(1, num_hops):
            new = _children(store, query, frontier, gone.union(rows))
            rows.update(dict.fromkeys(new, depth))
            frontier = new[:MAX_PARENTS]
        for row in must_have[number] if must_have else ():
            if row not in gone:
                rows.setdefault(row, 0)
        chosen.append(rows)
    return _padded(chosen)


def _children(
    store: KBStore, query: np.ndarray, parents: Sequence[int], known: AbstractSet[int]
) -> list[int]:
    """Facts about the tails of `parents`, nearest to the query first, without those that are known."""
    if not parents:
        return []
    tails = np.unique(store.array("entities")[np.asarray(parents)][:, 1])
    found = [store.with_head(int(tail)) for tail in tails if tail != NO_ENTITY]
    rows = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    rows = np.array([row for row in rows.tolist() if row not in known], dtype=np.int64)
    if not len(rows):
        return []
    scores = store.array("K")[rows].astype(np.float32) @ query
    best: list[int] = rows[np.argsort(-scores, kind="stable")[:MAX_CHILDREN]].tolist()
    return best


def _padded(chosen: Sequence[dict[int, int]]) -> Candidates:
    width = max([1, *(len(rows) for rows in chosen)])
    shape = (len(chosen), width)
    rows = np.zeros(shape, dtype=np.int64)
    depth = np.zeros(shape, dtype=np.int64)
    is_real = np.zeros(shape, dtype=bool)
    for number, found in enumerate(chosen):
        rows[number, : len(found)] = list(found)
        rows[number, len(found) :] = next(iter(found), 0)
        depth[number, : len(found)] = list(found.values())
        is_real[number, : len(found)] = True
    return Candidates(rows, is_real, depth)
