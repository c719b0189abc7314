"""Data sets on disk: which format a folder holds, and how its graphs are read.

In: one folder per data set, `data_kg/<dataset>/`. Out: a `TripleSource`, which knows whether it is
one graph shared by all samples, which samples it has, and how to read one graph. The formats, in the order in
which they are looked for, are listed in `FORMATS`; the table in docs/server.md describes them.

Sample ids come from outside. They are looked up in what the folder holds and never become part of a path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kg_r1.kg.compiled.file_set import MANIFEST
from kg_r1.kg.compiled.source import CompiledSource
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.lines import data_error, decoded, numbered_lines, parsed_json, read_bytes, split_fields
from kg_r1.kg.nsm import NSMSource, nsm_files, nsm_source_files
from kg_r1.kg.records import (
    TRIPLE_FIELDS,
    Source,
    TripleSource,
    checked_triple,
    parquet_files,
    read_names,
    unknown_sample,
)


class SharedFileSource(TripleSource):
    """One file of separated triples that is the whole graph of the data set."""

    is_shared = True

    def __init__(self, path: Path, separator: str) -> None:
        self.path = path
        self.separator = separator
        self.names = read_names(path.parent)

    def sample_ids(self) -> Collection[str]:
        """None; see `TripleSource`."""
        return ()

    def triples(self, sample_id: str | None) -> Iterator[Triple]:
        """The triples of the shared graph; see `TripleSource`."""
        return separated_triples(self.path, self.separator)


class SeedSource(TripleSource):
    """A folder `subgraphs/` with one JSON file per sample: {"triples": [[head, relation, tail], ...]}."""

    is_shared = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = {path.stem: path for path in sorted((folder / "subgraphs").glob("*.json"))}
        self.names = read_names(folder)

    def sample_ids(self) -> Collection[str]:
        """One a file; see `TripleSource`."""
        return self._paths.keys()

    def triples(self, sample_id: str | None) -> list[Triple]:
        """The triples of one file; see `TripleSource`."""
        path = self._paths.get(sample_id) if sample_id is not None else None
        if path is None:
            raise unknown_sample(self.folder.name, sample_id, len(self._paths))
        return seed_triples(path)


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
    """One layout of a data set's folder: how it is recognised (without reading data) and opened.

    Attributes:
        name: what the layout is called.
        matches: whether a folder is of this layout; looks at as little of it as tells.
        files: the files that such a folder's graphs are read from.
        open_triples: opens the raw files, to be compiled or read.
        open: opens what is served as it lies; None for raw files, which are compiled first.
    """

    name: str
    matches: Callable[[Path], bool]
    files: Callable[[Path], list[Path]]
    open_triples: Callable[[Path], TripleSource] | None = None
    open: Callable[[Path], Source] | None = None

    def opened_triples(self, folder: Path) -> TripleSource:
        """The folder's triples.

        Raises:
            DataError: its files cannot be read, or hold no triples that could be read one by one.
        """
        if self.open_triples is None:
            raise data_error(folder, None, f"is of layout {self.name!r}, which is not compiled")
        return self.open_triples(folder)


def seed_files(folder: Path) -> list[Path]:
    """The folder's files of samples, with their names."""
    return with_names(folder, sorted((folder / "subgraphs").glob("*.json")))


def with_names(folder: Path, files: list[Path]) -> list[Path]:
    """`files` and, where there is one beside them, the folder's names.tsv."""
    names = folder / "names.tsv"
    return [*files, names] if names.is_file() else files


def _shared_format(name: str, file_name: str, separator: str) -> Format:
    return Format(
        name,
        lambda folder: (folder / file_name).is_file(),
        lambda folder: with_names(folder, [folder / file_name]),
        open_triples=lambda folder: SharedFileSource(folder / file_name, separator),
    )


def _as_it_lies(name: str, file_name: str, opened: Callable[[Path], Source]) -> Format:
    return Format(
        name,
        lambda folder: (folder / file_name).is_file(),
        lambda folder: [folder / file_name],
        open=opened,
    )


def _rog_files(folder: Path) -> list[Path]:
    if not parquet_files(folder):
        return []
    # Imported where it is needed: a server without such files is spared arrow's memory.
    from kg_r1.kg.rog import rog_files

    return rog_files(folder)


def _open_rog(folder: Path) -> TripleSource:
    from kg_r1.kg.rog import RoGSource

    return RoGSource(folder)


def _open_sparql(folder: Path) -> Source:
    # Imported where it is needed: few data sets lie behind an endpoint.
    from kg_r1.kg.sparql import SparqlSource

    return SparqlSource(folder)


FORMATS = (
    _as_it_lies("sparql", "sparql.json", _open_sparql),
    _as_it_lies("compiled", MANIFEST, lambda folder: CompiledSource(folder, folder.name)),
    Format("subgraphs", lambda folder: (folder / "subgraphs").is_dir(), seed_files, SeedSource),
    Format("nsm", lambda folder: bool(nsm_files(folder)), nsm_source_files, NSMSource),
    _shared_format("metaqa", "kb.txt", "|"),
    _shared_format("tsv", "triples.tsv", "\t"),
    Format(
        "rog",
        lambda folder: bool(_rog_files(folder)),
        lambda folder: with_names(folder, _rog_files(folder)),
        _open_rog,
    ),
)


def find_format(folder: Path) -> Format | None:
    """The first of `FORMATS` that fits the folder; None when it is no data set.

    Raises:
        DataError: a parquet file that would decide cannot be read.
    """
    return next((form for form in FORMATS if form.matches(folder)), None)
