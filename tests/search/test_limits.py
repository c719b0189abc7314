"""What breaks a limit, and what of a request or a batch it takes down with it."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import ActionRegistry, GetRelationsAction
from kg_r1.search.kg_retrieval_server import build_parser
from kg_r1.search.limits import ServerLimits, has_float, is_nested_deeper, limits_of, overlong_field
from kg_r1.search.retriever import KnowledgeGraphRetriever
from kg_r1.search.server import create_app
from tests.search.conftest import ROOT

GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "borders",
}
VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def client(retriever: KnowledgeGraphRetriever, **limits: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(retriever, ServerLimits(**limits)))
    return httpx.AsyncClient(transport=transport, base_url="http://kg")


def depth(value: Any) -> int:
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def leaves(value: Any) -> list[Any]:
    inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else None
    return [value] if inner is None else [leaf for one in inner for leaf in leaves(one)]


@given(VALUES, st.integers(1, 6))
def test_the_walks_agree_with_their_definitions(value: Any, limit: int) -> None:
    assert is_nested_deeper(value, limit) == (depth(value) > limit)
    assert has_float(value) == any(isinstance(leaf, float) for leaf in leaves(value))
    long = any(isinstance(leaf, str) and len(leaf) > limit for leaf in leaves(value))
    assert overlong_field({"a": "b", "field": value}, limit) == ("field" if long else None)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", [one.name for one in fields(ServerLimits)])
def test_a_limit_is_above_zero(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"--{name} is .*; it must be above 0"):
        ServerLimits(**{name: value})


def test_every_limit_is_an_option() -> None:
    args = build_parser().parse_args(["--base_data_path", "x"])
    assert limits_of(args) == ServerLimits()
    for one in fields(ServerLimits):
        args = build_parser().parse_args(["--base_data_path", "x", f"--{one.name}", "7"])
        assert limits_of(args) == ServerLimits(**{one.name: 7})


def test_the_defaults_are_documented() -> None:
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    for one in fields(ServerLimits):
        assert (
            f"| `--{one.name}` | `{one.default:g}` |" in page
            or f"| `--{one.name}` | `{one.default}` |" in page
        )


async def test_a_body_or_batch_too_large(retriever: KnowledgeGraphRetriever) -> None:
    body = json.dumps([GOOD] * 3).encode()
    async with client(retriever, max_batch_requests=3, max_body_bytes=len(body)) as http:
        assert (await http.post("/retrieve", content=body)).status_code == 200
        for content in (body + b" ", b"[1,2,3,4]"):
            response = await http.post("/retrieve", content=content)
            assert response.status_code == 413
            assert response.json()["code"] == "too_large"


async def test_a_long_text_fails_alone(retriever: KnowledgeGraphRetriever) -> None:
    texts = ["x" * 100, "x" * 101, ["ok", "x" * 101], {"a": [{"b": "x" * 101}]}]
    requests = [{**GOOD, "relation": text, "more": text} for text in texts]
    async with client(retriever, max_text_chars=100) as http:
        items = (await http.post("/retrieve", json=[GOOD, *requests, "x" * 101, GOOD])).json()
    codes = [item["results"][0].get("code") for item in items]
    assert codes == [None, "unknown_relation", *["invalid_field"] * 4, None]
    assert items[2]["results"][0]["error"] == "field 'relation' holds a text of more than 100 characters"


@pytest.mark.parametrize("brackets", ["[]", '{"a":}'])
@pytest.mark.parametrize("around", ["%s", "[1, %s]", '[{"action_type": "x", "more": %s}, 1]'])
async def test_the_depth_of_a_body(retriever: KnowledgeGraphRetriever, brackets: str, around: str) -> None:
    opening, closing = brackets[:-1], brackets[-1]
    async with client(retriever, max_json_depth=20) as http:
        for num_levels, status in ((20, 200), (21, 422)):
            inner = num_levels - around.count("[") - around.count("{")
            body = around % (opening * (inner - 1) + "[]" + closing * (inner - 1))
            if body.startswith("{"):
                body, status = body, 422  # no list at all
            response = await http.post("/retrieve", content=body.encode())
            assert (response.status_code, num_levels) == (status, num_levels)


async def test_flat_items_do_not_hide_a_deep_one(retriever: KnowledgeGraphRetriever) -> None:
    body = b"[" + b"1," * 4000 + b"[" * 80 + b"]" * 80 + b"]"
    async with client(retriever) as http:
        assert (await http.post("/retrieve", content=body)).status_code == 422


async def test_large_items_fail_alone(retriever: KnowledgeGraphRetriever, registry: ActionRegistry) -> None:
    class Long(GetRelationsAction):
        def execute(self, entity_id: str | list[str], **kwargs: Any) -> dict[str, Any]:
            return {"text": "x" * int(str(entity_id))}

    registry["long"] = Long
    long = {"action_type": "long"}
    async with client(retriever, max_item_bytes=2000, max_reply_bytes=4000) as http:
        items = (await http.post("/retrieve", json=[GOOD, {**long, "entity_id": "2000"}, GOOD])).json()
        assert [item["results"][0].get("code") for item in items] == [None, "reply_too_large", None]
        assert "'limit'" in items[1]["results"][0]["error"]
        three = [{**long, "entity_id": "1500"}] * 3
        items = (await http.post("/retrieve", json=three)).json()
        assert [item["results"][0].get("code") for item in items] == [None, None, "reply_too_large"]
        metrics = (await http.get("/metrics")).text
    assert 'kg_items_total{action="long",code="reply_too_large"} 2.0' in metrics
    assert 'kg_items_total{action="long",code="ok"} 2.0' in metrics


async def test_more_requests_at_once_than_are_taken(base: Path, registry: ActionRegistry) -> None:
    are_waiting, may_go_on = threading.Semaphore(0), threading.Event()

    class Wait(GetRelationsAction):
        def execute(self, entity_id: str | list[str], **kwargs: Any) -> dict[str, Any]:
            are_waiting.release()
            assert may_go_on.wait(timeout=30)
            return {"waited": ["yes"]}

    registry["wait"] = Wait
    request = {"action_type": "wait", "entity_id": "x"}
    async with client(KnowledgeGraphRetriever(GraphStore(base), registry), max_concurrent_requests=2) as http:
        waiting = [asyncio.create_task(http.post("/retrieve", json=[request])) for _ in range(2)]
        for _ in waiting:
            assert await asyncio.to_thread(are_waiting.acquire, timeout=30)
        for response in (await http.post("/retrieve", json=[GOOD]), await http.get("/actions")):
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.json()["code"] == "overloaded"
        assert (await http.get("/health")).status_code == 200
        may_go_on.set()
        for response in await asyncio.gather(*waiting):
            assert response.json()[0]["results"] == [{"waited": ["yes"]}]
        assert (await http.post("/retrieve", json=[GOOD])).status_code == 200
