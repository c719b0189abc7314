"""Builds the world data set: `triples.tsv`, `names.tsv`, the question files and the manifest."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path

from kg_r1.data.card import DataCard, card_of
from kg_r1.data.files import write_lines
from kg_r1.data.manifest import drop_manifest, write_manifest
from kg_r1.data.rows import read_questions, write_questions
from kg_r1.data.splits import SPLITS
from kg_r1.data.world_facts import WorldFacts, build_facts, relation_counts
from kg_r1.data.world_questions import DATASET, Sizes, make_questions
from kg_r1.data.world_sources import load_sources
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.store import GraphStore

logger = logging.getLogger(__name__)


def build_world(out: Path, seed: int = 0, sizes: Sizes | None = None) -> DataCard:
    """Builds `out`/world from the installed data packages; what it reports was read back from the files.

    The bytes are the same for the same seed, sizes and package versions.
    """
    sizes = sizes or Sizes()
    folder = out / DATASET
    sources = load_sources()
    facts = build_facts(sources)
    logger.info("%d facts about %d entities", len(facts.triples), len(facts.names))
    questions = make_questions(facts, Subgraph.from_triples(facts.triples, facts.names), seed, sizes)
    drop_manifest(folder)
    files = _write_graph(folder, facts)
    for split in SPLITS:
        path = folder / "questions" / f"{split}.parquet"
        logger.info("%d questions for %s", write_questions(path, questions[split]), split)
        files.append(path)
    described = {
        "dataset": DATASET,
        "seed": seed,
        "packages": {**sources.versions, "pyarrow": version("pyarrow")},
        "num_triples": len(facts.triples),
        "num_entities": len(facts.names),
        "num_triples_by_relation": relation_counts(facts),
        "num_questions": {split: len(questions[split]) for split in SPLITS},
    }
    write_manifest(folder, files, described)
    graph = GraphStore(out).graph(DATASET)
    written = {split: read_questions(folder / "questions" / f"{split}.parquet") for split in SPLITS}
    return card_of(DATASET, graph, written)


def _write_graph(folder: Path, facts: WorldFacts) -> list[Path]:
    triples, names = folder / "triples.tsv", folder / "names.tsv"
    write_lines(triples, ("\t".join(triple) for triple in facts.triples))
    write_lines(names, (f"{entity}\t{name}" for entity, name in sorted(facts.names.items())))
    return [triples, names]
