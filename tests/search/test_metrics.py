"""Counts: what is counted, what workers share of it, and what Prometheus reads."""

from __future__ import annotations

import threading

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kg_r1.search.metrics import SECONDS_BUCKETS, Counts, CountsCollector
from kg_r1.search.retriever import KnowledgeGraphRetriever
from kg_r1.search.server import create_app
from kg_r1.search.shared import HALF_BYTES, SharedState
from kg_r1.search.worker_state import WorkerState

CAPITAL = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "capital",
}


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted(path: str, status: int, seconds: float, items: dict[tuple[str, str], int]) -> Counts:
    counts = Counts()
    counts.add(path, status, seconds, items)
    return counts


def test_counts_survive_packing() -> None:
    counts = counted("/retrieve", 200, 0.003, {("get_relations", "ok"): 3})
    counts.add("/retrieve", 422, 99.0, {})
    counts.num_cached = 4
    assert vars(Counts.unpack(counts.pack())) == vars(counts)
    assert vars(Counts.unpack(b"")) == vars(Counts())


def test_the_metrics_of_several_workers_are_added_up() -> None:
    first = counted("/retrieve", 200, 0.003, {("get_relations", "ok"): 3})
    second = counted("/retrieve", 200, 50.0, {("get_relations", "ok"): 4, ("unknown", "unknown_action"): 1})
    second.add("/health", 200, 0.0005, {})
    first.num_cached, second.num_cached = 2, 5
    found = samples(CountsCollector(lambda: [first, second], lambda: 7).exposition().decode())
    path = ("path", "/retrieve")
    assert found["kg_http_requests_total", (path, ("status", "200"))] == 2
    assert found["kg_items_total", (("action", "get_relations"), ("code", "ok"))] == 7
    assert found["kg_items_total", (("action", "unknown"), ("code", "unknown_action"))] == 1
    assert found["kg_request_seconds_count", (path,)] == 2
    assert found["kg_request_seconds_sum", (path,)] == pytest.approx(50.003)
    buckets = {end: found["kg_request_seconds_bucket", (("le", str(end)), path)] for end in SECONDS_BUCKETS}
    assert [end for end, number in buckets.items() if number == 0] == [0.0005, 0.001, 0.0025]
    assert found["kg_request_seconds_bucket", (("le", "+Inf"), path)] == 2
    assert found["kg_request_seconds_bucket", (("le", "0.0005"), ("path", "/health"))] == 1
    assert found["kg_store_datasets", ()] == 7
    assert found["kg_store_cached_graphs", (("worker", "1"),)] == 5


async def test_what_an_app_counts(retriever: KnowledgeGraphRetriever) -> None:
    transport = httpx.ASGITransport(create_app(retriever))
    async with httpx.AsyncClient(transport=transport, base_url="http://kg") as http:
        await http.post("/retrieve", json=[CAPITAL, CAPITAL, {**CAPITAL, "action_type": "x1"}, 3])
        await http.post("/retrieve", content=b"{")
        for number in range(20):
            await http.get(f"/made/up/{number}")
        response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    found = samples(response.text)
    assert found["kg_http_requests_total", (("path", "/retrieve"), ("status", "200"))] == 1
    assert found["kg_http_requests_total", (("path", "/retrieve"), ("status", "422"))] == 1
    assert found["kg_http_requests_total", (("path", "other"), ("status", "404"))] == 20
    assert {labels for name, labels in found if name == "kg_items_total"} == {
        (("action", "get_tail_entities"), ("code", "ok")),
        (("action", "unknown"), ("code", "invalid_field")),
        (("action", "unknown"), ("code", "unknown_action")),
    }
    assert found["kg_items_total", (("action", "get_tail_entities"), ("code", "ok"))] == 2
    assert found["kg_store_datasets", ()] == 2
    assert found["kg_store_cached_graphs", (("worker", "0"),)] == 1


def test_a_worker_goes_on_where_the_one_before_was_killed(retriever: KnowledgeGraphRetriever) -> None:
    shared = SharedState(2)
    state = WorkerState(retriever.store, shared, 1)
    state.note("/retrieve", 200, 0.1, {("get_relations", "ok"): 2})
    successor = WorkerState(retriever.store, shared, 1)
    successor.note("/retrieve", 200, 0.1, {("get_relations", "ok"): 3})
    other = WorkerState(retriever.store, shared, 0)
    assert [one.items["get_relations", "ok"] for one in other.all_counts()] == [0, 5]


def test_a_clear_is_seen_once_by_every_worker(retriever: KnowledgeGraphRetriever) -> None:
    shared = SharedState(3)
    states = [WorkerState(retriever.store, shared, worker) for worker in range(3)]
    retriever.retrieve(CAPITAL)
    states[1].clear_everywhere()
    assert retriever.store.cache_info().cache_size == 0
    retriever.retrieve(CAPITAL)
    states[1].follow_clears()
    assert retriever.store.cache_info().cache_size == 1  # its own clear is done
    states[2].follow_clears()
    assert retriever.store.cache_info().cache_size == 0
    retriever.retrieve(CAPITAL)
    states[2].follow_clears()
    assert retriever.store.cache_info().cache_size == 1


def test_counts_are_read_whole_while_they_are_written() -> None:
    shared = SharedState(2)
    stop = threading.Event()
    seen: list[Counts] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(shared.counts(1))

    reader = threading.Thread(target=read)
    reader.start()
    counts = Counts()
    for number in range(3000):
        counts.add(f"/path/{number % 50}", 200, 0.1, {("a", "ok"): 1})
        shared.publish(1, counts)
    stop.set()
    reader.join()
    assert len(seen) > 1
    for one in seen:
        assert one.items["a", "ok"] == sum(one.requests.values()) == sum(map(sum, one.buckets.values()))
    assert shared.counts(1).items["a", "ok"] == 3000
    assert shared.counts(0).items == {}


def test_counts_that_do_not_fit_leave_the_last_ones(caplog: pytest.LogCaptureFixture) -> None:
    shared = SharedState()
    counts = counted("/a", 200, 0.1, {})
    shared.publish(0, counts)
    counts.items.update({(f"action {number}", "x" * 100): 1 for number in range(HALF_BYTES // 10)})
    shared.publish(0, counts)
    assert "its metrics stand still" in caplog.text
    assert shared.counts(0).requests == {("/a", 200): 1}


def test_counts_can_be_read_in_a_thread_while_requests_are_counted(
    retriever: KnowledgeGraphRetriever,
) -> None:
    state = WorkerState(retriever.store)
    seen: list[Counts] = []
    errors: list[RuntimeError] = []

    is_over = threading.Event()

    def read() -> None:
        try:
            while not is_over.is_set():
                seen.extend(state.all_counts())
        except RuntimeError as error:  # what Python raises when a dictionary grows under a loop
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    number = 0
    while number < 5000 or len(seen) < 50:
        state.note(f"/path/{number % 4000}", 200, 0.1, {(f"action {number % 3000}", "ok"): 1})
        number += 1
        assert not errors
    is_over.set()
    thread.join()
    assert errors == []
    assert 0 < max(one.requests.total() for one in seen) <= number
