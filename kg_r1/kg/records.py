"""What every reader of data sets shares: the `Source` protocol, checked triples, entity names."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from kg_r1.kg.errors import UnknownSample, quoted
from kg_r1.kg.knowledge_graph import KnowledgeGraph, Triple
from kg_r1.kg.lines import checked_name, data_error, numbered_lines, split_fields

TRIPLE_FIELDS = ("head", "relation", "tail")


class Source(Protocol):
    """Where the graphs of one data set come from. Not thread-safe unless it says so; the store locks."""

    is_shared: bool

    def load(self, sample_id: str | None) -> KnowledgeGraph:
        """The graph of one sample (`sample_id` is ignored when the graph is shared).

        Raises:
            UnknownSample: there is no such sample, or none was named and the graph is not shared.
            DataError: a file cannot be read.
        """


def unknown_sample(dataset_name: str, sample_id: str | None, num_samples: int) -> UnknownSample:
    """The error for a sample id that a data set does not hold, or that was left out."""
    if sample_id is None:
        return UnknownSample(f"data set {quoted(dataset_name)} has one graph per sample", "Name a sample_id")
    return UnknownSample(
        f"data set {quoted(dataset_name)} has no sample {quoted(sample_id)} among its {num_samples}"
    )


def checked_triple(path: Path, line: int | None, value: object, what: str) -> Triple:
    """`value` as a triple of three texts.

    Raises:
        DataError: it is not; `what` says which one.
    """
    if not isinstance(value, (list, tuple)) or len(value) != len(TRIPLE_FIELDS):
        raise data_error(path, line, f"{what} is not [head, relation, tail]")
    head, relation, tail = (
        checked_name(path, line, part, f"{what}: {name}")
        for part, name in zip(value, TRIPLE_FIELDS, strict=True)
    )
    return head, relation, tail


def read_names(folder: Path) -> dict[str, str]:
    """Entity id -> name from the folder's names.tsv ('id<tab>name' a line); {} when there is no such file.

    Raises:
        DataError: a bad line, or an id with two different names.
    """
    path = folder / "names.tsv"
    names: dict[str, str] = {}
    if not path.is_file():
        return names
    for number, text in numbered_lines(path):
        entity, name = split_fields(path, number, text, "\t", ("id", "name"))
        if names.setdefault(entity, name) != name:
            raise data_error(path, number, f"id {quoted(entity)} has a second name, {quoted(name)}")
    return names
