"""The candidates of a batch of questions, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kblampp.kb_store import FactTensors

NO_ROW = -1


@dataclass(frozen=True)
class Retrieved:
    """C candidates of each of B questions."""

    facts: FactTensors
    depth: Tensor  # int64 [B, C]: how many tails were followed
    is_real: Tensor  # bool [B, C]
    ways: Tensor  # int64 [B, C, num_hops]: rows from the named entity's fact to it; NO_ROW behind it
    root_words: Tensor  # int64 [B, C, MAX_WORDS]: the name of the entity that each was reached from
    paths: Tensor  # float32 [B, C, NUM_VIEWS, d], of length 1: the relations from there to it
    fits: Tensor  # float32 [B, C, readings.NUM_FITS]: how well they say what is asked, part by part

    def is_among(self, wanted: Sequence[Sequence[int]]) -> Tensor:
        """bool [B, C]: the candidate's row is one of those wanted for its question."""
        rows = self.facts.rows
        marks = torch.zeros_like(self.is_real)
        for number, some in enumerate(wanted):
            for row in some:
                marks[number] |= rows[number] == row
        return marks & self.is_real
