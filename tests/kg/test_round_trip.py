"""What is written in any layout comes back from the store, and both adjacencies agree with a naive scan."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg_r1.kg.knowledge_graph import KnowledgeGraph, Triple
from kg_r1.kg.store import GraphStore

# Names as data sets have them, and what JSON, TSV and paths make difficult. No separators or line ends: a
# text layout cannot hold them. No text of white space alone, which readers refuse.
NAMES = st.text(
    st.characters(exclude_characters="\t\n\r|\x00", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda text: text.strip() == text and bool(text))
TRIPLES = st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=15)


def seed(folder: Path, triples: list[Triple]) -> str:
    (folder / "subgraphs").mkdir()
    (folder / "subgraphs" / "s.json").write_text(json.dumps({"triples": triples}), encoding="utf-8")
    return "s"


def nsm(folder: Path, triples: list[Triple]) -> str:
    entry = {"id": "s", "subgraph": {"tuples": triples}}
    (folder / "dev_simple.jsonl").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    return "s"


def nsm_numbered(folder: Path, triples: list[Triple]) -> str:
    entities = sorted({name for head, _, tail in triples for name in (head, tail)})
    relations = sorted({relation for _, relation, _ in triples})
    (folder / "entities.txt").write_bytes("".join(f"{name}\n" for name in entities).encode())
    (folder / "relations.txt").write_bytes("".join(f"{name}\n" for name in relations).encode())
    tuples = [[entities.index(h), relations.index(r), entities.index(t)] for h, r, t in triples]
    entry = {"id": "s", "subgraph": {"tuples": tuples}}
    (folder / "dev_simple.json").write_text(json.dumps([entry]), encoding="utf-8")
    return "s"


def rog(folder: Path, triples: list[Triple]) -> str:
    table = pyarrow.table({"id": ["s"], "graph": [[list(triple) for triple in triples]]})
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    return "s"


def separated(name: str, separator: str) -> Callable[[Path, list[Triple]], str]:
    def write(folder: Path, triples: list[Triple]) -> str:
        lines = "".join(separator.join(triple) + "\n" for triple in triples)
        (folder / name).write_bytes(lines.encode("utf-8"))
        return "any"

    return write


LAYOUTS = {
    "subgraphs": seed,
    "nsm": nsm,
    "nsm by number": nsm_numbered,
    "rog": rog,
    "tsv": separated("triples.tsv", "\t"),
    "metaqa": separated("kb.txt", "|"),
}


def assert_agrees_with_a_scan(graph: KnowledgeGraph, triples: set[Triple]) -> None:
    ids = sorted({name for head, _, tail in triples for name in (head, tail)})
    assert [graph.entity_id(index) for index in range(graph.num_entities)] == ids
    for index, name in enumerate(ids):
        assert graph.resolve(name) == [index]
        assert graph.tail_relations(index) == sorted({r for h, r, _ in triples if h == name})
        assert graph.head_relations(index) == sorted({r for _, r, t in triples if t == name})
        for relation in graph.relations():
            tails = sorted(t for h, r, t in triples if (h, r) == (name, relation))
            heads = sorted(h for h, r, t in triples if (t, r) == (name, relation))
            assert graph.labels(graph.tails(index, relation)) == tails
            assert graph.labels(graph.heads(index, relation)) == heads


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=5, deadline=None)
@given(triples=TRIPLES)
def test_a_layout_comes_back_as_it_was_written(layout: str, triples: list[Triple]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "kg"
        folder.mkdir()
        sample = LAYOUTS[layout](folder, triples)
        store = GraphStore(Path(name))
        for _ in range(2):  # compiled now, then from what was compiled
            graph = store.graph("kg", sample)
            assert list(graph.triples()) == sorted(set(triples))
            assert_agrees_with_a_scan(graph, set(triples))
            store.clear_cache()
