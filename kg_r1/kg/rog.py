"""Reader of RoG-style parquet folders: columns id, question, answer, q_entity, a_entity, graph.

`graph` is a list of [head, relation, tail]. The files lie in the data set's folder or in data/ below it.
Ids are read once; a graph is read, by row group, when it is asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow
import pyarrow.parquet

from kg_r1.kg.errors import quoted
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.lines import checked_name, data_error
from kg_r1.kg.records import TripleSource, checked_triple, parquet_files, read_names, unknown_sample

COLUMNS = frozenset({"id", "graph"})
ARROW_ERRORS = (pyarrow.ArrowException, OSError, ValueError)


class RoGSource(TripleSource):
    """The graphs of one folder of parquet files; see the module's text.

    Raises:
        DataError: a file cannot be read, or two rows share one id.
    """

    is_shared = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = read_names(folder)
        self._rows: dict[str, tuple[Path, int]] = {}
        self._last: tuple[Path, int, pyarrow.ChunkedArray] | None = None
        for path in rog_files(folder):
            for row, value in enumerate(_column(path, "id"), start=1):
                sample_id = checked_name(path, row, value.as_py(), "id")
                earlier = self._rows.setdefault(sample_id, (path, row))
                if earlier != (path, row):
                    place = f"{earlier[0]}:{earlier[1]}"
                    raise data_error(path, row, f"id {quoted(sample_id)} stands already at {place}")

    def sample_ids(self) -> Collection[str]:
        """One a row; see `TripleSource`."""
        return self._rows.keys()

    def triples(self, sample_id: str | None) -> list[Triple]:
        """The triples of one row; see `TripleSource`."""
        place = self._rows.get(sample_id) if sample_id is not None else None
        if place is None:
            raise unknown_sample(self.folder.name, sample_id, len(self._rows))
        path, row = place
        graph = self._graph(path, row)
        if not isinstance(graph, list):
            raise data_error(path, row, "graph is not a list of [head, relation, tail]")
        return [checked_triple(path, row, value, f"triple {n}") for n, value in enumerate(graph, start=1)]

    def _graph(self, path: Path, row: int) -> object:
        # A row group is the smallest unit parquet can read; neighbours are often asked for next, so the last
        # one stays at hand in arrow's compact form.
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                first = 1
                for group in range(file.num_row_groups):
                    num_rows = file.metadata.row_group(group).num_rows
                    if first <= row < first + num_rows:
                        if self._last is None or self._last[:2] != (path, group):
                            self._last = (path, group, file.read_row_group(group, ["graph"]).column("graph"))
                        return self._last[2][row - first].as_py()
                    first += num_rows
        except ARROW_ERRORS as error:
            raise data_error(path, row, f"cannot be read ({error})") from error
        raise data_error(path, row, "changed since it was read: it has fewer rows now")


def rog_files(folder: Path) -> list[Path]:
    """The folder's parquet files with the columns id and graph, sorted; [] when it holds none.

    Raises:
        DataError: a parquet file cannot be read.
    """
    return [path for path in parquet_files(folder) if set(_column_names(path)) >= COLUMNS]


def _column_names(path: Path) -> list[str]:
    try:
        return list(pyarrow.parquet.read_schema(path).names)
    except ARROW_ERRORS as error:
        raise data_error(path, None, f"is not a parquet file that can be read ({error})") from error


def _column(path: Path, name: str) -> pyarrow.ChunkedArray:
    try:
        return pyarrow.parquet.read_table(path, columns=[name]).column(name)
    except ARROW_ERRORS as error:
        raise data_error(path, None, f"cannot be read ({error})") from error
