"""Candidates as tensors, for one batch of questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kblampp.candidates import find_candidates
from kblampp.kb_store import FactTensors, KBStore
from kblampp.knowledge_index import KnowledgeIndex
from kblampp.selector import KBSelector, QueryTensors, Selection


@dataclass(frozen=True)
class Retrieved:
    """C candidates of each of B questions."""

    facts: FactTensors
    depth: Tensor  # int64 [B, C]
    is_real: Tensor  # bool [B, C]

    def is_among(self, wanted: Sequence[Sequence[int]]) -> Tensor:
        """bool [B, C]: the candidate's row is one of those wanted for its question."""
        rows = self.facts.rows
        marks = torch.zeros_like(self.is_real)
        for number, some in enumerate(wanted):
            for row in some:
                marks[number] |= rows[number] == row
        return marks & self.is_real


class Retriever:
    """Looks facts up for questions.

    Args:
        store: the facts.
        index: over their keys.
        num_candidates: how many the index gives.
        num_hops: how many facts a question may take.
    """

    def __init__(self, store: KBStore, index: KnowledgeIndex, *, num_candidates: int, num_hops: int) -> None:
        self.store = store
        self.index = index
        self.num_candidates = num_candidates
        self.num_hops = num_hops

    def retrieve(
        self,
        selector: KBSelector,
        vectors: Tensor,
        must_have: Sequence[Sequence[int]] | None = None,
        without: Sequence[Sequence[int]] | None = None,
    ) -> Retrieved:
        """The candidates of questions.

        Args:
            selector: maps the questions into the space of the keys.
            vectors: float [B, d], of length 1.
            must_have: rows that are among the candidates whatever the index says, for training.
            without: rows that are treated as if the store did not have them.
        """
        with torch.no_grad():
            queries = selector.query_map(vectors).float().cpu().numpy()
        found = find_candidates(
            self.store, self.index, queries, self.num_candidates, self.num_hops, must_have, without
        )
        device = vectors.device
        return Retrieved(
            self.store.take(found.rows, device),
            torch.from_numpy(found.depth).to(device),
            torch.from_numpy(found.is_real).to(device),
        )

    def select(
        self,
        selector: KBSelector,
        query: QueryTensors,
        k: int,
        without: Sequence[Sequence[int]] | None = None,
    ) -> Selection:
        """Retrieves and chooses k facts."""
        found = self.retrieve(selector, query.vectors, without=without)
        selection: Selection = selector(query, found.facts, found.depth, found.is_real, k)
        return selection
