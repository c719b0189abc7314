"""The load client counts what happened, with the KG server, the echo server, and one that hangs up."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kg_server_measure as measure
from benchmarks.kg_server_echo import filler_item, whole_reply
from benchmarks.kg_server_load import Bodies, Connection, Run, Task, check
from benchmarks.kg_server_process import (
    BenchmarkError,
    Helper,
    Server,
    cpu_seconds,
    has_workers_option,
    kg_server_command,
    percentile,
    process_tree,
    workers_of,
)
from benchmarks.kg_server_queries import Workload


@pytest.fixture(scope="module")
def client(workload_folder: Path) -> Iterator[Helper]:
    with Helper("benchmarks.kg_server_load", "--workload", str(workload_folder)) as helper:
        yield helper


@pytest.mark.parametrize("shape", measure.SHAPES, ids=lambda shape: shape.name)
def test_every_answer_is_right(client: Helper, server: Server, shape: measure.Shape) -> None:
    outcome = measure.load(client, server, shape, 0.3)
    assert measure.problems(outcome) == []
    assert outcome["num_queries"] == outcome["num_requests"] * shape.batch_size > 0
    assert outcome["num_checked"] > 0
    assert 0 < outcome["p50_ms"] <= outcome["p99_ms"] <= 1000 * outcome["seconds"]
    assert outcome["reply_bytes_per_query"] > 50
    assert 0 <= outcome["idle_percent"] <= 100


def test_the_warm_up_is_one_query_a_sample(client: Helper, server: Server, workload: Workload) -> None:
    outcome = measure.load(client, server, measure.Shape(1, 4), 60.0, is_warmup=True)
    assert outcome["num_requests"] == len(workload.warmup)
    assert outcome["num_checked"] == 0


def test_wrong_answers_are_counted(server: Server, workload: Workload) -> None:
    run = Run(Task(server.port, 2, 16, 0.2), Bodies(workload.requests, 16))
    run.play()
    body = next(iter(run.kept))
    truths = {**workload.truths, 16 * body + 3: b'{"relations":["made.up"]}'}
    check(run.kept, 16, truths, run.outcome)
    assert run.outcome.num_wrong == 1
    assert f"query {16 * body + 3}" in run.outcome.problems[0]


def test_the_echo_server_gives_as_many_items_of_the_given_size(client: Helper) -> None:
    command = [sys.executable, "-m", "benchmarks.kg_server_echo", "--bytes_per_item", "300"]
    with Server(command, "the echo server") as echo:
        outcome = measure.load(client, echo, measure.LARGEST, 0.3, checks=False)
        assert cpu_seconds(echo.pids()) > 0
    assert measure.problems(outcome) == []
    assert outcome["reply_bytes_per_query"] == pytest.approx(300, abs=5)
    assert process_tree(echo.pid) == []


def test_health_is_timed_under_load(client: Helper, server: Server) -> None:
    figures = measure.health_under_load(client, server, 0.3)
    assert figures["num_probes"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert figures["problems"] == []


def test_memory_is_told_per_triple(server: Server) -> None:
    figures = measure.memory_figures(server, 1000)
    assert 0 < figures["uss"] <= figures["pss"] <= figures["rss"]
    assert figures["rss_per_triple"] == figures["rss"] / 1000


class Scripted:
    """Answers with what `replies` holds, in this order and then the last one for ever; None hangs up."""

    def __init__(self, *replies: bytes | None) -> None:
        self.replies = list(replies)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            connection = self.socket.accept()[0]
            with connection:
                while connection.recv(1 << 20):
                    reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                    if reply is None:
                        break
                    connection.sendall(reply)


def play(server: Scripted, workload: Workload, **fields: Any) -> Run:
    run = Run(Task(server.port, 1, 2, 0.1, checks=False, **fields), Bodies(workload.requests, 2))
    run.play()
    return run


def test_a_request_whose_connection_breaks_is_sent_again(workload: Workload) -> None:
    good = whole_reply(filler_item(100), 2)
    outcome = play(Scripted(None, good, None, None, good), workload, max_retries=2).outcome
    assert (outcome.num_retries, outcome.num_lost) == (3, 0)
    assert outcome.num_requests >= 2
    outcome = play(Scripted(good, None, good), workload).outcome
    assert (outcome.num_retries, outcome.num_lost) == (0, 1)
    assert "closed by the server" in outcome.problems[0]


def test_short_replies_and_refusals_are_counted(workload: Workload) -> None:
    good, short = (whole_reply(filler_item(100), count) for count in (2, 1))
    refusal = good.replace(b"200 OK", b"503 Service Unavailable")
    outcome = play(Scripted(short, refusal, good), workload).outcome
    assert (outcome.num_short, outcome.num_refused) == (1, 1)


def test_a_reply_in_pieces_is_put_together() -> None:
    reply = whole_reply(filler_item(100), 2)
    connection = Connection()
    assert [connection.take(reply[start : start + 7]) for start in range(0, len(reply), 7)][-1] == reply
    assert connection.take(reply) == reply


def test_a_server_that_does_not_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="it said: error: no data set found under"):
        Server(kg_server_command(tmp_path, []), "the KG server")


@pytest.mark.skipif(not has_workers_option(), reason="this server has no option --workers")
def test_workers_are_found_below_the_server(base: Path) -> None:
    command = kg_server_command(base, ["--workers", "2"])
    seconds, running = measure.timed_start(command, measure.HEALTH, "the KG server")
    with running:
        workers = workers_of(running.pid)
        assert len(workers) == 2
        assert running.pid not in workers
        assert seconds > 0
    assert process_tree(running.pid) == []


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 201)]
    assert (percentile(values, 50), percentile(values, 99), percentile([3.0], 99)) == (100.0, 198.0, 3.0)
