"""Data sets on disk: which format a folder holds, and how its graphs are read.

In: one folder per data set, `data_kg/<dataset>/`. Out: a `Source`, which knows whether the data set is one
graph shared by all samples, which samples it has, and how to read one graph. The formats, in the order in
which they are looked for, are listed in `FORMATS`; the table in docs/server.md describes them.

Sample ids come from outside. They are looked up in what the folder holds and never become part of a path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kg_r1.kg.graph import Subgraph
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.lines import data_error, decoded, numbered_lines, parsed_json, read_bytes, split_fields
from kg_r1.kg.nsm import NSMSource, nsm_files
from kg_r1.kg.records import TRIPLE_FIELDS, Source, checked_triple, read_names, unknown_sample
from kg_r1.kg.rog import RoGSource, rog_files


class SharedFileSource:
    """One file of separated triples that is the whole graph of the data set."""

    is_shared = True

    def __init__(self, path: Path, separator: str) -> None:
        self.path = path
        self.separator = separator

    def load(self, sample_id: str | None) -> Subgraph:
        """The shared graph; see `Source`."""
        return Subgraph.from_triples(
            separated_triples(self.path, self.separator), read_names(self.path.parent)
        )


class SeedSource:
    """A folder `subgraphs/` with one JSON file per sample: {"triples": [[head, relation, tail], ...]}."""

    is_shared = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = {path.stem: path for path in sorted((folder / "subgraphs").glob("*.json"))}
        self._names = read_names(folder)

    def load(self, sample_id: str | None) -> Subgraph:
        """The graph of one file; see `Source`."""
        path = self._paths.get(sample_id) if sample_id is not None else None
        if path is None:
            raise unknown_sample(self.folder.name, sample_id, len(self._paths))
        return Subgraph.from_triples(seed_triples(path), self._names)


def separated_triples(path: Path, separator: str) -> Iterator[Triple]:
    """The triples of a file of lines 'head<separator>relation<separator>tail'; blank lines are skipped.

    Raises:
        DataError: a bad line, with its number.
    """
    for number, text in numbered_lines(path):
        head, relation, tail = split_fields(path, number, text, separator, TRIPLE_FIELDS)
        yield head, relation, tail


def seed_triples(path: Path) -> list[Triple]:
    """The triples of one `{"triples": [[head, relation, tail], ...]}` file.

    Raises:
        DataError: the file is not JSON of this shape; the message names the line or the triple.
    """
    text = decoded(path, None, read_bytes(path))
    data = parsed_json(path, None, text)
    triples = data.get("triples") if isinstance(data, Mapping) else None
    if not isinstance(triples, list):
        raise data_error(path, None, 'is not an object with a list "triples"')
    return [checked_triple(path, None, triple, f"triple {n}") for n, triple in enumerate(triples, start=1)]


@dataclass(frozen=True)
class Format:
    """One layout of a data set's folder: how it is recognised (without reading data) and opened."""

    name: str
    matches: Callable[[Path], bool]
    open: Callable[[Path], Source]


FORMATS = (
    Format("subgraphs", lambda folder: (folder / "subgraphs").is_dir(), SeedSource),
    Format("nsm", lambda folder: bool(nsm_files(folder)), NSMSource),
    Format(
        "metaqa",
        lambda folder: (folder / "kb.txt").is_file(),
        lambda folder: SharedFileSource(folder / "kb.txt", "|"),
    ),
    Format(
        "tsv",
        lambda folder: (folder / "triples.tsv").is_file(),
        lambda folder: SharedFileSource(folder / "triples.tsv", "\t"),
    ),
    Format("rog", lambda folder: bool(rog_files(folder)), RoGSource),
)


def find_format(folder: Path) -> Format | None:
    """The first of `FORMATS` that fits the folder; None when it is no data set.

    Raises:
        DataError: a parquet file that would decide cannot be read.
    """
    return next((form for form in FORMATS if form.matches(folder)), None)
