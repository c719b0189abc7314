"""Generated graphs have the shape asked for, and the true answers are those that the retriever gives."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import Counter
from pathlib import Path

import orjson
import pytest

from benchmarks.kg_server_data import (
    DATASET,
    MANIFEST,
    MAX_ENTITIES,
    DataShape,
    ensure_data,
    entity_id,
    subgraph_sizes,
)
from benchmarks.kg_server_inprocess import count_wrong, measure
from benchmarks.kg_server_process import BenchmarkError
from benchmarks.kg_server_queries import ACTIONS, GraphFiles, Workload, draw_workload
from kg_r1.kg.store import GraphStore
from kg_r1.search.retriever import KnowledgeGraphRetriever
from tests.benchmarks.conftest import SHAPE


def test_sizes_have_the_total_and_the_median_of_the_peers_data() -> None:
    peer = DataShape(num_subgraphs=2000, num_triples=3_970_000, median_triples=1449, seed=0)
    sizes = subgraph_sizes(peer)
    assert (len(sizes), sum(sizes)) == (2000, 3_970_000)
    assert abs(statistics.median(sizes) - 1449) <= 2
    assert max(sizes) > 10 * 1449


def test_a_mean_below_the_median_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="need at least 1000, not 900"):
        subgraph_sizes(DataShape(num_subgraphs=10, num_triples=900, median_triples=100, seed=0))


def test_ids_differ() -> None:
    spread = range(0, MAX_ENTITIES, 9973)
    assert len({entity_id(index) for index in spread}) == len(spread)


def test_the_files_hold_distinct_triples_and_names(base: Path) -> None:
    paths = sorted((base / DATASET / "subgraphs").glob("*.json"))
    graphs = [json.loads(path.read_text(encoding="utf-8"))["triples"] for path in paths]
    assert [len(triples) for triples in graphs] == subgraph_sizes(SHAPE)
    for triples in graphs:
        assert len(set(map(tuple, triples))) == len(triples)
    entities = {entity for triples in graphs for head, _, tail in triples for entity in (head, tail)}
    lines = (base / DATASET / "names.tsv").read_text(encoding="utf-8").splitlines()
    names = dict(line.split("\t") for line in lines)
    assert set(names) < entities
    assert 0.7 < len(names) / len(entities) < 0.95
    assert max(Counter(names.values()).values()) > 1


def test_data_is_made_once_and_again_when_it_was_not_finished(tmp_path: Path) -> None:
    shape = dataclasses.replace(SHAPE, num_subgraphs=2, num_triples=120, median_triples=50)
    base = ensure_data(tmp_path, shape)
    names = base / DATASET / "names.tsv"
    text = names.read_bytes()
    names.write_bytes(b"")
    assert ensure_data(tmp_path, shape) == base
    assert names.read_bytes() == b""  # it was taken as it stands
    (base / MANIFEST).unlink()
    (tmp_path / f".{shape.folder_name}.partial").mkdir()
    ensure_data(tmp_path, shape)
    assert names.read_bytes() == text
    assert [path.name for path in tmp_path.iterdir()] == [shape.folder_name]


def test_queries_are_drawn_as_described(base: Path) -> None:
    files = GraphFiles(base)
    workload = draw_workload(files, num_queries=4096, seed=0, error_share=0.0)
    requests = [orjson.loads(request) for request in workload.requests]
    counts = Counter(one["action_type"] for one in requests)
    shares = {name: count / 4096 for name, count in counts.items()}
    assert shares == pytest.approx(ACTIONS, abs=0.04)
    by_id = sum(one["entity_id"].startswith("m.0") for one in requests) / 4096
    assert by_id == pytest.approx(0.5, abs=0.05)
    assert len({one["sample_id"] for one in requests}) == SHAPE.num_subgraphs
    assert workload == draw_workload(files, num_queries=4096, seed=0, error_share=0.0)


def test_the_truth_is_what_the_retriever_answers(base: Path, workload: Workload) -> None:
    retriever = KnowledgeGraphRetriever(GraphStore(base))
    requests = [orjson.loads(request) for request in workload.requests]
    codes = Counter(orjson.loads(truth).get("code") for truth in workload.truths.values())
    assert set(codes) == {None, "unknown_entity", "unknown_relation"}
    assert count_wrong(retriever.retrieve, requests, workload.truths) == 0
    assert count_wrong(retriever.quick, requests, workload.truths) == 0
    wrong = {**workload.truths, 5: b'{"relations":[]}', 7: b'{"relations":[]}'}
    assert count_wrong(retriever.retrieve, requests, wrong) == 2


def test_queries_that_nobody_answers_are_not_counted_as_answered() -> None:
    in_four = {0: "an answer", 4: "an answer"}
    asked, answered, seconds = measure(in_four.get, range(8), 3, 0.0)
    assert (asked, answered) == (512, 128)
    assert seconds > 0


def test_the_truth_of_shared_names_and_of_names_that_are_ids(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    triples = "q1\tcapital\tq2\nq5\tcapital\tq4\nq1\tborders\tq3\nq4\tborders\tq3\nq2\tborders\tq4\n"
    (tmp_path / "world" / "triples.tsv").write_text(triples, encoding="utf-8")
    names = "q1\tFrance\nq2\tParis\nq4\tParis\nq5\tq1\n"
    (tmp_path / "world" / "names.tsv").write_text(names, encoding="utf-8")
    workload = draw_workload(GraphFiles(tmp_path), num_queries=256, seed=0, error_share=0.0)
    retriever = KnowledgeGraphRetriever(GraphStore(tmp_path))
    requests = [orjson.loads(request) for request in workload.requests]
    assert workload.num_triples == 5
    assert len(workload.truths) == 256
    assert any(b'"matched_entities"' in truth for truth in workload.truths.values())
    assert any(b'"q1 [q5]"' in truth for truth in workload.truths.values())
    assert count_wrong(retriever.retrieve, requests, workload.truths) == 0
    with pytest.raises(BenchmarkError, match="data set 'other'"):
        GraphFiles(tmp_path, "other")
