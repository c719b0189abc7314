"""Episodes as a page holds them: whatever many of them share stands once, in tables they point into.

A page of 2,000 episodes would else repeat each system prompt 2,000 times and each question once per system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from kg_r1.data.evidence_path import hop_group
from kg_r1.llm_agent.question import Question
from kg_r1.reward.text import normalise, split_answers
from kg_r1.search.results import listed_items

MAX_LISTED = 300
"""Items of one result that a page keeps, beside the gold ones and those that were searched later."""

NUM_DIGITS = 4
# A KG's names come again and again, in results above all.
_normal = lru_cache(maxsize=200_000)(normalise)
# The page finds a thought in the turn's text by the same rule, so that it need not stand there twice.
_THOUGHT = re.compile(r"<think>([\s\S]*?)</think>")


class EpisodeTable:
    """Collects episodes in the form that the page's script reads, and knows how large they have become."""

    def __init__(self) -> None:
        self.num_bytes = 0
        """Of the JSON of everything collected, nearly."""
        self.metric_names: list[str] = []
        self.part_names: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._questions = _Shared()
        self._texts = _Shared()
        self._lists = _Shared()
        self._golds: list[frozenset[str]] = []
        self._ids: set[str] = set()

    def add(self, record: Mapping[str, Any], group: int, group_name: str, prefix: str) -> None:
        """Take in one checked episode of a log.

        Args:
            record: the line of the log.
            group: index of its system or step.
            group_name: the name of that.
            prefix: what all prompts of the group begin with; it is left out here.
        """
        question = Question.from_dict(record["question"])
        index = self._question(question)
        gold = self._golds[index]
        reward = record["reward"]
        sample = record.get("sample") or 0
        row = {
            "id": self._new_id(f"{group_name}/{question.question_id}" + (f"/{sample}" if sample else "")),
            "group": group,
            "question": index,
            "sample": sample,
            "status": str(record.get("status")),
            "answers": _answers(record.get("answer"), question, gold),
            "prompt": self._text(str(record.get("prompt") or "").removeprefix(prefix)),
            "tokens": [record.get(f"num_{kind}_tokens") or 0 for kind in ("prompt", "generated", "tool")],
            "turns": self._turns(record["turns"], gold),
            "total": _rounded(reward["total"]),
            "outcome": _rounded(reward["total"] if reward.get("outcome") is None else reward["outcome"]),
            "turn_rewards": [_rounded(value) for value in reward.get("turns") or []],
            "parts": _column(reward["parts"], self.part_names),
            "metrics": _column(record["metrics"], self.metric_names),
        }
        self._rows.append(row)
        self.num_bytes += _size(row)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: the tables, and the episodes by group, in the order they came."""
        return {
            "questions": self._questions.values,
            "texts": self._texts.values,
            "lists": self._lists.values,
            "metric_names": self.metric_names,
            "part_names": self.part_names,
            "episodes": sorted(self._rows, key=lambda row: int(row["group"])),
        }

    def _question(self, question: Question) -> int:
        row = {**question.to_dict(), "hops": hop_group(question)}
        index, is_new = self._questions.index(row)
        if is_new:
            self.num_bytes += _size(row)
            self._golds.append(frozenset(_normal(name) for names in question.gold for name in names))
        return index

    def _text(self, text: str) -> int:
        index, is_new = self._texts.index(text)
        self.num_bytes += _size(text) if is_new else 0
        return index

    def _turns(self, turns: Sequence[Mapping[str, Any]], gold: frozenset[str]) -> list[dict[str, Any]]:
        searched = {_normal(name) for turn in turns for name in _names(turn.get("query"))}
        return [self._turn(turn, gold, searched) for turn in turns]

    def _turn(
        self, turn: Mapping[str, Any], gold: frozenset[str], searched: Collection[str]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "kind": turn["kind"],
            "text": self._text(turn["text"]),
            "tokens": [turn.get("num_tokens") or 0, turn.get("num_observation_tokens") or 0],
        }
        found = _THOUGHT.search(turn["text"])
        if turn.get("think") is not None and turn["think"] != (found[1].strip() if found else None):
            row["think"] = turn["think"]
        for name in ("query", "problem", "is_repeated"):
            if turn.get(name):
                row[name] = turn[name]
        if turn.get("kg_seconds"):
            row["kg_s"] = round(turn["kg_seconds"], 3)
        if turn.get("observation") is not None:
            row["observation"] = self._text(turn["observation"])
        if turn.get("retrieval") is not None:
            row.update(self._result(turn, gold, searched))
        return row

    def _result(
        self, turn: Mapping[str, Any], gold: frozenset[str], searched: Collection[str]
    ) -> dict[str, Any]:
        error = turn["retrieval"].get("error")
        if error:
            is_shown = str(error.get("message")) in str(turn.get("observation"))
            return {"error": {"code": error.get("code"), "message": "" if is_shown else error.get("message")}}
        items = [item for result in turn["retrieval"]["results"] for item in listed_items(result)]
        kept = [
            item
            for index, item in enumerate(items)
            if index < MAX_LISTED or _normal(item) in gold or _normal(item) in searched
        ]
        index, is_new = self._lists.index(kept)
        self.num_bytes += _size(kept) if is_new else 0
        right = [place for place, item in enumerate(kept) if _normal(item) in gold]
        return {"items": index, "num_items": len(items), **({"gold": right} if right else {})}

    def _new_id(self, wanted: str) -> str:
        """The id itself, or with a number where a log has the same question twice."""
        unique, number = wanted, 2
        while unique in self._ids:
            unique, number = f"{wanted}~{number}", number + 1
        self._ids.add(unique)
        return unique


class _Shared:
    """A list of distinct values with their places."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def index(self, value: Any) -> tuple[int, bool]:
        """The place of a value, and whether it is new."""
        key = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        place = self._places.setdefault(key, len(self.values))
        if place < len(self.values):
            return place, False
        self.values.append(value)
        return place, True


def common_prefix(prompts: Iterable[str]) -> str:
    """What every prompt begins with, whole lines only."""
    ordered = sorted(prompts)
    # What the first and the last in order share, all between them share.
    pairs = zip(ordered[0], ordered[-1], strict=False)
    length = next((place for place, (one, other) in enumerate(pairs) if one != other), len(ordered[0]))
    return ordered[0][: ordered[0].rfind("\n", 0, length) + 1]


def _answers(answer: Any, question: Question, gold: frozenset[str]) -> list[list[Any]] | None:
    if answer is None:
        return None
    return [[name, _normal(name) in gold] for name in split_answers(str(answer), question.gold)]


def _names(query: Mapping[str, Any] | None) -> list[str]:
    values = [] if query is None else list(query["arguments"].values())
    return [str(name) for value in values for name in (value if isinstance(value, list) else [value])]


def _column(values: Mapping[str, float], names: list[str]) -> list[float | None]:
    """The values in the order of the names, to which names not yet seen are added."""
    names += [name for name in values if name not in names]
    return [_rounded(values[name]) if name in values else None for name in names]


def _rounded(value: float) -> float:
    short = round(float(value), NUM_DIGITS)
    return int(short) if short.is_integer() else short


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")) + 1
