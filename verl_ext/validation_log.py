"""The validation generation log: one JSON line per episode, and what the lines say taken together."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kg_r1.data.evidence_path import hop_group
from kg_r1.eval.record import episode_record
from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.question import Question
from kg_r1.reward.rubric import Rubric

METRICS = ("em", "hits_at_1", "hit", "f1", "coverage", "valid_query_rate")
MEANS = (*METRICS, "num_turns", "tool_tokens", "generated_tokens", "total_tokens")


def write_validation_log(lines: Iterable[Mapping[str, Any]], folder: Path, step: int) -> Path:
    """Write ``<folder>/step_<step>.jsonl``, whole or not at all.

    Returns:
        The path written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:06d}.jsonl"
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return path


def read_validation_log(path: Path) -> list[dict[str, Any]]:
    """The lines of one log.

    Raises:
        ValueError: for a line that is not JSON, naming file and line.
    """
    records = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{number} is not a JSON line: {error}") from error
    return records


def validation_summary(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over all episodes and by number of hops, named ``<group>/<metric>``.

    Groups are ``all`` and those of :func:`kg_r1.data.evidence_path.hop_group`; beside the metrics stand the
    mean reward, the share of episodes that answered and the number that crashed. Empty for no records.
    """
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        groups["all"].append(record)
        groups[hop_group(Question.from_dict(record["question"]))].append(record)
    summary: dict[str, float] = {}
    for group, members in sorted(groups.items()):
        for name in MEANS:
            summary[f"{group}/{name}"] = _mean(record["metrics"][name] for record in members)
        summary[f"{group}/reward"] = _mean(record["reward"]["total"] for record in members)
        summary[f"{group}/share_answered"] = _mean(
            float(record["status"] == "answered") for record in members
        )
        summary[f"{group}/num_episodes"] = float(len(members))
        summary[f"{group}/num_crashed"] = float(
            sum(record["status"] == EpisodeStatus.CRASHED.value for record in members)
        )
    return summary


def crashed_record(question: Question) -> dict[str, Any]:
    """The line of an episode that raised and left nothing: every metric is 0, so every mean counts it."""
    episode = Episode(question)
    episode.finish(EpisodeStatus.CRASHED)
    return episode_record(episode, Rubric().score(episode))


def question_ids(records: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The questions that a log's episodes were asked."""
    return frozenset(record["question"]["question_id"] for record in records)


def _mean(values: Iterable[float]) -> float:
    column = list(values)
    return math.fsum(column) / len(column)
