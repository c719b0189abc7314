"""Builds a compiled store from any source of triples, in bounded memory, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import duckdb
from tqdm import tqdm

from kg_r1.kg.compiled.file_set import FileSetWriter, new_folder
from kg_r1.kg.compiled.tables import insert, number_and_label
from kg_r1.kg.compiled.texts import escaped
from kg_r1.kg.compiled.writing import StoreWriter
from kg_r1.kg.errors import DataError
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.records import TripleSource

logger = logging.getLogger(__name__)

STAGED_ROWS = 100_000
DEFAULT_MEMORY_MIB = 1024


def build_store(
    source: TripleSource,
    out: Path,
    fingerprint: str = "",
    max_memory_mib: int = DEFAULT_MEMORY_MIB,
    keep_going: bool = False,
    show_progress: bool = False,
) -> None:
    """Writes the compiled store of a data set.

    Args:
        source: the triples, sample by sample. Its names are held in memory.
        out: the folder to make; must not exist.
        fingerprint: what the source's files looked like; stands in the manifest.
        max_memory_mib: MiB that sorting and joining may take before they go to the disk, beside `out`.
        keep_going: a sample that cannot be read is noted, and refused when it is asked for, rather than
            ending the build.
        show_progress: a progress bar on stderr.

    Raises:
        DataError: the source cannot be read.
        OSError: the disk is full, or `out` cannot be written.
    """
    with new_folder(out) as folder:
        database = folder / "build.duckdb"
        with duckdb.connect(str(database)) as connection:
            connection.execute(f"set memory_limit = '{max_memory_mib}MiB'")
            connection.execute(f"set temp_directory = '{_quoted(folder / 'spill')}'")
            connection.execute("set preserve_insertion_order = false")
            with tqdm(unit=" triples", desc="reading", disable=not show_progress, unit_scale=True) as bar:
                staging = Staging(connection, bar)
                staging.read(source, keep_going)
            with tqdm(unit=" steps", disable=not show_progress) as bar:
                for step in number_and_label(connection):
                    bar.set_description(step)
                    bar.update()
                files = FileSetWriter(folder)
                writer = StoreWriter(connection, files, staging.sample_slices, source.is_shared)
                for step in writer.steps():
                    bar.set_description(step)
                    bar.update()
            files.close({**writer.facts(), "failures": staging.failures, "source": fingerprint})
        for leftover in folder.glob("build.duckdb*"):
            leftover.unlink()


class Staging:
    """Reads a source into the tables `raw` and `naming`.

    Attributes:
        sample_slices: the ids of the samples that were read, as JSON, ascending.
        failures: sample id -> why it could not be read.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, bar: tqdm) -> None:
        self.sample_slices: list[bytes] = []
        self.failures: dict[str, str] = {}
        self._connection = connection
        self._bar = bar
        self._rows: list[tuple[int, str, str, str]] = []
        connection.execute("create table raw (sample uinteger, head varchar, relation varchar, tail varchar)")
        connection.execute("create table naming (id varchar, name varchar)")

    def read(self, source: TripleSource, keep_going: bool) -> None:
        """Everything the source holds; see `build_store`."""
        names = {entity: name for entity, name in source.names.items() if name.strip()}
        insert(self._connection, "naming", {"id": list(names.keys()), "name": list(names.values())})
        if source.is_shared:
            self.sample_slices = [b""]
            self._add(0, source.triples(None))
        else:
            for slice_, sample_id in sorted(map(_sliced, source.sample_ids())):
                try:
                    # A list: a sample that breaks off half way must leave nothing behind.
                    triples = list(source.triples(sample_id))
                except DataError as error:
                    if not keep_going:
                        raise
                    logger.error("%s", error)
                    self.failures[sample_id] = str(error)
                    continue
                self._add(len(self.sample_slices), triples)
                self.sample_slices.append(slice_)
        self._flush()

    def _add(self, sample: int, triples: Iterable[Triple]) -> None:
        for head, relation, tail in triples:
            self._rows.append((sample, head, relation, tail))
            if len(self._rows) == STAGED_ROWS:
                self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            named = zip(("sample", "head", "relation", "tail"), map(list, columns), strict=True)
            insert(self._connection, "raw", dict(named))
        self._bar.update(len(self._rows))
        self._rows.clear()


def _sliced(sample_id: str) -> tuple[bytes, str]:
    slice_ = escaped(sample_id)
    if slice_ is None:
        raise DataError(f"sample id {sample_id!r} is not valid Unicode")
    return slice_, sample_id


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
