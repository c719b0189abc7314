"""The readers on real data: MetaQA's whole graph and WebQSP's dev subgraphs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kg_r1.kg.errors import UnknownSample
from kg_r1.kg.store import GraphStore

pytestmark = pytest.mark.shared_data


def test_metaqa(shared_data: Path, tmp_path: Path) -> None:
    store = GraphStore(shared_data, cache_path=tmp_path)
    assert store.is_shared("metaqa")
    graph = store.graph("metaqa")
    lines = set((shared_data / "metaqa" / "kb.txt").read_text(encoding="utf-8").rstrip("\n").split("\n"))
    assert (graph.num_entities, graph.num_relations, graph.num_triples) == (43_234, 9, 133_582)
    assert {"|".join(triple) for triple in graph.triples()} == lines
    (kismet,) = graph.resolve("Kismet")
    assert graph.labels(graph.tails(kismet, "directed_by")) == ["William Dieterle"]
    assert graph.relations() == [
        "directed_by",
        "has_genre",
        "has_imdb_rating",
        "has_imdb_votes",
        "has_tags",
        "in_language",
        "release_year",
        "starred_actors",
        "written_by",
    ]


def test_webqsp(shared_data: Path, tmp_path: Path) -> None:
    store = GraphStore(shared_data, max_cache_size=300, cache_path=tmp_path)
    dataset = "webqsp_dev_subgraphs"
    assert not store.is_shared(dataset)
    graph = store.graph(dataset, "WebQTrn-9")
    (cohen,) = graph.resolve("m.0c9c0")
    assert "people.person.sibling_s" in graph.tail_relations(cohen)
    assert "m.05n2rts" in graph.labels(graph.tails(cohen, "people.person.sibling_s"))
    with pytest.raises(UnknownSample, match="among its 250"):
        store.graph(dataset, "WebQTrn-0")
    lines = (shared_data / dataset / "dev_simple.jsonl").read_text(encoding="utf-8").splitlines()
    graphs = [store.graph(dataset, json.loads(line)["id"]) for line in lines]
    assert (len(graphs), sum(graph.num_triples for graph in graphs)) == (250, 35_676)
