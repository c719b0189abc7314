"""MappedGraph against Subgraph: the same answers to everything, for any triples and names."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg_r1.kg.compiled import spelling, writing
from kg_r1.kg.compiled.build import build_store
from kg_r1.kg.compiled.dataset import MappedDataset
from kg_r1.kg.compiled.graph import MappedGraph
from kg_r1.kg.graph import Subgraph
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.records import TripleSource


class ListedSource(TripleSource):
    """Triples given as lists, by sample; under None alone they are shared."""

    def __init__(self, samples: Mapping[str | None, list[Triple]], names: Mapping[str, str]) -> None:
        self.samples = samples
        self.names = names
        self.is_shared = None in samples  # type: ignore[misc]

    def sample_ids(self) -> Collection[str]:
        return [sample for sample in self.samples if sample is not None]

    def triples(self, sample_id: str | None) -> list[Triple]:
        return self.samples[sample_id]


def compiled(samples: Mapping[str | None, list[Triple]], names: Mapping[str, str]) -> MappedDataset:
    with tempfile.TemporaryDirectory() as folder:
        build_store(ListedSource(samples, names), Path(folder) / "store")
        return MappedDataset(Path(folder) / "store", "listed")


def assert_same(mapped: MappedGraph, graph: Subgraph, texts: Collection[str]) -> None:
    sizes = (graph.num_entities, graph.num_relations, graph.num_triples)
    assert (mapped.num_entities, mapped.num_relations, mapped.num_triples) == sizes
    assert list(mapped.triples()) == list(graph.triples())
    assert mapped.labelled_triples() == graph.labelled_triples()
    assert mapped.relations() == graph.relations()
    everyone = range(graph.num_entities)
    assert mapped.labels(everyone) == graph.labels(everyone)
    for entity in everyone:
        assert mapped.entity_id(entity) == graph.entity_id(entity)
        assert mapped.name(entity) == graph.name(entity)
        assert mapped.tail_relations(entity) == graph.tail_relations(entity)
        assert mapped.head_relations(entity) == graph.head_relations(entity)
        for relation in graph.relations():
            assert mapped.tails(entity, relation) == graph.tails(entity, relation)
            assert mapped.heads(entity, relation) == graph.heads(entity, relation)
    for text in texts:
        assert mapped.resolve(text) == graph.resolve(text), text
        assert mapped.has_relation(text) == graph.has_relation(text)
        assert mapped.close_labels(text) == graph.close_labels(text)
        assert mapped.find_spelt(text) in ([], graph.resolve(text))


# Few letters, so that ids, names and labels collide; characters that JSON escapes, case, accents, NUL.
LETTERS = st.sampled_from(
    ["a", "A", "b", '"', "\\", " ", "[", "]", "é", "e", "\u0301", "\x00", "\n", "ß", "😀"]
)
TEXTS = st.text(LETTERS, min_size=1, max_size=4).filter(lambda text: bool(text.strip()))
TRIPLES = st.lists(st.tuples(TEXTS, st.sampled_from(["r", "s", "S", 't"']), TEXTS), max_size=12)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(TEXTS, TRIPLES, max_size=4), st.dictionaries(TEXTS, TEXTS, max_size=6), TEXTS)
def test_every_sample_gives_the_answers_of_the_graph_in_memory(
    samples: dict[str, list[Triple]], names: dict[str, str], query: str
) -> None:
    everything = [triple for triples in samples.values() for triple in triples]
    entities = {entity for head, _, tail in everything for entity in (head, tail)}
    for entity in entities:
        names.setdefault(entity, "a" if len(entity) % 2 else entity)
    dataset = compiled(dict(samples), names)
    assert dataset.num_samples == len(samples)
    for sample, triples in samples.items():
        mapped = MappedGraph(dataset, dataset.sample_number(sample))
        graph = Subgraph.from_triples(triples, names)
        labels = graph.labels(range(graph.num_entities))
        texts = {query, f" {query}", "\ud800", "", "A", *entities, *names.values(), *labels}
        texts.update({text.upper() for text in texts}, {text.swapcase() for text in labels})
        assert_same(mapped, graph, texts)


@settings(max_examples=10, deadline=None)
@given(TRIPLES, st.dictionaries(TEXTS, TEXTS, max_size=6), TEXTS)
def test_a_shared_graph_with_compiled_trigrams(
    triples: list[Triple], names: dict[str, str], query: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "MAX_SCANNED", 0)
        dataset = compiled({None: triples}, names)
    assert dataset.is_shared and bool(len(dataset.trigrams.keys)) == bool(triples)
    graph = Subgraph.from_triples(triples, names)
    texts = {query, *names.values(), *(entity for head, _, tail in triples for entity in (head, tail))}
    assert_same(MappedGraph(dataset, 0), graph, texts)


def test_a_label_that_is_somebodys_id_or_label_is_qualified_further() -> None:
    triples: list[Triple] = [
        ("a", "r", "b"),
        ("c", "r", "N [a]"),
        ("x [y]", "r", "z]"),
        ("y] [z]", "r", "y]"),
    ]
    names = {"a": "N", "b": "N", "c": "N", "z]": "x [y", "y] [z]": "x", "y]": "x [y"}
    dataset = compiled({"s": triples}, names)
    graph = Subgraph.from_triples(triples, names)
    assert "N [a] [a]" in graph.labels(range(graph.num_entities))
    texts = [*names, *names.values(), *graph.labels(range(graph.num_entities))]
    assert_same(MappedGraph(dataset, 0), graph, texts)


def test_a_key_of_a_trigram_is_its_three_characters() -> None:
    keys = {spelling.trigram_key(one) for one in ("abc", "acb", "\x00ab", "😀😀\U0010ffff")}
    assert len(keys) == 4 and max(keys) < 2**63
