"""Facts: head, relation, tail, the sentence that says so, and when it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kblampp.errors import DataError
from kblampp.records import read_jsonl, refuse_unknown, text_field, write_jsonl
from kblampp.time_window import TIMELESS, TimeWindow

FIELDS = ("id", "head", "relation", "tail", "context", "time_window", "source")


@dataclass(frozen=True)
class Quintuple:
    """One fact."""

    id: str
    head: str
    relation: str
    tail: str
    context: str = ""
    """A sentence that states the fact; '' where the source has none."""
    time_window: TimeWindow = TIMELESS
    source: str = ""
    """Where it is from: a data set, an article, a line."""

    @property
    def statement(self) -> str:
        """Relation and tail as a sentence."""
        return statement_of(self.relation, self.tail)

    def to_json(self) -> dict[str, Any]:
        """One line of the file."""
        return {name: getattr(self, name) for name in FIELDS} | {"time_window": self.time_window.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Quintuple:
        """What `to_json` made; `context`, `time_window` and `source` may be left out. Raises DataError."""
        refuse_unknown(record, FIELDS)
        id_, head, relation, tail = (text_field(record, name) for name in FIELDS[:4])
        return cls(
            id=id_,
            head=head,
            relation=relation,
            tail=tail,
            context=text_field(record, "context", default=""),
            time_window=TimeWindow.from_json(record.get("time_window")),
            source=text_field(record, "source", default=""),
        )


def statement_of(relation: str, tail: str) -> str:
    """What answers a question for that relation in a sentence: 'The birthplace is Arden.'"""
    return f"The {relation} is {tail}."


def read_quintuples(path: Path) -> list[Quintuple]:
    """The facts of a JSONL file.

    Raises:
        DataError: it cannot be read, a line is malformed, two facts have one id, or there is no fact at all.
    """
    facts = list(read_jsonl(path, Quintuple.from_json, "python -m kblampp.offline.run_pipeline makes it"))
    if not facts:
        raise DataError(f"{path}: has no facts")
    id_, number = Counter(fact.id for fact in facts).most_common(1)[0]
    if number > 1:
        raise DataError(f"{path}: {number} facts have the id {id_!r}; ids must differ")
    return facts


def write_quintuples(path: Path, facts: Iterable[Quintuple]) -> int:
    """Writes the facts as JSONL, whole or not at all; returns how many there are."""
    return write_jsonl(path, (fact.to_json() for fact in facts))
