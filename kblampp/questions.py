"""Questions with their answers and the facts that support them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from kblampp.errors import DataError
from kblampp.records import read_jsonl, refuse_unknown, text_field, write_jsonl
from kblampp.time_window import TIMELESS, TimeWindow

QuestionType = Literal["single-hop", "multi-hop", "temporal", "unanswerable"]
TYPES: tuple[QuestionType, ...] = get_args(QuestionType)
REFUSAL = "I do not know"
"""The answer of an unanswerable question."""
FIELDS = (
    "qid",
    "dataset",
    "question",
    "answer",
    "answers",
    "type",
    "supporting_facts",
    "question_time",
    "tags",
)


@dataclass(frozen=True)
class Question:
    """One question."""

    qid: str
    dataset: str
    question: str
    answer: str
    """What the model is taught to say; `REFUSAL` when the facts do not answer the question."""
    type: QuestionType
    answers: tuple[str, ...] = ()
    """All that count as right; (answer,) when nothing else is given."""
    supporting_facts: tuple[str, ...] = ()
    """Ids of the facts that it takes, in the order of the hops; () when unanswerable."""
    question_time: TimeWindow = TIMELESS
    """What time it asks about; timeless when it names none."""
    tags: tuple[str, ...] = ()
    """Groups that a report tells apart, such as 'unseen-head' or 'unseen-relation'."""

    def __post_init__(self) -> None:
        if not self.answers:
            object.__setattr__(self, "answers", (self.answer,))
        if (self.type == "unanswerable") != (self.answer == REFUSAL):
            raise DataError(f"{self.qid}: an unanswerable question, and no other, is answered {REFUSAL!r}")
        if self.type != "unanswerable" and self.answer not in self.answers:
            raise DataError(f"{self.qid}: the answer {self.answer!r} is not among the answers")

    @property
    def num_hops(self) -> int:
        """How many facts it takes; 0 when unanswerable."""
        return len(self.supporting_facts)

    def to_json(self) -> dict[str, Any]:
        """One line of the file."""
        record = {name: getattr(self, name) for name in FIELDS}
        lists = {name: list(record[name]) for name in ("answers", "supporting_facts", "tags")}
        return record | lists | {"question_time": self.question_time.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Question:
        """What `to_json` made; only qid, question, answer and type must be there. Raises DataError."""
        refuse_unknown(record, FIELDS)
        kind = text_field(record, "type")
        if kind not in TYPES:
            raise DataError(f"there is no type {kind!r} of questions; there are {', '.join(TYPES)}")
        return cls(
            qid=text_field(record, "qid"),
            dataset=text_field(record, "dataset", default=""),
            question=text_field(record, "question"),
            answer=text_field(record, "answer"),
            type=kind,
            question_time=TimeWindow.from_json(record.get("question_time")),
            **{name: _texts(record, name) for name in ("answers", "supporting_facts", "tags")},
        )


def _texts(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = record.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise DataError(f"{name!r} must be a list of texts, not {value!r}")
    return tuple(value)


def read_questions(path: Path, fact_ids: Collection[str] | None = None) -> list[Question]:
    """The questions of a JSONL file.

    Args:
        path: the file.
        fact_ids: the ids of the facts that are there; None does not look whether supporting facts exist.

    Raises:
        DataError: it cannot be read, a line is malformed, two questions have one qid, one is supported by a
            fact that is not there, or there is no question at all.
    """
    questions = list(read_jsonl(path, Question.from_json, "python -m kblampp.offline.run_pipeline makes it"))
    if not questions:
        raise DataError(f"{path}: has no questions")
    qid, number = Counter(question.qid for question in questions).most_common(1)[0]
    if number > 1:
        raise DataError(f"{path}: {number} questions have the qid {qid!r}; qids must differ")
    if fact_ids is not None:
        for question in questions:
            for fact_id in question.supporting_facts:
                if fact_id not in fact_ids:
                    raise DataError(
                        f"{path}: {question.qid} is supported by {fact_id!r}, and no fact has that id; "
                        "make facts and questions together"
                    )
    return questions


def write_questions(path: Path, questions: Iterable[Question]) -> int:
    """Writes the questions as JSONL, whole or not at all; returns how many there are."""
    return write_jsonl(path, (question.to_json() for question in questions))
