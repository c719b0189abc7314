"""One question of a data set, as every later stage receives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Question:
    """A question, where to search for it, and what would be right.

    `gold` holds one tuple of aliases per answer: ``(("Oman",), ("UAE", "United Arab Emirates"))`` is
    two answers, the second of which goes by two names. `sample_id` is None for a data set whose
    questions share one KG. `path` is a known evidence path, as (direction, relation) pairs.
    """

    question_id: str
    question: str
    topic_entities: tuple[str, ...]
    gold: tuple[tuple[str, ...], ...]
    dataset_name: str
    sample_id: str | None = None
    num_hops: int | None = None
    question_type: str = ""
    split: str = ""
    path: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON types (tuples become lists); `from_dict` reads it back unchanged."""
        row: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        row["topic_entities"] = list(self.topic_entities)
        row["gold"] = [list(aliases) for aliases in self.gold]
        row["path"] = [list(hop) for hop in self.path]
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Question:
        """The question that `to_dict` wrote.

        Raises ValueError, naming the field, for an unknown key, a missing one or a value of another type.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(row) - known):
            raise ValueError(f"a question has no field {', '.join(unknown)}, only {', '.join(sorted(known))}")
        needed = ("question_id", "question", "topic_entities", "gold", "dataset_name")
        if missing := [name for name in needed if name not in row]:
            raise ValueError(f"a question needs the field {', '.join(missing)}")
        for name in ("question_id", "question", "dataset_name", "question_type", "split"):
            _expect(row, name, (str,))
        _expect(row, "sample_id", (str, type(None)))
        _expect(row, "num_hops", (int, type(None)))
        values = dict(row)
        values["topic_entities"] = _strings(row["topic_entities"], "topic_entities")
        values["gold"] = tuple(_strings(aliases, "gold") for aliases in _sequence(row["gold"], "gold"))
        hops = tuple(_strings(hop, "path") for hop in _sequence(row.get("path", ()), "path"))
        if any(len(hop) != 2 for hop in hops):
            raise ValueError("field path of a question must hold pairs of direction and relation")
        values["path"] = hops
        return cls(**values)


def _expect(row: Mapping[str, Any], name: str, types: tuple[type, ...]) -> None:
    if name in row and not isinstance(row[name], types):
        found = type(row[name]).__name__
        raise ValueError(f"field {name} of a question must be {types[0].__name__}, not {found}")


def _sequence(value: Any, name: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"field {name} of a question must be a list, not {type(value).__name__}")
    return value


def _strings(value: Any, name: str) -> tuple[str, ...]:
    items = _sequence(value, name)
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"field {name} of a question must hold strings only")
    return tuple(items)
