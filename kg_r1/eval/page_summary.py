"""What a page's plots show of all episodes, those included that the page itself leaves out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kg_r1.data.evidence_path import hop_group
from kg_r1.llm_agent.question import Question

MAX_BINS = 20
SCORES = ("em", "hits_at_1", "f1")


@dataclass(frozen=True)
class EpisodeFacts:
    """What the plots need of one episode."""

    group: str
    hops: str
    status: str
    num_turns: int
    num_tokens: int
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, record: Mapping[str, Any], group: str) -> EpisodeFacts:
        """The facts of one checked line of a log. `num_tokens` are those that the model wrote."""
        return cls(
            group,
            hop_group(Question.from_dict(record["question"])),
            str(record.get("status")),
            len(record["turns"]),
            record.get("num_generated_tokens") or 0,
            {name: record["metrics"][name] for name in SCORES if name in record["metrics"]},
        )


def histograms(facts: Sequence[EpisodeFacts]) -> dict[str, Any]:
    """``{"turns"|"tokens": {"width": bin width, "counts": {group: [episodes per bin, from 0]}}}``."""
    return {
        "turns": _histogram([(fact.group, fact.num_turns) for fact in facts], width=1),
        "tokens": _histogram([(fact.group, fact.num_tokens) for fact in facts], width=None),
    }


def summary_of_logs(facts: Sequence[EpisodeFacts]) -> list[dict[str, Any]]:
    """The scores of each step in the form of a report's systems; low and high are None."""
    by_group: dict[str, list[EpisodeFacts]] = defaultdict(list)
    for fact in facts:
        by_group[fact.group].append(fact)
    return [
        {
            "name": name,
            "kind": "model",
            "groups": [
                _group_row("all", "all", members),
                *(
                    _group_row("hop", hops, [fact for fact in members if fact.hops == hops])
                    for hops in sorted({fact.hops for fact in members})
                ),
            ],
        }
        for name, members in by_group.items()
    ]


def _group_row(by: str, group: str, members: Sequence[EpisodeFacts]) -> dict[str, Any]:
    names = [name for name in SCORES if all(name in fact.metrics for fact in members)]
    return {
        "by": by,
        "group": group,
        "num_questions": len(members),
        "metrics": {
            name: {
                "mean": math.fsum(fact.metrics[name] for fact in members) / len(members),
                "low": None,
                "high": None,
            }
            for name in names
        },
        "statuses": {
            status: count / len(members)
            for status, count in sorted(Counter(fact.status for fact in members).items())
        },
    }


def _histogram(values: Sequence[tuple[str, int]], width: int | None) -> dict[str, Any]:
    largest = max((value for _, value in values), default=0)
    width = width or _round_width(largest)
    counts: dict[str, list[int]] = {}
    for group, value in values:
        counts.setdefault(group, [0] * (largest // width + 1))[value // width] += 1
    return {"width": width, "counts": counts}


def _round_width(largest: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... that gives at most `MAX_BINS` bins."""
    scale = 1
    while True:
        for factor in (1, 2, 5):
            if largest // (factor * scale) < MAX_BINS:
                return factor * scale
        scale *= 10
