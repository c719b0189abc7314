"""Writes a KG as N-Triples, and the settings that serve it again from a SPARQL endpoint.

In: a data set of any format. Out: `triples.nt`, for the endpoint to load, and `sparql.json`, which makes
the folder a data set whose answers are those of the original (docs/sparql.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Triple

from kg_r1.data.files import write_lines
from kg_r1.kg.errors import DataError, KGError
from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.sparql_config import RDFS_LABEL, SETTINGS_FILE, IriSettings
from kg_r1.kg.sparql_terms import IriNames
from kg_r1.kg.store import GraphStore

TRIPLES_FILE = "triples.nt"
DEFAULT_BASE = "http://example.org/kg/"
DEFAULT_ENDPOINT = "http://127.0.0.1:7878/query"
MAX_INDEXED_NAMES = 200_000


@dataclass
class RdfCounts:
    """What was written."""

    num_triples: int = 0
    num_names: int = 0


def settings_for(endpoint: str, base: str = DEFAULT_BASE) -> dict[str, object]:
    """The content of a `sparql.json` for what `export_rdf` writes.

    Args:
        endpoint: where the triples will be asked for.
        base: what the IRIs begin with; ends in "/" or "#".
    """
    entities, relations = f"{base}entity/", f"{base}relation/"
    return {
        "endpoint": endpoint,
        "entities": {"prefix": entities, "escape": "percent", "within": [entities]},
        "relations": {"prefix": relations, "escape": "percent", "within": [relations]},
        "labels": {"property": RDFS_LABEL, "languages": [""]},
        "literals": {"datatypes": [], "languages": []},
        "case_folding": "scan",
        "max_indexed_names": MAX_INDEXED_NAMES,
    }


def rdf_lines(graph: KnowledgeGraph, base: str, counts: RdfCounts) -> Iterator[str]:
    """The lines of an N-Triples file: every triple, and a label for every entity that has a name."""
    entities = IriNames(IriSettings(prefix=f"{base}entity/", escape="percent"))
    relations = IriNames(IriSettings(prefix=f"{base}relation/", escape="percent"))
    label = NamedNode(RDFS_LABEL)
    for head, relation, tail in graph.triples():
        counts.num_triples += 1
        ends = (NamedNode(entities.prefixed(end)) for end in (head, tail))
        yield f"{Triple(next(ends), NamedNode(relations.prefixed(relation)), next(ends))} ."
    for index in range(graph.num_entities):
        entity, name = graph.entity_id(index), graph.name(index)
        if name != entity:
            counts.num_names += 1
            yield f"{Triple(NamedNode(entities.prefixed(entity)), label, Literal(name))} ."


def export_rdf(graph: KnowledgeGraph, out: Path, endpoint: str, base: str = DEFAULT_BASE) -> RdfCounts:
    """Writes `out`/triples.nt and `out`/sparql.json, each whole or not at all.

    Raises:
        DataError: `base` is no beginning of an IRI.
    """
    try:
        NamedNode(f"{base}entity/x")
    except ValueError as error:
        hint = f"Use one such as {DEFAULT_BASE}"
        raise DataError(f"{base} cannot begin an IRI ({error})", hint) from error
    counts = RdfCounts()
    write_lines(out / TRIPLES_FILE, rdf_lines(graph, base, counts))
    write_lines(out / SETTINGS_FILE, json.dumps(settings_for(endpoint, base), indent=2).splitlines())
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports one graph; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kg_r1.data.export_rdf", description=__doc__)
    parser.add_argument("--base_data_path", type=Path, default=Path("data_kg"), metavar="DIR")
    parser.add_argument("--kg", required=True, help="the data set: a folder of DIR")
    parser.add_argument("--sample", metavar="ID", help="which graph, of a data set with one a question")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--endpoint", default=DEFAULT_ENDPOINT, metavar="URL", help="for sparql.json")
    parser.add_argument("--base", default=DEFAULT_BASE, metavar="IRI", help="what every IRI begins with")
    options = parser.parse_args(arguments)
    try:
        graph = GraphStore(options.base_data_path, max_cache_size=1).graph(options.kg, options.sample)
        counts = export_rdf(graph, options.out, options.endpoint, options.base)
    except KGError as error:
        sys.stderr.write(f"export_rdf: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"export_rdf: {error.filename}: {error.strerror}\n")
        return 2
    sys.stdout.write(f"{options.out}: {counts.num_triples} triples, {counts.num_names} names\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
