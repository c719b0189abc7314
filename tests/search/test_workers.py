"""Several processes on one socket: who dies, who takes over, and what a client notices of it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kg_r1.search.client import HttpKGClient
from kg_r1.search.kg_retrieval_server import main, open_listener
from tests.search.conftest import ROOT, ServerProcess

GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "borders",
}
MAX_CONNECTIONS = 200  # by chance none of so many reaches one worker of two once in 2**200 runs
PATIENCE_S = 60.0  # far beyond what anything here takes; a test that waits so long fails


class Pool:
    """A server of two workers: its process, and those of its workers by number."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.workers: dict[int, int] = {}
        self._take(server.lines)

    def replaced(self, worker: int) -> int:
        """Waits until the log names a new process for a worker, and gives it."""
        assert self.server.process.stderr is not None
        before = self.workers[worker]
        for line in self.server.process.stderr:
            self.server.lines.append(line)
            self._take([line])
            if self.workers[worker] != before:
                return self.workers[worker]
        raise AssertionError("the server ended: " + "".join(self.server.lines))

    def _take(self, lines: list[str]) -> None:
        for number, pid in re.findall(r"worker (\d+) is process (\d+)", "".join(lines)):
            self.workers[int(number)] = int(pid)

    @contextmanager
    def connected_to(self, worker: int) -> Iterator[httpx.Client]:
        """A client whose one connection is to this worker."""
        for _ in range(MAX_CONNECTIONS):
            with httpx.Client(base_url=self.server.address, timeout=PATIENCE_S) as client:
                if client.get("/cache/info").json()["worker"] == worker:
                    yield client
                    return
        raise AssertionError(f"none of {MAX_CONNECTIONS} connections came to worker {worker}")


