"""Reading what a page is made from: a report, and logs with one episode a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from kg_r1.llm_agent.question import Question

RECORD_FIELDS: Mapping[str, type] = {"question": dict, "turns": list, "reward": dict, "metrics": dict}
EPISODE_OPTIONS: Mapping[str, type] = {
    "sample": int,
    "num_prompt_tokens": int,
    "num_generated_tokens": int,
    "num_tool_tokens": int,
}
TURN_OPTIONS: Mapping[str, type] = {
    "think": str,
    "problem": str,
    "observation": str,
    "num_tokens": int,
    "num_observation_tokens": int,
    "kg_seconds": float,
}
SYSTEM_FIELDS: Mapping[str, type] = {"name": str, "kind": str, "groups": list}


class ReportError(Exception):
    """A page cannot be made; the text is one line that says which file and why."""


def read_report(path: Path) -> dict[str, Any]:
    """The report of an evaluation, checked as far as the page relies on it.

    Raises:
        ReportError: the file is missing, no JSON object, or lacks a field.
    """
    try:
        report = _parsed(path.read_bytes())
        _need(report, {"model": str, "systems": list}, "the report")
        for system in report["systems"]:
            _need(system, SYSTEM_FIELDS, "a system")
            for group in system["groups"]:
                _need(group, {"by": str, "group": str, "metrics": dict}, "a group")
                for name, interval in group["metrics"].items():
                    _need(interval, {"mean": float, "low": float, "high": float}, f"metric {name!r}")
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ReportError(f"{path}: {_one_line(error)}") from error
    return dict(report)


def read_episodes(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each episode of a log with the byte offset of its line; empty lines are left out.

    Raises:
        ReportError: the file cannot be read, or a line is no episode; it names the line.
    """
    try:
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if line.strip():
                    try:
                        record = _parsed(line)
                        _check_episode(record)
                    except ValueError as error:
                        raise ReportError(f"{path}:{number}: {_one_line(error)}") from error
                    yield offset, record
                offset += len(line)
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from error


def episode_at(path: Path, offset: int) -> dict[str, Any]:
    """The episode whose line begins at a byte offset that `read_episodes` gave."""
    with path.open("rb") as file:
        file.seek(offset)
        return dict(_parsed(file.readline()))


def _check_episode(record: Any) -> None:
    _need(record, RECORD_FIELDS, "the episode")
    Question.from_dict(record["question"])
    _need(record["reward"], {"total": float, "parts": dict}, "the reward")
    _may(record, EPISODE_OPTIONS, "the episode")
    _may(record["reward"], {"outcome": float, "turns": list}, "the reward")
    _numbers({**record["metrics"], **record["reward"]["parts"]})
    _numbers(dict(enumerate(record["reward"].get("turns") or [])))
    for turn in record["turns"]:
        _need(turn, {"kind": str, "text": str}, "a turn")
        _may(turn, TURN_OPTIONS, "a turn")
        if turn.get("query") is not None:
            _need(turn["query"], {"action": str, "arguments": dict}, "a query")
        if turn.get("retrieval") is not None:
            _need(turn["retrieval"], {"results": list}, "a retrieval")
            _may(turn["retrieval"], {"error": dict}, "a retrieval")
            if not all(isinstance(result, dict) for result in turn["retrieval"]["results"]):
                raise ValueError("the results of a retrieval must be objects")


def _need(row: Any, fields: Mapping[str, type], what: str) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"{what} must be an object, not {type(row).__name__}")
    for name, kind in fields.items():
        if name not in row:
            raise ValueError(f"{what} has no field {name!r}")
        if not _is(row[name], kind):
            raise ValueError(
                f"field {name!r} of {what} must be {kind.__name__}, not {type(row[name]).__name__}"
            )


def _may(row: Mapping[str, Any], fields: Mapping[str, type], what: str) -> None:
    """As `_need`, for fields that may be absent or None."""
    present = {name: kind for name, kind in fields.items() if row.get(name) is not None}
    _need(row, present, what)


def _numbers(values: Mapping[Any, Any]) -> None:
    for name, value in values.items():
        if not _is(value, float):
            raise ValueError(f"{name!r} must be a number")


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


def _parsed(content: bytes) -> Any:
    return json.loads(content, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    # A browser's JSON knows no NaN; the page would not open.
    raise ValueError(f"{name} is not JSON")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
