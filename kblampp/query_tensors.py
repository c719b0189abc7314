"""Questions as the selector reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kblampp.encoders.text_encoder import TextEncoder
from kblampp.entity_names import MAX_MENTIONS, EntityNames
from kblampp.kb_store import NO_ENTITY
from kblampp.name_words import hashed_words
from kblampp.readings import QuestionReader
from kblampp.time_features import as_days
from kblampp.time_window import TimeWindow


@dataclass(frozen=True)
class QueryTensors:
    """B questions, encoded."""

    vectors: Tensor  # float32 [B, d], of length 1
    masked: Tensor  # float32 [B, d], of length 1: without the names of the entities
    readings: Tensor  # float16 [B, MAX_READINGS, 2, d]: taken apart; of length 1, or 0 where there are fewer
    asked: Tensor  # int64 [B, 2]: the time that each asks about, in days
    words: Tensor  # int64 [B, W]: their words as numbers
    entities: Tensor  # int64 [B, MAX_MENTIONS]: those that each names; NO_ENTITY where there are fewer

    def __len__(self) -> int:
        return len(self.vectors)

    def pick(self, numbers: Sequence[int]) -> QueryTensors:
        """Some of the questions."""
        return QueryTensors(*(getattr(self, name)[list(numbers)] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, some: Sequence[QueryTensors]) -> QueryTensors:
        """All questions of several; their words are as wide as one another's."""
        return cls(*(torch.cat([getattr(it, name) for it in some]) for name in cls.__dataclass_fields__))

    def to(self, device: torch.device | str) -> QueryTensors:
        """The same on a device."""
        return QueryTensors(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def encode_queries(
    questions: Sequence[str],
    times: Sequence[TimeWindow],
    encoder: TextEncoder,
    names: EntityNames,
    reader: QuestionReader,
    *,
    show_progress: bool = False,
) -> QueryTensors:
    """Questions, each with the time that it asks about, as tensors.

    Args:
        questions: B of them.
        times: B windows.
        encoder: of the store's keys.
        names: of the store's entities, to see which a question names.
        reader: takes them apart.
    """
    linked = [names.link(question) for question in questions]
    texts = [*questions, *(it.masked for it in linked)]
    vectors = encoder.encode(texts, as_queries=True, normalise=True, show_progress=show_progress)
    whole, masked = torch.from_numpy(vectors).split(len(questions))
    entities = np.full((len(questions), MAX_MENTIONS), NO_ENTITY, dtype=np.int64)
    for row, it in zip(entities, linked, strict=True):
        row[: len(it.entities)] = it.entities
    return QueryTensors(
        vectors=whole,
        masked=masked,
        readings=torch.from_numpy(reader.read([it.masked for it in linked])),
        asked=torch.from_numpy(as_days(times)).long(),
        words=torch.from_numpy(hashed_words(questions, None)).long(),
        entities=torch.from_numpy(entities),
    )
