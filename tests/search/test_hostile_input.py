"""What no client should send, over real sockets: it fails alone, and never becomes part of a path."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import ACTION_REGISTRY, ActionRegistry
from kg_r1.search.errors import CODES
from kg_r1.search.retriever import KnowledgeGraphRetriever
from tests.search.conftest import ServerProcess

GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "webqsp",
    "sample_id": "s1",
    "entity_id": "m.1",
    "relation": "type",
    "concept": "birth",
}
GOOD_RESULT = [{"tail_entities": ["author", "person"]}]
FIELDS = ("action_type", "dataset_name", "sample_id", "entity_id", "relation", "concept", "made_up")
TEXTS = {
    "nul": "a\x00b",
    "right to left": "‮m.1‏",
    "quotes": "\"'`${}",
    "newlines": "a\r\nb\n\n",
    "lone surrogate": "\ud800",
    "reversed pair": "\udc00\ud800",
    "up": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "empty": "",
    "combining": "ẹ̶̀" * 1000,
    "outside the plane": "😀" * 1000,
    "escape codes": "\x1b[2J",
    "longest": "x" * 100_000,
}
BODIES = {
    "cut off": b'[{"action_type": "get_rel',
    "two lists": b"[] []",
    "no UTF-8": b'[{"a": "\xff"}]',
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 500 + b"]" * 500,
    "a long number": b"[" + b"9" * 10_000 + b"]",
    "an object": b"{}",
    "nothing": b"",
    "NUL": b"\x00" * 100,
}


def refuses(http: httpx.Client, body: bytes) -> bool:
    response = http.post("/retrieve", content=body)
    return (response.status_code, response.json()["code"]) == (422, "bad_request")


def test_hostile_requests_and_bodies(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--base_data_path", base)
    with httpx.Client(base_url=server.address, timeout=60) as http:
        check_texts_in_fields(http)
        for field in ("dataset_name", "entity_id", "relation"):
            requests = [GOOD, {**GOOD, field: "x" * 10_000_000}, GOOD]
            response = http.post("/retrieve", json=requests)
            codes = [item["results"][0].get("code") for item in response.json()]
            assert codes == [None, "invalid_field", None]
            assert len(response.content) < 1000
        assert [name for name, body in BODIES.items() if not refuses(http, body)] == []
        check_any_bytes(http)
        assert http.get("/health").status_code == 200
    assert "Traceback" not in "".join(server.lines) + read_rest(server)


def read_rest(server: ServerProcess) -> str:
    server.stop()
    return server.lines[-1]


def check_any_bytes(http: httpx.Client) -> None:
    as_text = st.text(max_size=50).map(lambda text: json.dumps([text]).encode())

    @given(body=st.binary(max_size=200) | as_text)
    @settings(max_examples=200, deadline=None)
    def check(body: bytes) -> None:
        assert http.post("/retrieve", content=body).status_code in (200, 422)

    check()


def check_texts_in_fields(http: httpx.Client) -> None:
    requests: list[Any] = [{**GOOD, field: text} for field in FIELDS for text in TEXTS.values()]
    requests += [{**GOOD, "entity_id": [text, "m.1"]} for text in TEXTS.values()]
    requests += [
        {**GOOD, field: value} for field in FIELDS for value in (5, 1.5, True, {}, [[]], [None], 2**70)
    ]
    requests += [None, 1, "text", [], [GOOD], {}]
    spoilt = [one for request in requests for one in (request, GOOD)]
    response = http.post("/retrieve", content=json.dumps(spoilt))
    assert response.status_code == 200
    items = response.json()
    assert len(items) == len(spoilt)
    assert all(item["results"] == GOOD_RESULT for item in items[1::2])
    for request, item in zip(requests, items[::2], strict=True):
        assert set(item) == {"results", "query_time", "total_results"}
        [result] = item["results"]
        assert "error" not in result or (result["code"] in CODES and "\n" not in result["error"]), request
        assert is_harmless(request) or "error" in result, request


def is_harmless(request: Any) -> bool:
    """Whether only fields that the action does not look at were changed, or one name of several."""
    if not isinstance(request, dict):
        return False
    changed = {field for field in request if request[field] != GOOD.get(field)}
    one_of_several = isinstance(request.get("entity_id"), list) and "m.1" in request["entity_id"]
    is_text = all(isinstance(request[field], str) for field in changed & {"concept"})
    return (changed <= {"made_up", "concept"} and is_text and bool(request)) or one_of_several


def test_a_body_over_the_limit_and_a_slow_one(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    limits = ("--max_body_bytes", "1000", "--max_body_read_s", "0.2")
    server = start_server("--base_data_path", base, *limits)
    chunks = (b"[" + b" " * 600 for _ in range(1000))
    for content in (b"[" + b" " * 1000 + b"]", chunks):
        response = httpx.post(f"{server.address}/retrieve", content=content, timeout=60)
        assert (response.status_code, response.json()["code"]) == (413, "too_large")
    address = ("127.0.0.1", int(server.address.rsplit(":", 1)[1]))
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"POST /retrieve HTTP/1.1\r\nHost: kg\r\nContent-Length: 9\r\n\r\n[")
        with connection.makefile("rb") as stream:
            reply = stream.read()  # to the end: the server closes what it cannot read on
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in reply


PATHS_SEEN: list[str] | None = None


def note_paths(event: str, arguments: tuple[Any, ...]) -> None:
    if PATHS_SEEN is not None and event in ("open", "os.listdir", "os.scandir", "os.rename", "os.mkdir"):
        PATHS_SEEN.append(str(arguments[0]))


@pytest.fixture
def paths_seen() -> Iterator[list[str]]:
    """Every path that Python opens or lists while the test runs."""
    global PATHS_SEEN
    if "paths" not in HOOKED:
        sys.addaudithook(note_paths)  # for good: Python has no way to remove one
        HOOKED.add("paths")
    PATHS_SEEN = []
    yield PATHS_SEEN
    PATHS_SEEN = None


HOOKED: set[str] = set()


def test_no_text_of_a_request_becomes_part_of_a_path(
    base: Path, tmp_path: Path, registry: ActionRegistry, paths_seen: list[str]
) -> None:
    shutil.copytree(base / "webqsp", tmp_path / "outside")
    paths_seen.clear()
    inside = "subgraphs/s1"
    names = [
        "../outside",
        str(tmp_path / "outside"),
        "webqsp/../webqsp",
        "./webqsp",
        "webqsp/",
        "..",
        "~",
        "world/..",
    ]
    samples = [
        f"../{inside}",
        f"../../outside/{inside}",
        str(tmp_path / "outside" / inside),
        "./s1",
        "s1.json",
        "s1/",
    ]
    requests = [{**GOOD, "dataset_name": name} for name in names]
    requests += [{**GOOD, "sample_id": sample} for sample in samples]
    retriever = KnowledgeGraphRetriever(GraphStore(base), registry)
    for action in ACTION_REGISTRY:
        items = [retriever.retrieve({**request, "action_type": action}) for request in requests]
        codes = [item["results"][0].get("code") for item in items]
        assert codes[: len(names)] == ["unknown_dataset"] * len(names)
        assert codes[len(names) :] == ["unknown_sample"] * len(samples)
    assert retriever.retrieve(GOOD)["results"] == GOOD_RESULT
    read = [path for path in paths_seen if "s1.json" in path]
    assert read == [str(base / "webqsp" / "subgraphs" / "s1.json")]
    assert not [path for path in paths_seen if ".." in path or "outside" in path]
