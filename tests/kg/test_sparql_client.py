"""The protocol against servers that are busy, slow, down, talk nonsense, or cut their answers short."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from kg_r1.kg import sparql_client
from kg_r1.kg.errors import DataError, EndpointError, EndpointUnavailable, TooManyResults
from kg_r1.kg.sparql_client import Cell, SparqlClient
from kg_r1.kg.sparql_config import SparqlSettings

Answer = tuple[int, bytes, dict[str, str]]
EMPTY = json.dumps({"head": {"vars": []}, "results": {"bindings": []}}).encode()
GOOD: Answer = (200, EMPTY, {})
QUERY = "SELECT * { ?s ?p 'a&b=c' }"


class Scripted:
    """A server that plays one prepared answer per request, the last one over and over."""

    def __init__(self, answers: tuple[Answer | Callable[[Any], None], ...]) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(urllib.parse.urlsplit(self.path).query)

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def answer(self, form: str) -> None:
                number = len(outer.requests)
                query = urllib.parse.parse_qs(form).get("query", [""])[0]
                outer.requests.append((self.command, query, dict(self.headers.items())))
                answer = answers[min(number, len(answers) - 1)]
                if callable(answer):
                    answer(self)
                    return
                status, body, headers = answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the tests look at `requests`."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/sparql"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=30)


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    servers: list[Scripted] = []

    def start(*answers: Answer | Callable[[Any], None]) -> Scripted:
        servers.append(Scripted(answers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client wanted, in seconds; none is made."""
    wanted: list[float] = []
    monkeypatch.setattr(sparql_client.time, "sleep", wanted.append)
    return wanted


def client(address: str, **settings: Any) -> SparqlClient:
    return SparqlClient(SparqlSettings(endpoint=address, **settings), {"X-Key": "secret"})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_goes_out_whole_with_its_headers(scripted: Callable[..., Scripted], method: str) -> None:
    server = scripted(GOOD)
    one = client(server.address, method=method, user_agent="me/1 (mail@example.org)")
    assert one.select(QUERY) == []
    ((sent_method, query, headers),) = server.requests
    assert (sent_method, query) == (method, QUERY)
    assert headers["Accept"] == "application/sparql-results+json"
    assert (headers["User-Agent"], headers["X-Key"]) == ("me/1 (mail@example.org)", "secret")


def test_rows_hold_what_can_be_asked_about_next(scripted: Callable[..., Scripted]) -> None:
    binding = {
        "iri": {"type": "uri", "value": "http://e.org/é"},
        "bad": {"type": "uri", "value": "http://e.org/a b"},
        "text": {"type": "literal", "value": "x", "xml:lang": "EN"},
        "old": {"type": "typed-literal", "value": "1", "datatype": "http://d.org/"},
        "blank": {"type": "bnode", "value": "b0"},
        "white": {"type": "literal", "value": " \n"},
        "broken": {"type": "literal", "value": "\ud800"},
        "odd": 5,
    }
    server = scripted((200, json.dumps({"results": {"bindings": [binding, {}]}}).encode(), {}))
    first, second = client(server.address).select(QUERY)
    assert second == {}
    assert first == {
        "iri": Cell("http://e.org/é", True),
        "text": Cell("x", False, "en"),
        "old": Cell("1", False),
    }


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_busy_endpoint_is_asked_again(
    scripted: Callable[..., Scripted], pauses: list[float], status: int
) -> None:
    server = scripted((status, b"busy", {}), (status, b"busy", {}), GOOD)
    one = client(server.address, backoff_s=0.5)
    assert one.select(QUERY) == []
    assert pauses == [0.5, 1.0]
    assert (one.num_queries, one.num_attempts) == (1, 3)


def test_the_pause_asked_for_is_made(scripted: Callable[..., Scripted], pauses: list[float]) -> None:
    later = format_datetime(datetime.now(tz=UTC) + timedelta(seconds=20), usegmt=True)
    retry_after = ("7", later, "nonsense")
    server = scripted(*((429, b"", {"Retry-After": text}) for text in retry_after), GOOD)
    client(server.address).select(QUERY)
    assert pauses[0] == 7
    assert 15 < pauses[1] <= 20
    assert pauses[2] == 2.0  # the third pause of our own


