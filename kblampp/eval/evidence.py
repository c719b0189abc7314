"""What an answer rests on, as a file: chosen facts, gates, paths and Causal-delta of every question."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from kblampp.answering import Answer, Query, QuestionAnswerer
from kblampp.errors import DataError
from kblampp.eval.causal import Causal, causal_deltas
from kblampp.eval.metrics import exact_match
from kblampp.eval.paths import find_paths, path_f1, path_taken
from kblampp.files import write_text
from kblampp.questions import Question

FORMAT = 2
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "qid": str,
    "question": str,
    "type": str,
    "said": str,
    "answers": list,
    "em": (int, float),
    "refusal_alpha": (int, float),
    "betas": dict,
    "facts": list,
    "paths": list,
    "path": list,
    "supporting_facts": list,
    "path_f1": (int, float),
}


def records_of(
    answerer: QuestionAnswerer, questions: Sequence[Question], *, is_causal: bool
) -> Iterator[dict[str, Any]]:
    """One record a question, asked as one batch; fields are those of docs/kblampp_service.md."""
    answers = answerer.answer([Query(it.question, it.question_time) for it in questions])
    for question, answer in zip(questions, answers, strict=True):
        record = answer_record(answer, answerer.config.num_hops)
        causal = _causal(answerer, question, answer) if is_causal else None
        yield _asked(question) | {
            "said": answer.text,
            "em": exact_match(answer.text, question.answers),
            **record,
            "facts": [
                it | {"is_supporting": it["id"] in question.supporting_facts} for it in record["facts"]
            ],
            "path_f1": path_f1(record["path"], question.supporting_facts),
            "causal": causal,
        }


def answer_record(answer: Answer, num_hops: int) -> dict[str, Any]:
    """What the selector chose and how far the gates were open, with the paths over what it chose."""
    paths = find_paths(answer.evidence, num_hops)
    taken = path_taken(answer.evidence, answer.refusal_alpha)
    return {
        "refusal_alpha": answer.refusal_alpha,
        "betas": {str(layer): beta for layer, beta in sorted(answer.betas.items())},
        "facts": [
            {
                "rank": rank,
                "id": it.fact.id,
                "head": it.fact.head,
                "relation": it.fact.relation,
                "tail": it.fact.tail,
                "context": it.fact.context,
                "time_window": it.fact.time_window.to_json(),
                "alpha": it.alpha,
            }
            for rank, it in enumerate(answer.evidence)
        ],
        "paths": [{"facts": list(it.fact_ids), "score": it.score} for it in paths],
        "path": list(taken.fact_ids) if taken else [],
    }


def _asked(question: Question) -> dict[str, Any]:
    return {
        "qid": question.qid,
        "type": question.type,
        "tags": list(question.tags),
        "question": question.question,
        "question_time": question.question_time.to_json(),
        "answers": list(question.answers),
        "supporting_facts": list(question.supporting_facts),
    }


def _causal(answerer: QuestionAnswerer, question: Question, answer: Answer) -> dict[str, Any]:
    """Of the supporting facts, the heaviest fact, and the heaviest that supports nothing."""
    known = answerer.retriever.store.row_of
    supporting = {known[fact]: fact for fact in question.supporting_facts if fact in known}
    others = [it.row for it in answer.evidence if it.row not in supporting]
    rows = [*supporting, *(it.row for it in answer.evidence[:1]), *others[:1]]
    query = Query(question.question, question.question_time)
    causal: Causal = causal_deltas(answerer, query, question.answer, rows)
    return {
        "text": causal.text,
        "log_probability": causal.log_probability,
        "deltas": [
            {
                "id": answerer.retriever.store.fact(it.row).id,
                "is_supporting": it.row in supporting,
                "is_top": bool(answer.evidence) and it.row == answer.evidence[0].row,
                "delta": it.delta,
            }
            for it in causal.deltas
        ],
    }


def write_evidence(path: Path, about: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> None:
    """Writes the file whole or not at all, in ASCII, which carries every text; one question a line."""
    lines = ",\n".join(json.dumps(record, allow_nan=False) for record in records)
    head = json.dumps({"format": FORMAT, "about": dict(about)}, allow_nan=False)
    write_text(path, f'{head[:-1]}, "questions": [\n{lines}\n]}}\n')


def read_evidence(path: Path) -> dict[str, Any]:
    """What `write_evidence` wrote. Raises DataError for anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); python -m kblampp.eval.dump_evidence makes it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DataError(f"{path}: no file of evidence, or of another format than {FORMAT}; make it anew")
    questions = value.get("questions")
    if not isinstance(questions, list) or not questions:
        raise DataError(f"{path}: has no questions")
    for number, record in enumerate(questions):
        for name, kind in _FIELDS.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                raise DataError(f"{path}: question {number} has no proper field {name!r}")
    return value


@dataclass(frozen=True)
class Summary:
    """Means over questions; an empty group is left out."""

    num_questions: int
    em: float
    path_f1: dict[int, tuple[float, int]]
    """By the number of supporting facts, 0 for an unanswerable question: mean and how many questions."""
    supporting_delta: tuple[float, int] | None
    """Mean Causal-delta in nats and how many facts; None when none was removed."""
    other_delta: tuple[float, int] | None
    """The same of facts that do not support the answer."""


def summarise(records: Sequence[Mapping[str, Any]]) -> Summary:
    """Raises ValueError for no questions at all."""
    if not records:
        raise ValueError("there are no questions")
    by_hops: dict[int, list[float]] = defaultdict(list)
    deltas: dict[bool, list[float]] = {True: [], False: []}
    for record in records:
        by_hops[len(record["supporting_facts"])].append(record["path_f1"])
        # Every fact is beside the point of a question that no fact answers.
        if record.get("causal") and record["supporting_facts"]:
            for it in record["causal"]["deltas"]:
                deltas[it["is_supporting"]].append(it["delta"])
    return Summary(
        num_questions=len(records),
        em=fmean(record["em"] for record in records),
        path_f1={hops: (fmean(some), len(some)) for hops, some in sorted(by_hops.items())},
        supporting_delta=_mean(deltas[True]),
        other_delta=_mean(deltas[False]),
    )


def as_text(summary: Summary) -> str:
    """The summary as lines for people."""
    lines = [f"questions {summary.num_questions}, EM {summary.em:.3f}"]
    for hops, (mean, number) in summary.path_f1.items():
        kind = "unanswerable" if hops == 0 else f"{hops} hop{'s' if hops > 1 else ''}"
        lines.append(f"Path-F1, {kind}: {mean:.3f} ({number} questions)")
    told = (("supporting", summary.supporting_delta), ("other", summary.other_delta))
    for name, value in told:
        if value is not None:
            lines.append(f"Causal-delta, {name} facts: {value[0]:+.3f} nats ({value[1]} facts)")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> tuple[float, int] | None:
    return (fmean(values), len(values)) if values else None
