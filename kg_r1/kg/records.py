"""What every reader of data sets shares: what a source is, checked triples, entity names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from kg_r1.kg.errors import UnknownSample, quoted
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.knowledge_graph import KnowledgeGraph, Triple
from kg_r1.kg.lines import checked_name, data_error, numbered_lines, split_fields

TRIPLE_FIELDS = ("head", "relation", "tail")


class Source(Protocol):
    """Where the graphs of one data set come from."""

    @property
    def is_shared(self) -> bool:
        """Whether one graph serves all samples."""

    def load(self, sample_id: str | None) -> KnowledgeGraph:
        """The graph of one sample (`sample_id` is ignored when the graph is shared).

        Raises:
            UnknownSample: there is no such sample, or none was named and the graph is not shared.
            DataError: a file cannot be read.
        """


class TripleSource(ABC):
    """A source whose triples can be read one after the other. Not thread-safe.

    Attributes:
        is_shared: whether one graph serves all samples.
        names: entity id -> name.
    """

    is_shared: ClassVar[bool]
    names: Mapping[str, str]

    @abstractmethod
    def sample_ids(self) -> Collection[str]:
        """Every sample; empty for a shared graph."""

    @abstractmethod
    def triples(self, sample_id: str | None) -> Iterable[Triple]:
        """The triples of one sample, repeats and all; see `Source.load`."""

    def load(self, sample_id: str | None) -> Subgraph:
        """The graph of one sample, in memory; see `Source.load`."""
        return Subgraph.from_triples(self.triples(sample_id), self.names)


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


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder and of data/ in it, sorted, whatever they hold."""
    return sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])


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