def test_a_longer_pause_than_allowed_is_an_error_at_once(
    scripted: Callable[..., Scripted], pauses: list[float]
) -> None:
    server = scripted((429, b"slow down", {"Retry-After": "600"}))
    with pytest.raises(EndpointUnavailable, match=r"429 'slow down'.*pause of 600 s") as caught:
        client(server.address, max_wait_s=30.0).select(QUERY)
    assert (caught.value.code, pauses, len(server.requests)) == ("endpoint_unavailable", [], 1)


def test_after_the_last_try_the_failure_is_told(
    scripted: Callable[..., Scripted], pauses: list[float]
) -> None:
    server = scripted((503, b"", {}))
    with pytest.raises(EndpointUnavailable, match="answered 503"):
        client(server.address, max_retries=2).select(QUERY)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((400, b"parse error at 'x'", {}), EndpointError, ["400", "parse error"]),
        ((401, b"", {}), EndpointError, ["401", "headers_file"]),
        ((301, b"", {"Location": "https://other/"}), EndpointError, ["301", "'https://other/'"]),
        ((500, b"timeout", {}), EndpointUnavailable, ["500", "timeout"]),
        ((206, EMPTY, {}), EndpointUnavailable, ["cut its answer short", "206"]),
        ((200, EMPTY, {"X-SQL-State": "S1TAT"}), EndpointUnavailable, ["cut its answer short"]),
        ((200, b"<html>", {}), EndpointError, ["no SPARQL result", "not JSON"]),
        ((200, b"[" * 200_000, {}), EndpointError, ["no SPARQL result"]),
        ((200, b"[]", {}), EndpointError, ["not a JSON object"]),
        ((200, b"{}", {}), EndpointError, ["results.bindings"]),
        ((200, b'{"results": {"bindings": [1]}}', {}), EndpointError, ["results.bindings"]),
        ((200, b"zz", {"Content-Encoding": "gzip"}), EndpointError, ["content is broken"]),
        ((200, b"x" * 2000, {}), TooManyResults, ["more than 1000 bytes", "max_reply_bytes"]),
    ],
)
def test_other_failures_are_not_tried_again(
    scripted: Callable[..., Scripted], answer: Answer, kind: type[DataError], words: list[str]
) -> None:
    limit = {"max_reply_bytes": 1000} if kind is TooManyResults else {}
    server = scripted(answer)
    with pytest.raises(kind) as caught:
        client(server.address, **limit).select(QUERY)
    message = str(caught.value)
    assert server.address in message
    assert all(word in message for word in words), message
    assert "secret" not in message
    assert len(server.requests) == 1


def test_an_ask_query(scripted: Callable[..., Scripted]) -> None:
    server = scripted((200, b'{"boolean": true}', {}), (200, b'{"boolean": "yes"}', {}))
    one = client(server.address)
    assert one.ask(QUERY) is True
    with pytest.raises(EndpointError, match="no boolean"):
        one.ask(QUERY)


def test_no_server_is_tried_again_and_then_told(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with pytest.raises(EndpointUnavailable, match="cannot be reached"):
        client(address, max_retries=1).select(QUERY)
    assert len(pauses) == 1


def test_an_answer_that_does_not_end_is_given_up(scripted: Callable[..., Scripted]) -> None:
    stop = threading.Event()

    def silent(handler: Any) -> None:
        stop.wait(timeout=30)

    def dripping(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not stop.wait(timeout=0.02):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return

    try:
        for answer in (silent, dripping):
            server = scripted(answer)
            with pytest.raises(EndpointUnavailable, match=r"within 0\.3 s"):
                client(server.address, timeout_s=0.3).select(QUERY)
            assert len(server.requests) == 1  # a query that was too slow once is too slow again
    finally:
        stop.set()


def test_no_proxy_of_the_environment_is_used(
    scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert client(scripted(GOOD).address).select(QUERY) == []
