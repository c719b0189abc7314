"""The lines of an evaluation to its report: every metric with its interval, by hop group and question type.

A question's value is the mean over its samples, and intervals are those of resampling questions: samples of
one question are not independent evidence about others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kg_r1.data.evidence_path import hop_group
from kg_r1.eval.intervals import mean_interval
from kg_r1.eval.pass_at_k import pass_at_k, powers_of_two
from kg_r1.llm_agent.episode import EpisodeStatus
from kg_r1.llm_agent.question import Question

PASS_METRICS = ("em", "hits_at_1")
STATUSES = tuple(status.value for status in EpisodeStatus)

Record = Mapping[str, Any]
Samples = Sequence[Record]  # the episodes of one question


def summarise_system(name: str, kind: str, records: Iterable[Record], seconds: float) -> dict[str, Any]:
    """One entry of the report's `systems`.

    Args:
        name: of the system.
        kind: 'model', 'baseline' or 'ceiling'.
        records: its lines of episodes.jsonl.
        seconds: of playing them.

    Returns:
        `name`, `kind`, `num_questions`, `seconds` and `groups`: the one of all questions, then those by hop
        group, then those by question type; [] of these for no records.
    """
    by_question: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_question[record["question"]["question_id"]].append(record)
    groups: dict[tuple[str, str], list[Samples]] = {}
    for samples in by_question.values():
        question = Question.from_dict(samples[0]["question"])
        keys = [("all", "all"), ("hop", hop_group(question)), ("type", question.question_type or "unknown")]
        for key in keys:
            groups.setdefault(key, []).append(samples)
    order = sorted(groups, key=lambda key: (("all", "hop", "type").index(key[0]), key[1]))
    return {
        "name": name,
        "kind": kind,
        "num_questions": len(by_question),
        "seconds": round(seconds, 3),
        "groups": [summarise_group(*key, groups[key]) for key in order],
    }


def summarise_group(by: str, group: str, questions: Sequence[Samples]) -> dict[str, Any]:
    """One group of questions, each given by its samples.

    Returns:
        `by`, `group`, `num_questions`; `metrics` with `mean`, `low` and `high` by name, a metric that some
        questions lack being that of the others; `statuses`, the share of each, and `status_intervals`;
        `pass_at_k` by metric and k, for as many samples as every question has (nothing for one sample).
    """
    names = dict.fromkeys(name for samples in questions for name in samples[0]["metrics"])
    metrics = {name: _interval(_means(questions, name)) for name in names}
    statuses = {
        status: _interval([_mean(float(one["status"] == status) for one in samples) for samples in questions])
        for status in STATUSES
    }
    metrics["share_answered"] = statuses[EpisodeStatus.ANSWERED.value]
    return {
        "by": by,
        "group": group,
        "num_questions": len(questions),
        "metrics": metrics,
        "statuses": {status: interval["mean"] for status, interval in statuses.items()},
        "status_intervals": statuses,
        "pass_at_k": _pass_at_k(questions),
    }


def _pass_at_k(questions: Sequence[Samples]) -> dict[str, dict[str, dict[str, float]]]:
    num_samples = min(len(samples) for samples in questions)
    if num_samples < 2:
        return {}
    return {
        metric: {
            str(k): _interval([_pass_of(samples, metric, k) for samples in questions])
            for k in powers_of_two(num_samples)
        }
        for metric in PASS_METRICS
    }


def _pass_of(samples: Samples, metric: str, k: int) -> float:
    num_right = sum(one["metrics"][metric] == 1.0 for one in samples)
    return pass_at_k(len(samples), num_right, k)


def _means(questions: Sequence[Samples], name: str) -> list[float]:
    """The mean of a metric over each question's samples, for the questions that have it."""
    return [
        _mean(one["metrics"][name] for one in samples)
        for samples in questions
        if all(name in one["metrics"] for one in samples)
    ]


def _interval(values: Sequence[float]) -> dict[str, float]:
    interval = mean_interval(values)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _mean(values: Iterable[float]) -> float:
    column = list(values)
    return math.fsum(column) / len(column)
