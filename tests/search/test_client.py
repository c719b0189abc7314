"""The clients against servers that work, are down, are slow, answer nonsense, and recover."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kg_r1.search.client import (
    HttpKGClient,
    InProcessKGClient,
    KGClient,
    Retrieval,
    RetrievalError,
    check_server,
    parse_item,
)
from kg_r1.search.errors import ServerUnavailable
from kg_r1.search.server import KnowledgeGraphRetriever
from tests.search.conftest import ScriptedServer, ServerProcess

GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "borders",
}
ITEM = {"results": [{"tail_entities": ["Andorra", "Spain"]}], "query_time": 0.5, "total_results": 2}
REPLY = (200, json.dumps([ITEM]).encode())
Start = Callable[..., ScriptedServer]


def client(address: str, **options: Any) -> HttpKGClient:
    return HttpKGClient(f"{address}/retrieve", **{"timeout_s": 20, "backoff_s": 0.001, **options})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def test_both_clients_give_the_same(
    base: Path, retriever: KnowledgeGraphRetriever, start_server: Callable[..., ServerProcess]
) -> None:
    over_http: KGClient = client(start_server("--base_data_path", base).address)
    in_process: KGClient = InProcessKGClient(retriever)
    requests = [
        GOOD,
        {**GOOD, "entity_id": ["Paris", "Lyon"], "relation": "located_in"},
        {**GOOD, "entity_id": "Fra\ud800nce"},
        {**GOOD, "action_type": "nope"},
    ]
    answers = await over_http.retrieve_batch(requests)
    for answer, other in zip(answers, await in_process.retrieve_batch(requests), strict=True):
        assert (answer.results, answer.total_results, answer.error) == (
            other.results,
            other.total_results,
            other.error,
        )
    assert [answer.ok for answer in answers] == [True, True, False, False]
    assert answers[0].items() == ["Andorra", "Spain"]
    assert answers[1].items() == ["France", "Texas"]
    assert answers[1].results[0]["unknown_entities"] == ["Lyon"]
    assert answers[3].error is not None and answers[3].error.code == "unknown_action"
    assert answers[3].items() == []
    one = await over_http.retrieve(GOOD)
    assert one.items() == (await in_process.retrieve(GOOD)).items() == ["Andorra", "Spain"]
    assert await over_http.retrieve_batch([]) == await in_process.retrieve_batch([]) == []
    await over_http.aclose()
    await in_process.aclose()
    assert (await over_http.retrieve(GOOD)).ok
    await over_http.aclose()


async def test_a_server_that_is_down() -> None:
    down = client(f"http://127.0.0.1:{free_port()}", max_retries=2)
    first, second = await down.retrieve_batch([GOOD, GOOD])
    assert first == second
    assert first.error is not None
    assert first.error.code == "server_unavailable"
    assert down.search_url in first.error.message
    assert (first.results, first.total_results, first.items()) == ((), 0, [])


async def test_a_server_that_is_slow(scripted_server: Start) -> None:
    server = scripted_server(None)
    answer = await client(server.address, timeout_s=0.05, max_retries=1).retrieve(GOOD)
    assert answer.error == RetrievalError(
        "server_timeout", f"no answer from {server.address}/retrieve within 0.05 s"
    )
    assert server.num_requests == 2


@pytest.mark.parametrize(
    "failure",
    [
        (500, b"oops"),
        (503, b""),
        (429, b"slow down"),
        (200, b"<html>"),
        (200, b"\xff"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (302, b""),
    ],
)
async def test_a_server_that_answers_nonsense(scripted_server: Start, failure: tuple[int, bytes]) -> None:
    server = scripted_server(failure)
    answer = await client(server.address, max_retries=2).retrieve(GOOD)
    assert answer.error is not None
    assert answer.error.code == "bad_response"
    assert server.address in answer.error.message
    assert "\n" not in answer.error.message
    assert answer.items() == []
    assert server.num_requests == (1 if failure[0] == 302 else 3)


async def test_a_server_that_recovers(scripted_server: Start) -> None:
    server = scripted_server((500, b""), (200, b"garbage"), (502, b"{}"), REPLY)
    answer = await client(server.address, max_retries=3).retrieve(GOOD)
    assert answer == Retrieval(({"tail_entities": ["Andorra", "Spain"]},), 0.5, 2)
    assert server.num_requests == 4
    assert server.bodies == [[GOOD]] * 4


async def test_a_slow_server_that_recovers(scripted_server: Start) -> None:
    server = scripted_server(None, REPLY)
    patient = client(server.address, timeout_s=0.3, max_retries=20)
    assert (await patient.retrieve(GOOD)).ok
    assert server.num_requests >= 2


async def test_a_refused_request_is_not_repeated(scripted_server: Start) -> None:
    server = scripted_server((422, b'{"error": "the body must be a list", "code": "bad_request"}'))
    answer = await client(server.address).retrieve(GOOD)
    assert answer.error is not None
    assert answer.error.code == "bad_response"
    assert "422" in answer.error.message and "must be a list" in answer.error.message
    assert server.num_requests == 1


async def test_pauses_double_and_are_the_same_for_the_same_seed(
    scripted_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = scripted_server((500, b""))
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    for seed in (1, 1, 2):
        await client(server.address, backoff_s=8.0, max_retries=3, seed=seed).retrieve(GOOD)
    first, again, other = pauses[:3], pauses[3:6], pauses[6:]
    assert first == again != other
    for retry, pause in enumerate(first):
        assert 0.5 * 8 * 2**retry <= pause <= 1.5 * 8 * 2**retry


async def test_waiting_for_a_connection_is_no_timeout(scripted_server: Start) -> None:
    server = scripted_server(REPLY)
    narrow = client(server.address, max_connections=1)
    answers = await asyncio.gather(*(narrow.retrieve(GOOD) for _ in range(20)))
    assert all(answer.ok for answer in answers)
    assert server.num_requests == 20


def test_one_client_serves_one_event_loop_after_another(scripted_server: Start) -> None:
    shared = client(scripted_server(REPLY).address)
    for _ in range(3):
        assert asyncio.run(shared.retrieve(GOOD)).ok
    asyncio.run(shared.aclose())


async def test_a_proxy_of_the_environment_is_not_used(
    scripted_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert (await client(scripted_server(REPLY).address).retrieve(GOOD)).ok


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {},
        {**ITEM, "results": {}},
        {**ITEM, "results": ["x"]},
        {**ITEM, "query_time": "fast"},
        {**ITEM, "query_time": None},
        {**ITEM, "total_results": 1.5},
        {**ITEM, "total_results": True},
        {"results": []},
    ],
)
def test_an_item_that_is_not_as_documented_is_an_error(item: Any) -> None:
    answer = parse_item(item)
    assert answer.error is not None
    assert answer.error.code == "bad_response"
    assert answer.items() == []


def test_the_items_of_a_result() -> None:
    result = {
        "a": ["x", 5, {"y": "ü"}],
        "b": "z",
        "c": None,
        "matched_entities": ["m"],
        "unknown_entities": ["u"],
    }
    answer = parse_item({"results": [result, {"d": ["w"]}], "query_time": 1, "total_results": 5})
    assert answer.items() == ["x", "5", '{"y": "ü"}', "z", "w"]
    failed = parse_item(
        {"results": [{"error": "no", "code": "no_results"}], "query_time": 1, "total_results": 0}
    )
    assert (failed.ok, failed.error, failed.items()) == (False, RetrievalError("no_results", "no"), [])


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8001/retrieve", "ftp://kg/retrieve", "http://", "http://[::1/", None]
)
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match="search_url"):
        HttpKGClient(url)
    with pytest.raises(ValueError, match="search_url"):
        check_server(url)


@pytest.mark.parametrize(
    "options", [{"timeout_s": 0}, {"max_retries": -1}, {"backoff_s": -1}, {"max_connections": 0}]
)
def test_a_limit_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        HttpKGClient("http://127.0.0.1:8001/retrieve", **options)


def test_check_server_accepts_a_running_one(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    address = start_server("--base_data_path", base).address
    check_server(f"{address}/retrieve")
    check_server(f"{address}/retrieve/")


def test_check_server_names_the_address_and_the_command() -> None:
    port = free_port()
    with pytest.raises(ServerUnavailable) as caught:
        check_server(f"http://127.0.0.1:{port}/retrieve")
    line = str(caught.value)
    assert f"no KG server answers at http://127.0.0.1:{port}/retrieve" in line
    assert f"python kg_r1/search/kg_retrieval_server.py --base_data_path data_kg --port {port}" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>"), "is not a KG server"),
        ((200, b"[]"), "is not a KG server"),
        ((200, b'{"status": "healthy", "service": "other"}'), "is not a KG server"),
        ((200, b'{"status": "ill", "service": "kg_retrieval"}'), "is not healthy"),
        ((500, b'{"status": "healthy", "service": "kg_retrieval"}'), "is not healthy"),
        (None, "no KG server answers"),
    ],
)
def test_check_server_refuses_anything_else(
    scripted_server: Start, answer: tuple[int, bytes] | None, words: str
) -> None:
    with pytest.raises(ServerUnavailable, match=words):
        check_server(f"{scripted_server(answer).address}/retrieve", timeout_s=0.2 if answer is None else 20)
