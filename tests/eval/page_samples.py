"""Hand-made episodes and reports for the page's tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"

QUESTION = {
    "question_id": "q1",
    "question": "Where is the country of Lyon governed from?",
    "topic_entities": ["Lyon"],
    "gold": [["Paris", "City of Light"]],
    "dataset_name": "world",
    "num_hops": 2,
    "question_type": "seat",
    "path": [["tail", "country"], ["tail", "capital"]],
}


def search(action: str, items: list[str] | None = None, **arguments: Any) -> dict[str, Any]:
    """A search turn; without items it failed."""
    error = None if items is not None else {"code": "no_results", "message": "nothing of that sort"}
    call = ", ".join(json.dumps(value) for value in arguments.values())
    shown = " | ".join(items) if items is not None else "Error: nothing of that sort"
    return {
        "kind": "search",
        "text": f"<think>a thought</think>\n<search>{action}({call})</search>",
        "think": "a thought",
        "query": {"action": action, "arguments": arguments},
        "retrieval": {
            "results": [{"items": items}] if items is not None else [],
            "total_results": len(items or []),
            "error": error,
        },
        "observation": f"\n<information>{shown}</information>\n",
        "answer": None,
        "problem": None,
        "is_repeated": False,
        "num_tokens": 20,
        "num_observation_tokens": 9,
        "kg_seconds": 0.25,
    }


def answer(text: str) -> dict[str, Any]:
    return {
        "kind": "answer",
        "text": f"<think>done</think>\n<answer>{text}</answer>",
        "think": "done",
        "query": None,
        "retrieval": None,
        "observation": None,
        "answer": text,
        "problem": None,
        "num_tokens": 8,
    }


def episode(turns: list[dict[str, Any]], is_right: bool = True, **fields: Any) -> dict[str, Any]:
    """A line of a log. Fields that QUESTION has go there, the others to the line."""
    question = {**QUESTION, **{name: fields.pop(name) for name in list(fields) if name in QUESTION}}
    last = turns[-1].get("answer") if turns else None
    score = float(is_right)
    return {
        "prompt": f"system\nSearch the graph.\nuser\nQuestion: {question['question']}\n",
        "output": "".join(turn["text"] for turn in turns),
        "question": question,
        "status": "max_turns" if last is None else "answered",
        "answer": last,
        "num_prompt_tokens": 50,
        "num_generated_tokens": 20 * len(turns),
        "num_tool_tokens": 9,
        "turns": turns,
        "reward": {
            "total": 2 * score,
            "outcome": score,
            "turns": [0.1] * len(turns),
            "parts": {"answer": score},
        },
        "metrics": {"em": score, "hits_at_1": score, "f1": score, "hit": score, "num_turns": len(turns)},
        **fields,
    }


def two_hops(**fields: Any) -> dict[str, Any]:
    """Lyon -country-> France -capital-> Paris, and the right answer."""
    turns = [
        search("get_tail_entities", ["France"], entity_id="Lyon", relation="country"),
        search("get_tail_entities", ["Paris"], entity_id="France", relation="capital"),
        answer("Paris"),
    ]
    return episode(turns, **fields)


def report(names: Mapping[str, str]) -> dict[str, Any]:
    """A report of systems, given as name to kind, with the same scores for each."""
    metrics = {name: {"mean": 0.5, "low": 0.4, "high": 0.6} for name in ("em", "hits_at_1", "f1")}
    row = {"num_questions": 4, "metrics": metrics, "statuses": {"answered": 0.75, "max_turns": 0.25}}
    groups = [
        {"by": "all", "group": "all", **row, "pass_at_k": {"em": {"1": 0.5, "2": 0.7}}},
        {"by": "hop", "group": "1-hop", **row},
        {"by": "hop", "group": "2-hop", **row},
        {"by": "type", "group": "seat", **row},
    ]
    systems = [
        {"name": name, "kind": kind, "num_questions": 4, "seconds": 1.5, "groups": groups}
        for name, kind in names.items()
    ]
    return {
        "model": "models/tiny",
        "questions": ["val.parquet"],
        "settings": {"max_turns": 4},
        "num_samples": 2,
        "seed": 0,
        "systems": systems,
    }


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_evaluation(folder: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    names = {"model": "model", "bm25": "baseline", "oracle": "ceiling"}
    (folder / "report.json").write_text(json.dumps(report(names)), encoding="utf-8")
    write_lines(folder / "episodes.jsonl", records)
    return folder
