"""Questions as tensors: encoded once, padded to the left so that answers end together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from kblampp.answer_format import AnswerFormat
from kblampp.answering import left_padded
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.entity_names import EntityNames
from kblampp.errors import DataError
from kblampp.kb_store import KBStore
from kblampp.query_tensors import QueryTensors, encode_queries
from kblampp.questions import Question
from kblampp.readings import QuestionReader


@dataclass(frozen=True)
class Example:
    """A question ready to be trained on."""

    prompt_ids: list[int]
    answer_ids: list[int]
    """With the token that ends the answer."""
    query: QueryTensors
    """Of this question alone."""
    gold_rows: tuple[int, ...]
    """Rows of the supporting facts in the order of the hops; () when unanswerable."""
    is_unanswerable: bool
    number: int
    """In its data set."""


class QuestionDataset(Dataset[Example]):
    """Examples of questions.

    Args:
        questions: with supporting facts of the store.
        max_seq_len: tokens of prompt and answer; a longer question is left out and counted.

    Raises:
        DataError: a supporting fact is not in the store, or no question is left.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        store: KBStore,
        names: EntityNames,
        reader: QuestionReader,
        encoder: TextEncoder,
        answers: AnswerFormat,
        max_seq_len: int,
        *,
        show_progress: bool = True,
    ) -> None:
        encoded = encode_queries(
            [question.question for question in questions],
            [question.question_time for question in questions],
            encoder,
            names,
            reader,
            show_progress=show_progress,
        )
        made = [
            self._example(question, store, answers, encoded.pick([number]))
            for number, question in enumerate(questions)
        ]
        fitting = [it for it in made if len(it.prompt_ids) + len(it.answer_ids) <= max_seq_len]
        self.examples = [replace(it, number=number) for number, it in enumerate(fitting)]
        self.num_left_out = len(made) - len(self.examples)
        if not self.examples:
            raise DataError(f"no question fits into max_seq_len {max_seq_len}; raise it")

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> Example:
        return self.examples[number]

    @staticmethod
    def _example(
        question: Question,
        store: KBStore,
        answers: AnswerFormat,
        query: QueryTensors,
    ) -> Example:
        missing = [fact for fact in question.supporting_facts if fact not in store.row_of]
        if missing:
            raise DataError(
                f"{question.qid} is supported by {missing[0]!r}, which {store.folder} does not hold; "
                "make facts, questions and store together"
            )
        return Example(
            prompt_ids=answers.encode(answers.prompt(question.question)),
            answer_ids=[*answers.answer_ids(question.answer), answers.end_id],
            query=query,
            gold_rows=tuple(store.row_of[fact] for fact in question.supporting_facts),
            is_unanswerable=question.type == "unanswerable",
            number=-1,
        )


@dataclass(frozen=True)
class Batch:
    """B examples."""

    inputs: dict[str, Tensor]  # input_ids and attention_mask, int64 [B, T]
    targets: Tensor  # int64 [B, A]: the answers, right-aligned
    is_target: Tensor  # bool [B, A]
    query: QueryTensors
    gold_rows: list[tuple[int, ...]]
    is_unanswerable: Tensor  # bool [B]
    numbers: list[int]
    """Of the examples in their data set."""


class Collator:
    """Makes a `Batch` of examples, as the one entry 'batch' that the Trainer hands on."""

    def __init__(self, pad_id: int, device: str) -> None:
        self.pad_id = pad_id
        self.device = device

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        longest = max(len(example.answer_ids) for example in examples)
        padded = [
            [self.pad_id] * (longest - len(example.answer_ids)) + example.answer_ids for example in examples
        ]
        is_target = [
            [place >= longest - len(example.answer_ids) for place in range(longest)] for example in examples
        ]
        tokens = [example.prompt_ids + example.answer_ids for example in examples]
        return {
            "batch": Batch(
                inputs=left_padded(tokens, self.pad_id, self.device),
                targets=torch.tensor(padded, device=self.device),
                is_target=torch.tensor(is_target, device=self.device),
                query=QueryTensors.joined([example.query for example in examples]).to(self.device),
                gold_rows=[example.gold_rows for example in examples],
                is_unanswerable=torch.tensor([it.is_unanswerable for it in examples], device=self.device),
                numbers=[it.number for it in examples],
            )
        }
