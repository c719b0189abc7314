"""The whole comparison on the test split: the trained head, the closed forms and the controls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from kblampp.align.closed_form import CLOSED_FORMS, constant_mean, random_projection, unit
from kblampp.align.dataset import Sentence, of_split
from kblampp.align.heads import AlignmentHead
from kblampp.align.metrics import closeness, ranks, retrieval, shared_top
from kblampp.align.vectors import Vectors

NUM_DISTRACTORS = (100, 1_000, 10_000)


@dataclass(frozen=True)
class Row:
    """One way to map, or a control: its figures, and the seconds to fit it on this machine."""

    name: str
    fit_s: float
    figures: Mapping[str, float]


def evaluate(
    head: AlignmentHead,
    sentences: Sequence[Sentence],
    student: Vectors,
    teacher: Vectors,
    distractors: Sequence[str],
    learned: Sequence[str],
    seed: int = 0,
) -> list[Row]:
    """Rows for the teacher itself, the raw student, the head, the closed forms and the controls.

    Queries are the paraphrases of the test sentences; the index holds the test sentences, their hard
    negatives and the distractors, all by the teacher but for the raw student, which searches its own index.

    Args:
        head: the trained one.
        sentences: the data set; its test split is compared on.
        student: vectors of all its texts, and of the distractors.
        teacher: the same, by the teacher.
        distractors: texts that are in no sentence of the data set.
        learned: the texts that the head learned from; the closed forms learn from them too.
        seed: of the controls.
    """
    x, y = student.of(learned), teacher.of(learned)
    trial = _Trial(of_split(sentences, "test"), student, teacher, distractors, unit(y).mean(axis=0), seed)
    rows = [Row("teacher", 0.0, trial.found_by_teacher()), Row("student, raw", 0.0, trial.found_raw())]
    rows.append(Row(f"{head.kind} head", 0.0, trial.figures(head)))
    for name, fit in CLOSED_FORMS.items():
        started = time.perf_counter()
        fitted = fit(x, y)
        rows.append(Row(name, time.perf_counter() - started, trial.figures(fitted)))
    rows.append(Row("control: constant mean", 0.0, trial.figures(constant_mean(x.shape[1], y))))
    projection = random_projection(x.shape[1], y.shape[1], seed)
    rows.append(Row("control: random projection", 0.0, trial.figures(projection)))
    return rows


class _Trial:
    def __init__(
        self,
        test: Sequence[Sentence],
        student: Vectors,
        teacher: Vectors,
        distractors: Sequence[str],
        teacher_mean: np.ndarray,
        seed: int,
    ) -> None:
        self._student, self._teacher = student, teacher
        self._mean, self._seed = teacher_mean, seed
        self._texts = [one.text for one in test]
        self._queries = [text for one in test for text in one.paraphrases]
        self._own = [number for number, one in enumerate(test) for _ in one.paraphrases]
        negatives = dict.fromkeys(text for one in test for text in one.hard_negatives)
        held = set(self._texts) | set(negatives)
        others = [text for text in dict.fromkeys(distractors) if text not in held]
        self._fixed = [*self._texts, *(text for text in negatives if text not in set(self._texts))]
        self._sizes = [number for number in NUM_DISTRACTORS if number <= len(others)] or [len(others)]
        self._index = [*self._fixed, *others[: self._sizes[-1]]]
        self._teacher_index = unit(teacher.of(self._index))

    def figures(self, head: AlignmentHead) -> dict[str, float]:
        mapped = head.apply_to(self._student.of(self._texts))
        near = closeness(mapped, self._teacher.of(self._texts), self._mean, self._seed)
        queries = head.apply_to(self._student.of(self._queries))
        shared = shared_top(queries, self._teacher.of(self._queries), self._teacher_index)
        return {**asdict(near), **self._found(queries, self._teacher_index), "top 10 shared": shared}

    def found_by_teacher(self) -> dict[str, float]:
        return self._found(self._teacher.of(self._queries), self._teacher_index)

    def found_raw(self) -> dict[str, float]:
        """The student in its own space; its cosine with the teacher has the shorter vectors filled up."""
        one, other = self._student.of(self._texts), self._teacher.of(self._texts)
        width = max(one.shape[1], other.shape[1])
        a, b, mean = (_filled(rows, width) for rows in (one, other, self._mean[None]))
        near = closeness(a, b, mean[0], self._seed)
        own_index = self._student.of(self._index)
        return {**asdict(near), **self._found(self._student.of(self._queries), own_index)}

    def _found(self, queries: np.ndarray, index: np.ndarray) -> dict[str, float]:
        figures = {}
        for number in self._sizes:
            found = ranks(queries, index[: len(self._fixed) + number], self._own)
            figures.update({f"{name} of {number}": value for name, value in retrieval(found).items()})
        return figures


def _filled(rows: np.ndarray, width: int) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))