@pytest.fixture
def start_pool(base: Path, start_server: Callable[..., ServerProcess]) -> Callable[..., Pool]:
    def start(**options: Any) -> Pool:
        return Pool(start_server("--base_data_path", base, "--workers", "2", **options))

    return start


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.01)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or has left nothing but its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_accepted_connections_send_at_once() -> None:
    with (
        open_listener("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_workers_share_clears_and_counts(start_pool: Callable[..., Pool]) -> None:
    pool = start_pool()
    with pool.connected_to(0) as first, pool.connected_to(1) as second:
        for client, num_requests in ((first, 2), (second, 3)):
            items = client.post("/retrieve", json=[GOOD] * num_requests).json()
            assert all(item["results"] == [{"tail_entities": ["Andorra", "Spain"]}] for item in items)
            assert client.get("/cache/info").json()["cached_items"] == ["world"]
        assert second.get("/cache/info").json()["num_workers"] == 2
        first.post("/cache/clear")
        assert second.get("/cache/info").json()["cached_items"] == []
        assert counted_items(first) == counted_items(second) == 5
        os.kill(pool.workers[1], signal.SIGKILL)
        pool.replaced(1)
        assert counted_items(first) == 5
    with pool.connected_to(1) as successor:
        successor.post("/retrieve", json=[GOOD])
        assert counted_items(successor) == 6


def test_a_burst_of_connections_is_dealt_out(start_pool: Callable[..., Pool]) -> None:
    pool = start_pool()
    address = ("127.0.0.1", int(pool.server.address.rsplit(":", 1)[1]))
    connections = [socket.create_connection(address, timeout=PATIENCE_S) for _ in range(64)]
    workers = set()
    for connection in connections:
        with connection:
            connection.sendall(b"GET /cache/info HTTP/1.1\r\nHost: kg\r\nConnection: close\r\n\r\n")
            with connection.makefile("rb") as stream:
                workers.update(re.findall(rb'"worker":(\d)', stream.read()))
    assert workers == {b"0", b"1"}


def test_workers_do_not_join_a_server_that_is_there(
    base: Path, start_pool: Callable[..., Pool], capsys: pytest.CaptureFixture[str]
) -> None:
    port = start_pool().server.address.rsplit(":", 1)[1]
    for num_workers in ("1", "2"):
        assert main(["--base_data_path", str(base), "--port", port, "--workers", num_workers]) == 2
        assert "Address already in use" in capsys.readouterr().err


def counted_items(client: httpx.Client) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(
        sample.value for family in families for sample in family.samples if sample.name == "kg_items_total"
    )


async def test_a_killed_worker_costs_no_answer(start_pool: Callable[..., Pool]) -> None:
    pool = start_pool()
    client = HttpKGClient(
        f"{pool.server.address}/retrieve", timeout_s=PATIENCE_S, max_retries=6, backoff_s=0.05
    )
    num_answers, is_over = 0, False

    async def keep_asking() -> None:
        nonlocal num_answers
        while not is_over:
            for answer in await client.retrieve_batch([GOOD] * 20):
                assert answer.error is None, answer.error
                assert answer.results == ({"tail_entities": ["Andorra", "Spain"]},)
            num_answers += 1

    asking = [asyncio.create_task(keep_asking()) for _ in range(6)]
    for worker in (0, 1, 0):
        reached = num_answers + 30
        while num_answers < reached and not any(task.done() for task in asking):
            await asyncio.sleep(0.01)
        os.kill(pool.workers[worker], signal.SIGKILL)
        await asyncio.to_thread(pool.replaced, worker)
    is_over = True
    await asyncio.gather(*asking)
    await client.aclose()
    assert "ended with exit code -9" in "".join(pool.server.lines)
    for worker in (0, 1):
        with pool.connected_to(worker) as http:
            assert http.post("/retrieve", json=[GOOD]).json()[0]["total_results"] == 2


@pytest.mark.parametrize("num_workers", ["1", "2"])
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)])
def test_a_stop_answers_what_is_under_way(
    base: Path,
    tmp_path: Path,
    slow_package: Path,
    start_server: Callable[..., ServerProcess],
    num_workers: str,
    number: int,
    exit_code: int,
) -> None:
    env = {"PYTHONPATH": str(slow_package)}
    server = start_server("--base_data_path", base, "--workers", num_workers, env=env)
    awaited = tmp_path / "awaited"
    body = b'[{"action_type": "wait_for_file", "path": "%s"}]' % str(awaited).encode()
    address = ("127.0.0.1", int(server.address.rsplit(":", 1)[1]))
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        head = b"POST /retrieve HTTP/1.1\r\nHost: kg\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        wait_for(Path(f"{awaited}.waiting").exists, "the action")
        server.process.send_signal(number)
        wait_for(lambda: is_refused(address), "the end of listening")
        awaited.touch()
        with connection.makefile("rb") as stream:
            reply = stream.read()  # to the end: the server closes the connection
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b'"results":[{"found":["awaited"]}]' in reply
    assert server.stop(number) == exit_code
    assert "Traceback" not in "".join(server.lines)


def is_refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(start_pool: Callable[..., Pool], number: int) -> None:
    pool = start_pool()
    assert httpx.get(f"{pool.server.address}/health").status_code == 200
    assert pool.server.stop(number) == -number
    for pid in pool.workers.values():
        wait_for(lambda pid=pid: has_ended(pid), f"the end of worker {pid}")
    assert is_refused(("127.0.0.1", int(pool.server.address.rsplit(":", 1)[1])))


STUBBORN = """
import logging, signal, socket, sys, time
from kg_r1.search.workers import WorkerPool

def run(worker):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(60)

logging.basicConfig(level=logging.INFO)
pool = WorkerPool(run, [socket.create_server(("127.0.0.1", 0))], max_stop_s=0.1)
pool.start()
sys.exit(pool.run())
"""


def test_a_worker_that_does_not_stop_is_killed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == signal.SIGTERM
    pid = int(re.findall(r"worker 0 is process (\d+)", log)[0])
    assert f"process {pid} did not stop within 0.1 s and is killed" in log
    assert has_ended(pid)


def test_a_worker_that_dies_at_once_is_started_ever_more_slowly() -> None:
    script = STUBBORN.replace('print("deaf", flush=True)', "raise SystemExit(3)")
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    pauses: list[str] = []
    for line in process.stderr:
        pauses += re.findall(r"ended with exit code 3 .* in (\S+) s", line)
        if len(pauses) == 3:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert pauses == ["0.1", "0.2", "0.4"]
    assert process.returncode == signal.SIGINT
