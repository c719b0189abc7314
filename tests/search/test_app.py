"""The endpoints, field by field, without a socket."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import kg_r1
from kg_r1.kg.graph import Subgraph
from kg_r1.search.actions import ActionRegistry, GetRelationsAction
from kg_r1.search.server import KnowledgeGraphRetriever, create_app

GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "capital",
}


@pytest.fixture
def http(retriever: KnowledgeGraphRetriever) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(retriever), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://kg")


async def test_retrieve_keeps_the_order_and_answers_what_it_can(http: httpx.AsyncClient) -> None:
    spain = {**GOOD, "entity_id": "Spain"}
    response = await http.post("/retrieve", json=[GOOD, 5, {**GOOD, "action_type": "x"}, spain])
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    items = response.json()
    assert all(set(item) == {"results", "query_time", "total_results"} for item in items)
    assert [item["total_results"] for item in items] == [1, 0, 0, 1]
    assert items[0]["results"] == [{"tail_entities": ["Paris [q2]"]}]
    assert [item["results"][0].get("code") for item in items] == [
        None,
        "invalid_field",
        "unknown_action",
        None,
    ]
    assert items[3]["results"] == [{"tail_entities": ["Madrid"]}]


async def test_an_empty_list_gives_an_empty_list(http: httpx.AsyncClient) -> None:
    response = await http.post("/retrieve", content=b" [] ")
    assert (response.status_code, response.json()) == (200, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"[" + b"9" * 5000 + b"]", "not JSON"),
        (json.dumps(GOOD).encode(), "not an object"),
        (b'"text"', "not text"),
        (b"null", "not null"),
        (b"3", "not a number"),
    ],
)
async def test_a_body_that_is_no_list_is_refused(http: httpx.AsyncClient, body: bytes, words: str) -> None:
    response = await http.post("/retrieve", content=body)
    assert response.status_code == 422
    assert set(response.json()) == {"error", "code"}
    assert response.json()["code"] == "bad_request"
    assert words in response.json()["error"]


async def test_lone_surrogates_come_back_as_they_went(
    http: httpx.AsyncClient, registry: ActionRegistry
) -> None:
    class Echo(GetRelationsAction):
        def execute(self, entity_id: str | list[str], **kwargs: Any) -> dict[str, Any]:
            return {"echo": [entity_id]}

    registry["echo"] = Echo
    body = b'[{"action_type": "echo", "entity_id": "a\\ud800b"}]'
    response = await http.post("/retrieve", content=body)
    assert response.status_code == 200
    assert json.loads(response.content)[0]["results"] == [{"echo": ["a\ud800b"]}]


async def test_health(http: httpx.AsyncClient) -> None:
    health = (await http.get("/health")).json()
    assert set(health) == {"status", "service", "version", "uptime"}
    assert (health["status"], health["service"]) == ("healthy", "kg_retrieval")
    assert health["version"] == kg_r1.__version__
    assert health["uptime"] >= 0


async def test_actions_follow_the_registry(http: httpx.AsyncClient, registry: ActionRegistry) -> None:
    actions = (await http.get("/actions")).json()
    assert set(actions) == {"available_actions", "action_details"}
    assert actions["available_actions"] == [
        "get_relations",
        "get_head_relations",
        "get_tail_relations",
        "get_head_entities",
        "get_tail_entities",
        "get_conditional_relations",
    ]
    assert actions["action_details"]["get_tail_entities"] == {
        "required_fields": ["sample_id", "dataset_name", "entity_id", "relation"],
        "description": "Lists the entities that an entity has a relation to.",
    }
    del registry["get_relations"]
    actions = (await http.get("/actions")).json()
    assert "get_relations" not in actions["available_actions"]
    assert "get_relations" not in actions["action_details"]


async def test_data_sets_are_those_of_the_folder(http: httpx.AsyncClient, base: Path) -> None:
    assert (await http.get("/datasets")).json() == {"datasets": ["webqsp", "world"]}
    (base / "empty").mkdir()
    (base / "moon").mkdir()
    (base / "moon" / "triples.tsv").write_text("a\tb\tc\n", encoding="utf-8")
    assert (await http.get("/datasets")).json() == {"datasets": ["moon", "webqsp", "world"]}


async def test_cache(http: httpx.AsyncClient) -> None:
    empty = {"cache_enabled": True, "cache_size": 0, "max_cache_size": 1000, "cached_items": []}
    assert (await http.get("/cache/info")).json() == empty
    sample = {"action_type": "get_relations", "dataset_name": "webqsp", "sample_id": "s1", "entity_id": "m.1"}
    await http.post("/retrieve", json=[GOOD, sample])
    assert (await http.get("/cache/info")).json() == {
        **empty,
        "cache_size": 2,
        "cached_items": ["world", "webqsp:s1"],
    }
    cleared = await http.post("/cache/clear")
    assert cleared.json() == {"message": "Cache cleared successfully"}
    assert (await http.get("/cache/info")).json() == empty


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("GET", "/retrieve", 405, "method_not_allowed")],
)
async def test_every_refusal_has_one_shape(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await http.request(method, path)
    assert response.status_code == status
    assert set(response.json()) == {"error", "code"}
    assert response.json()["code"] == code


async def test_the_schema_documents_the_request(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/openapi.json")).json()
    body = schema["paths"]["/retrieve"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["type"] == "array"
    assert {"action_type", "dataset_name", "sample_id", "entity_id", "relation"} <= set(
        body["items"]["properties"]
    )


async def test_health_answers_while_a_graph_is_read(
    http: httpx.AsyncClient, retriever: KnowledgeGraphRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reading, may_go_on = threading.Event(), threading.Event()
    load = retriever.store.graph

    def slow_graph(dataset_name: str, sample_id: str | None = None) -> Subgraph:
        is_reading.set()
        assert may_go_on.wait(timeout=30)
        return load(dataset_name, sample_id)

    monkeypatch.setattr(retriever.store, "graph", slow_graph)
    waiting = asyncio.create_task(http.post("/retrieve", json=[GOOD]))
    assert await asyncio.to_thread(is_reading.wait, 30)
    assert (await http.get("/health")).json()["status"] == "healthy"
    assert not waiting.done()
    may_go_on.set()
    assert (await waiting).json()[0]["total_results"] == 1


@pytest.mark.parametrize("path", ["/health", "/retrieve", "/nowhere"])
async def test_every_reply_has_a_request_id(http: httpx.AsyncClient, path: str) -> None:
    for given in ("A.b_-9", "a" * 128):
        response = await http.get(path, headers={"X-Request-ID": given})
        assert response.headers["x-request-id"] == given
    for given in ("a" * 129, "", "a b", "ä", "a;b", "a\tb"):
        made = (await http.get(path, headers={"X-Request-ID": given.encode()})).headers["x-request-id"]
        assert len(made) == 32 and int(made, 16) >= 0
    assert (await http.get(path)).headers["x-request-id"] != (await http.get(path)).headers["x-request-id"]


async def test_the_log_has_a_line_per_request_and_never_its_body(
    retriever: KnowledgeGraphRetriever, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = httpx.ASGITransport(create_app(retriever, logs_requests=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://kg") as client:
        reply = await client.post("/retrieve?q=secret", json=[GOOD, GOOD], headers={"X-Request-ID": "abc"})
        await client.post("/retrieve", content=b"secret")
        await client.get("/" + "long%0A" * 100)
    text = capsys.readouterr().err
    assert "secret" not in text and "France" not in text
    first, second, third = map(json.loads, text.splitlines())
    assert set(first) == {"time", "id", "method", "path", "status", "items", "seconds", "bytes"}
    assert datetime.fromisoformat(first["time"]).utcoffset() == timedelta(0)
    assert (first["id"], first["method"], first["path"], first["status"]) == ("abc", "POST", "/retrieve", 200)
    assert (first["items"], first["bytes"]) == (2, len(reply.content))
    assert first["seconds"] > 0
    assert (second["status"], second["items"]) == (422, None)
    assert (third["status"], len(third["path"])) == (404, 200)


async def test_what_breaks_is_told_without_its_inside(
    http: httpx.AsyncClient, retriever: KnowledgeGraphRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: object) -> bytes:
        raise RuntimeError("inside")

    monkeypatch.setattr(retriever, "quick", broken)
    response = await http.post("/retrieve", json=[GOOD])
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "inside" not in response.text
    monkeypatch.setattr(retriever.store, "cache_info", broken)
    response = await http.get("/cache/info")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "x-request-id" in response.headers


async def test_an_application_that_is_mounted_below_a_path(retriever: KnowledgeGraphRetriever) -> None:
    outer = Starlette(routes=[Mount("/kg", create_app(retriever))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://kg") as http:
        items = (await http.post("/kg/retrieve", json=[GOOD])).json()
        assert items[0]["results"] == [{"tail_entities": ["Paris [q2]"]}]
        assert (await http.get("/kg/health")).json()["status"] == "healthy"
        counted = (await http.get("/kg/metrics")).text
    assert 'kg_http_requests_total{path="/retrieve",status="200"} 1.0' in counted
