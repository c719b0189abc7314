"""The endpoints, over a real socket."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kblampp.answering import Query
from kblampp.config import Config
from kblampp.infer import ask, infer_server
from kblampp.infer.app import Limits
from kblampp.infer.service import InjectionService
from tests.kblampp.infer.conftest import HOSTILE
from tests.kblampp.infer.serving import Client, serving
from tests.kblampp.injection import write_checkpoint, write_config

LIMITS = Limits(max_body_bytes=4000, max_questions=5, max_question_chars=60)
BORN = {"question": "Where was Ada Brook born?"}
WORKED = {"question": "Who was the employer of Ada Brook in 1992?", "question_time": "1992"}


@pytest.fixture
def client(service: InjectionService, store_root: Path) -> Iterator[Client]:
    with serving(service, LIMITS, store_root) as made:
        yield made


def test_an_answer_comes_with_what_it_rests_on(client: Client, service: InjectionService) -> None:
    status, item = client.send("/qa", WORKED)
    assert status == 200
    [reply] = service.ask([Query(WORKED["question"])])
    assert item["question_time"] == ["1992-01-01", "1992-12-31"]
    assert item["num_prompt_tokens"] == reply.answer.num_prompt_tokens
    assert [fact["rank"] for fact in item["facts"]] == list(range(8))
    weights = [fact["alpha"] for fact in item["facts"]]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) + item["refusal_alpha"] == pytest.approx(1, abs=1e-4)
    assert set(item["betas"]) == {"0", "1"}
    fact = next(it for it in item["facts"] if it["id"] == "ada-brook/first-employer")
    assert (fact["tail"], fact["time_window"]) == ("Lumen Mills", ["1990-01-01", "1994-12-31"])
    assert item["store"] == "tiny"
    assert "paths" not in item


def test_paths_come_where_they_are_asked_for(client: Client) -> None:
    _, item = client.send("/qa_with_paths", BORN)
    facts = {fact["id"]: fact for fact in item["facts"]}
    assert {len(path["facts"]) for path in item["paths"]} >= {1, 2}
    for path in item["paths"]:
        chain = [facts[name] for name in path["facts"]]
        assert all(one["tail"] == other["head"] for one, other in pairwise(chain))
        assert path["score"] <= 0
    assert item["path"][-1] == item["facts"][0]["id"]


def test_a_bad_item_fails_alone(client: Client) -> None:
    asked = [BORN, {"question": 3}, "Who is the spouse of Otto Venn?", {}, {**BORN, "k": 1}]
    status, body = client.send("/qa", {"questions": asked})
    assert status == 200
    assert [it.get("code") for it in body["answers"]] == [
        None, "invalid_field", None, "missing_field", "invalid_field",
    ]  # fmt: skip
    assert body["answers"][2]["question"] == asked[2]
    assert set(body["answers"][1]) == {"error", "code"}
    assert client.send("/qa", {"questions": []}) == (200, {"answers": []})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "bad_request"),
        (b"\xff\xfe", 422, "bad_request"),
        (b"{", 422, "bad_request"),
        (b"[" * 3000, 422, "bad_request"),
        (b'{"question": "a", "question_time": NaN}', 422, "bad_request"),
        (b"1" * 3999, 422, "bad_request"),
        ([BORN], 422, "bad_request"),
        ("text", 422, "bad_request"),
        ({"questions": BORN}, 422, "bad_request"),
        ({"questions": [BORN], **BORN}, 422, "bad_request"),
        ({"questions": [BORN] * 6}, 413, "too_large"),
        (b" " * 4001, 413, "too_large"),
        ({"question": "a" * 61}, 422, "invalid_field"),
        (b'{"question": "a \\ud800"}', 422, "invalid_field"),
        ({"question": "a", "question_time": [1, 2]}, 422, "invalid_field"),
        ({}, 422, "missing_field"),
    ],
)
@pytest.mark.parametrize("path", ["/qa", "/qa_with_paths"])
def test_a_bad_body_is_refused_in_one_shape(
    client: Client, path: str, body: Any, status: int, code: str
) -> None:
    got, content = client.send(path, body)
    assert (got, content["code"]) == (status, code)
    assert set(content) == {"error", "code"}
    assert "\n" not in content["error"] and "Traceback" not in content["error"]


def test_a_huge_body_is_not_read_to_its_end(client: Client) -> None:
    port = int(client.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(
            b"POST /qa HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n" + b" " * 9000
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_other_addresses_and_methods(client: Client) -> None:
    assert client.send("/nothing") == (404, {"error": "Not Found", "code": "not_found"})
    assert client.send("/qa") == (405, {"error": "Method Not Allowed", "code": "method_not_allowed"})
    assert client.send("/docs")[0] == client.send("/openapi.json")[0] == 404


def test_what_breaks_is_told_without_its_inside(
    client: Client, service: InjectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(service._answerer, "answer", broken)
    status, content = client.send("/qa", BORN)
    assert (status, content["code"]) == (500, "failed")
    assert "secret" not in json.dumps(content)
    monkeypatch.setattr(service, "submit", broken)
    status, content = client.send("/qa", BORN)
    assert (status, content["code"]) == (500, "failed")
    assert "secret" not in json.dumps(content)


def test_health_counts(client: Client) -> None:
    client.send("/qa", BORN)
    status, health = client.send("/health")
    assert status == 200
    assert health["uptime_s"] >= 0
    assert {name: health[name] for name in ("status", "service", "store", "num_facts", "index", "model")} == {
        "status": "healthy",
        "service": "kblampp_injection",
        "store": "tiny",
        "num_facts": 32,
        "index": "exact",
        "model": "backbone",
    }
    assert health["counters"] == {
        "num_questions": 1, "num_failed": 0, "num_batches": 1, "num_swaps": 0, "num_waiting": 0,
    }  # fmt: skip


def test_a_store_is_exchanged_by_name(client: Client) -> None:
    assert client.send("/admin/swap", {"store": "other"}) == (200, {"store": "other", "num_facts": 33})
    item = client.send("/qa", BORN)[1]
    assert item["store"] == "other"
    assert client.send("/health")[1]["counters"]["num_swaps"] == 1
    fact = next((it for it in item["facts"] if it["id"] == "ada-brook/birthplace"), None)
    assert fact is None or fact["tail"] == HOSTILE


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("../store/tiny", 404, "unknown_store"),
        ("tiny/../other", 404, "unknown_store"),
        ("./other", 404, "unknown_store"),
        ("..", 404, "unknown_store"),
        ("", 404, "unknown_store"),
        ("OTHER", 404, "unknown_store"),
        ("other\x00", 404, "unknown_store"),
        ("\ud800", 404, "unknown_store"),
        (None, 422, "invalid_field"),
        (["other"], 422, "invalid_field"),
    ],
)
def test_no_path_is_made_of_a_request(client: Client, name: Any, status: int, code: str) -> None:
    got, content = client.send("/admin/swap", {"store": name})
    assert (got, content["code"]) == (status, code)
    assert client.send("/health")[1]["store"] == "tiny"


def test_a_folder_that_is_no_store_is_refused(client: Client, store_root: Path) -> None:
    (store_root / "empty").mkdir(exist_ok=True)
    status, content = client.send("/admin/swap", {"store": "empty"})
    assert (status, content["code"]) == (409, "artefact_missing")


def test_swapping_wants_json_and_a_root(client: Client, service: InjectionService) -> None:
    status, content = client.send("/admin/swap", {"store": "other"}, content_type="text/plain")
    assert (status, content["code"]) == (422, "bad_request")
    assert client.send("/admin/swap", {})[1]["code"] == "missing_field"
    assert client.send("/admin/swap", {"store": "other", "x": 1})[1]["code"] == "invalid_field"
    with serving(service, LIMITS) as without_root:
        status, content = without_root.send("/admin/swap", {"store": "other"})
        assert (status, content["code"]) == (403, "swap_disabled")


def test_many_ask_while_stores_are_exchanged(client: Client) -> None:
    def asked(_: int) -> list[str]:
        status, body = client.send("/qa", {"questions": [BORN, WORKED]})
        assert status == 200
        return [item["store"] for item in body["answers"]]

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(asked, number) for number in range(16)]
        for number in range(6):
            assert client.send("/admin/swap", {"store": ("other", "tiny")[number % 2]})[0] == 200
        seen = [job.result() for job in jobs]
    assert all(one == other for one, other in seen)
    assert client.send("/health")[1]["counters"]["num_questions"] == 32


def test_ask_prints_answer_and_evidence(
    world: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(world, tmp_path / "config.yaml")
    checkpoint = write_checkpoint(world, tmp_path / "checkpoint")
    flags = ["--config", str(config), "--checkpoint", str(checkpoint)]
    assert (
        ask.main(
            [*flags, "Who was the employer of Ada Brook in 1992?", "K_top=1", "num_hops=1", "--time", "1992"]
        )
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Q: Who was the employer of Ada Brook in 1992?"
    assert lines[1].startswith("A: ") and lines[1].isprintable()
    assert "Ada Brook | employer | Lumen Mills  [1990-01-01 to 1994-12-31]" in lines[2]
    assert lines[3].endswith("none of them")
    assert lines[5].startswith("  path: Ada Brook -employer-> Lumen Mills")
    monkeypatch.setattr("sys.stdin", io.StringIO("Where was Ada Brook born?\n\nWho is it?\n"))
    assert ask.main(flags) == 0
    assert capsys.readouterr().out.count("Q: ") == 2
    assert ask.main([*flags, "one question", "--time", "soon"]) == 2
    assert capsys.readouterr().err.startswith("error [invalid_field]: field 'question_time'")
    assert ask.main([*flags, "one question", "another question"]) == 2


def test_the_server_tells_mistakes_in_one_line(
    world: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--config", str(write_config(world, tmp_path / "config.yaml"))]
    with infer_server.open_listener("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        for wrong in (
            ["--port", port],
            ["--port", "70000"],
            ["--host", "no such host"],
            ["--max-batch", "0"],
            ["--store-root", str(tmp_path / "nowhere")],
            ["--port", "0", "--checkpoint", str(tmp_path / "nowhere")],
        ):
            assert infer_server.main([*flags, *wrong]) == 2
            assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error [")
