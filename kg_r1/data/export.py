"""Writes a KG as two tables, whatever its format: ``kg-r1 export --kg world --out FOLDER``.

`triples.tsv` has head's id, relation and tail's id; `names.tsv` has id and name (nothing where the ids are
the names). A tab or line end in an id or name is written as a space, and counted.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kg_r1.data.files import write_lines
from kg_r1.kg.errors import DataError, KGError
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.store import GraphStore

logger = logging.getLogger(__name__)


@dataclass
class Counts:
    """What was written."""

    num_triples: int = 0
    num_names: int = 0
    num_escaped: int = 0
    """Fields that held a tab or a line end."""

    def line(self, fields: Sequence[str]) -> str:
        """The fields as a line of a table."""
        cleaned = [" ".join(text.splitlines()).replace("\t", " ") for text in fields]
        self.num_escaped += sum(clean != text for clean, text in zip(cleaned, fields, strict=True))
        return "\t".join(cleaned)


def export(base_data_path: Path, kg: str, sample: str | None, out: Path) -> Counts:
    """Writes `out`/triples.tsv and `out`/names.tsv, each whole or not at all, the triples last.

    A shared graph in one file is read line by line, so that its size does not matter.

    Args:
        base_data_path: the folder of the data sets.
        kg: one of them.
        sample: the sample whose graph is wanted; None for a data set that is one graph.
        out: the folder to write into.

    Raises:
        KGError: there is no such data set or sample, or a file cannot be read.
    """
    store = GraphStore(base_data_path, max_cache_size=1)
    if out.resolve() == (base_data_path / kg).resolve():
        raise DataError(f"{out} is the data set itself", "Name another folder")
    graph = store.graph(kg, sample)
    triples = graph.triples()
    everyone = ((graph.entity_id(index), graph.name(index)) for index in range(graph.num_entities))
    names = (pair for pair in everyone if pair[0] != pair[1])
    counts = Counts()
    write_lines(out / "names.tsv", _names(names, counts))
    write_lines(out / "triples.tsv", _triples(triples, counts))
    return counts


def _names(names: Iterable[tuple[str, str]], counts: Counts) -> Iterator[str]:
    for pair in names:
        counts.num_names += 1
        yield counts.line(pair)


def _triples(triples: Iterable[Triple], counts: Counts) -> Iterator[str]:
    for triple in triples:
        counts.num_triples += 1
        yield counts.line(triple)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports one graph; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kg-r1 export", description=__doc__)
    parser.add_argument("--base_data_path", type=Path, default=Path("data_kg"), metavar="DIR")
    parser.add_argument("--kg", required=True, help="the data set: world, metaqa or another folder of DIR")
    parser.add_argument("--sample", metavar="ID", help="which graph, of a data set with one a question")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        counts = export(options.base_data_path, options.kg, options.sample, options.out)
    except KGError as error:
        sys.stderr.write(f"kg-r1 export: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"kg-r1 export: {error.filename}: {error.strerror}\n")
        return 2
    sys.stdout.write(f"{options.out}: {counts.num_triples} triples, {counts.num_names} names")
    sys.stdout.write(f", {counts.num_escaped} fields with a tab or line end cleaned\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
