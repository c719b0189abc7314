"""GraphStore: which graphs there are, what the cache keeps, many threads at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kg_r1.kg.errors import DataError, UnknownDataset, UnknownSample
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.readers import SeedSource
from kg_r1.kg.store import CacheInfo, GraphStore


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "triples.tsv").write_text("a\tr\tb\n")
    (tmp_path / "webqsp" / "subgraphs").mkdir(parents=True)
    for sample in ("s1", "s2", "s3"):
        write_sample(tmp_path, sample, sample)
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("text")
    return tmp_path


def write_sample(base: Path, sample: str, tail: str) -> None:
    path = base / "webqsp" / "subgraphs" / f"{sample}.json"
    path.write_text(f'{{"triples": [["a", "r", "{tail}"]]}}')


def test_data_sets_and_which_are_shared(base: Path) -> None:
    store = GraphStore(base)
    assert store.datasets() == ["webqsp", "world"]
    assert store.is_shared("world")
    assert not store.is_shared("webqsp")


def test_a_shared_graph_ignores_the_sample(base: Path) -> None:
    store = GraphStore(base)
    assert store.graph("world") is store.graph("world", "anything")
    assert store.cache_info().cached_items == ["world"]


def test_the_graph_used_longest_ago_goes_first(base: Path) -> None:
    store = GraphStore(base, max_cache_size=2)
    first = store.graph("webqsp", "s1")
    store.graph("webqsp", "s2")
    assert store.graph("webqsp", "s1") is first
    store.graph("webqsp", "s3")
    assert store.cache_info() == CacheInfo(True, 2, 2, ["webqsp:s1", "webqsp:s3"])
    assert store.graph("webqsp", "s1") is first


def test_clearing_forgets_graphs_and_listings(base: Path) -> None:
    store = GraphStore(base)
    store.graph("webqsp", "s1")
    write_sample(base, "s1", "changed")
    write_sample(base, "s4", "new")
    assert list(store.graph("webqsp", "s1").triples()) == [("a", "r", "s1")]
    with pytest.raises(UnknownSample):
        store.graph("webqsp", "s4")
    store.clear_cache()
    assert store.cache_info() == CacheInfo(True, 0, 1000, [])
    assert list(store.graph("webqsp", "s1").triples()) == [("a", "r", "changed")]
    assert list(store.graph("webqsp", "s4").triples()) == [("a", "r", "new")]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "notes", "nope", "README.md", "../webqsp", "web\x00qsp", "\ud800", "x" * 10_000]
)
def test_a_data_set_is_looked_up_and_never_a_path(base: Path, name: str) -> None:
    with pytest.raises(UnknownDataset, match="Data sets: 'webqsp', 'world'"):
        GraphStore(base / "webqsp" / "..").graph(name, "s1")


def test_a_sample_must_be_named_where_there_are_many(base: Path) -> None:
    with pytest.raises(UnknownSample, match="has one graph per sample"):
        GraphStore(base).graph("webqsp")


def test_a_failure_is_not_kept(base: Path) -> None:
    path = base / "webqsp" / "subgraphs" / "s1.json"
    path.write_text("{")
    store = GraphStore(base)
    with pytest.raises(DataError, match=r"s1\.json:1"):
        store.graph("webqsp", "s1")
    write_sample(base, "s1", "mended")
    assert list(store.graph("webqsp", "s1").triples()) == [("a", "r", "mended")]


def test_a_bad_base_path_or_limit(base: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        GraphStore(base / "nope")
    with pytest.raises(ValueError, match="at least 1"):
        GraphStore(base, max_cache_size=0)


def test_many_threads_read_a_graph_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str | None] = []
    triples = SeedSource.triples
    is_reading, may_go_on = threading.Event(), threading.Event()

    def slow_triples(self: SeedSource, sample_id: str | None) -> list[Triple]:
        reads.append(sample_id)
        is_reading.set()
        assert may_go_on.wait(timeout=30)
        return triples(self, sample_id)

    monkeypatch.setattr(SeedSource, "triples", slow_triples)
    store = GraphStore(base)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(store.graph, "webqsp", "s1") for _ in range(8)]
        assert is_reading.wait(timeout=30)
        # Another data set, and the cache's own state, do not wait for the slow read.
        assert store.graph("world").num_triples == 1
        assert store.cache_info().cached_items == ["world"]
        may_go_on.set()
        graphs = [future.result(timeout=30) for future in waiting]
    assert reads == ["s1", "s2", "s3"]
    assert all(graph is graphs[0] for graph in graphs)


def test_a_graph_read_before_a_clear_does_not_come_back(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_reading, may_go_on = threading.Event(), threading.Event()
    triples = SeedSource.triples

    def slow_triples(self: SeedSource, sample_id: str | None) -> list[Triple]:
        found = triples(self, sample_id)
        is_reading.set()
        assert may_go_on.wait(timeout=30)
        return found

    monkeypatch.setattr(SeedSource, "triples", slow_triples)
    store = GraphStore(base)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.graph, "webqsp", "s1")
        assert is_reading.wait(timeout=30)
        store.clear_cache()
        may_go_on.set()
        assert waiting.result(timeout=30).num_triples == 1
    assert store.cache_info().cached_items == []
