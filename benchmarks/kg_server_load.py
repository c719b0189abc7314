"""The load client: a process of its own that keeps connections to a server busy and checks the replies.

    python -m benchmarks.kg_server_load --workload FOLDER

In: tasks, a JSON object a line (the fields of `Task`), and `{"check": true}` after each. Out: for each a
line of JSON, what is known of the run so far (the fields of `Outcome`).

Every connection has one request under way and sends the next one when its reply is whole. Requests are
put together before the clock starts; replies are parsed after it has stopped. Plain sockets and epoll,
so that the client takes as little of the machine as it can.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import select
import socket
import struct
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks.kg_server_process import content_length, percentile
from benchmarks.kg_server_queries import (
    BLOCK,
    CHECKED_BLOCK_STRIDE,
    comparable,
    read_requests,
    read_truths,
)

ITEM_MARK = b'"total_results"'  # once in every item of a reply, and in no name or relation
OK = b"HTTP/1.1 200"
RECEIVE_BYTES = SEND_BYTES = 1 << 20
MAX_CHECKED = 8192  # queries of one run whose replies are compared with the true answers
MAX_PROBLEMS = 2
MAX_PAUSE_S = 0.5
GRACE_S = 60.0  # how long a reply may take after the clock has stopped, before it is lost


@dataclass(frozen=True)
class Task:
    """One run.

    Attributes:
        num_bodies: the first so many bodies are sent, over and over; 0 means all of them.
        max_retries: how often a request whose connection broke is sent again, on a new one and after a
            growing pause, before it counts as lost.
        checks: whether replies are kept to be compared with the true answers.
        is_warmup: whether the queries are those of which there is one for every sample; they are sent
            once, and `duration_s` is only the longest that this may take.
    """

    port: int
    num_connections: int
    batch_size: int
    duration_s: float
    host: str = "127.0.0.1"
    num_bodies: int = 0
    max_retries: int = 0
    checks: bool = True
    is_warmup: bool = False


@dataclass
class Outcome:
    """What a run gave.

    Attributes:
        p50_ms, p99_ms: of a request, which is a whole batch.
        num_wrong: of the `num_checked` queries whose replies were compared with the true answers.
        num_short: replies with another number of items than the request had queries.
        num_refused, num_lost: requests answered with another status than 200, or not at all.
    """

    num_requests: int = 0
    num_queries: int = 0
    seconds: float = 0.0
    queries_per_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    reply_bytes: int = 0
    client_cpu_s: float = 0.0
    num_checked: int = 0
    num_wrong: int = 0
    num_short: int = 0
    num_refused: int = 0
    num_lost: int = 0
    num_retries: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        """Keeps the first few problems as text."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem[:300])


class Bodies:
    """HTTP requests of one batch size, and the place up to which they have been sent."""

    def __init__(self, requests: Sequence[bytes], batch_size: int) -> None:
        self.batch_size = batch_size
        starts = range(0, len(requests) - batch_size + 1, batch_size)
        self.messages = [_message(requests[start : start + batch_size]) for start in starts]
        self.cursor = 0

    def is_checked(self, index: int) -> bool:
        """Whether the true answers to every query of this body are known."""
        return index * self.batch_size // BLOCK % CHECKED_BLOCK_STRIDE == 0


def _message(requests: Sequence[bytes]) -> bytes:
    body = b"[" + b",".join(requests) + b"]"
    head = (
        "POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


class Connection:
    """One connection with at most one request under way."""

    __slots__ = ("body", "chunks", "num_received", "num_tries", "sent_at", "sock", "wanted")

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.body, self.sent_at, self.num_tries = 0, 0.0, 0
        self.expect_nothing()

    def expect_nothing(self) -> None:
        """Forgets what was received of a reply."""
        self.chunks: list[bytes] = []
        self.num_received = self.wanted = 0

    def take(self, data: bytes) -> bytes | None:
        """Adds what was received; gives the reply once it is whole."""
        self.chunks.append(data)
        self.num_received += len(data)
        if not self.wanted:
            so_far = data if len(self.chunks) == 1 else b"".join(self.chunks)
            head, end, _ = so_far.partition(b"\r\n\r\n")
            if not end:
                return None
            self.wanted = len(head) + len(end) + content_length(head)
        if self.num_received < self.wanted:
            return None
        reply = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.expect_nothing()
        return reply


class Run:
    """One run of a task; see `Task` and `Outcome`."""

    def __init__(self, task: Task, bodies: Bodies) -> None:
        self.task, self.bodies = task, bodies
        self.num_bodies = min(task.num_bodies or len(bodies.messages), len(bodies.messages))
        self.outcome = Outcome()
        self.latencies = array("d")
        self.kept: dict[int, bytes] = {}
        can_check = task.checks and not task.is_warmup
        self.max_kept = MAX_CHECKED // task.batch_size if can_check else 0
        self.poll = select.epoll()
        self.by_fd: dict[int, Connection] = {}
        self.paused: list[tuple[float, int, Connection]] = []  # a heap: when to try again
        self.num_under_way = 0
        self.deadline = 0.0

    def play(self) -> Outcome:
        """Runs until the time is over and every request under way is answered or lost."""
        connections = [Connection() for _ in range(self.task.num_connections)]
        for one in connections:
            with contextlib.suppress(OSError):  # a server that is away is tried again when we send
                self._open(one)
        if self.task.is_warmup:
            self.bodies.cursor = 0
        cpu, started = time.process_time(), time.perf_counter()
        self.deadline = started + self.task.duration_s
        for one in connections:
            self._go_on(one, started)
        while self.num_under_way and time.perf_counter() < self.deadline + GRACE_S:
            self._step()
        out = self.outcome
        out.num_lost += self.num_under_way
        out.seconds = time.perf_counter() - started
        out.client_cpu_s = time.process_time() - cpu
        out.num_queries = out.num_requests * self.task.batch_size
        out.queries_per_s = out.num_queries / out.seconds
        if self.latencies:
            out.p50_ms, out.p99_ms = (1000 * percentile(self.latencies, share) for share in (50, 99))
        for one in connections:
            if one.sock is not None:
                one.sock.close()
        self.poll.close()
        return out

    def _step(self) -> None:
        timeout = max(0.0, self.paused[0][0] - time.perf_counter()) if self.paused else 1.0
        for fd, _ in self.poll.poll(timeout):
            one = self.by_fd[fd]
            assert one.sock is not None
            try:
                data = one.sock.recv(RECEIVE_BYTES)
            except OSError as error:
                self._broke(one, str(error))
                continue
            if not data:
                self._broke(one, "closed by the server")
            elif (reply := one.take(data)) is not None:
                self._answered(one, reply)
        while self.paused and self.paused[0][0] <= time.perf_counter():
            self._send(heapq.heappop(self.paused)[2])

    def _answered(self, one: Connection, reply: bytes) -> None:
        now, out = time.perf_counter(), self.outcome
        self.latencies.append(now - one.sent_at)
        self.num_under_way -= 1
        if not reply.startswith(OK):
            out.num_refused += 1
            out.note(f"refused: {reply[:200]!r}")
        elif reply.count(ITEM_MARK) != self.task.batch_size:
            out.num_short += 1
            out.note(f"{reply.count(ITEM_MARK)} items for {self.task.batch_size} queries")
        else:
            out.num_requests += 1
            out.reply_bytes += len(reply)
            if len(self.kept) < self.max_kept and self.bodies.is_checked(one.body):
                self.kept.setdefault(one.body, reply)
        if b"\r\nconnection: close" in reply[:512].lower():
            self._close(one)
        self._go_on(one, now)

    def _go_on(self, one: Connection, now: float) -> None:
        """Sends the next request, unless the time is over or the warm-up has come round."""
        if now >= self.deadline or (self.task.is_warmup and self.bodies.cursor >= self.num_bodies):
            return
        one.body = self.bodies.cursor % self.num_bodies
        self.bodies.cursor += 1
        one.num_tries = 0
        one.sent_at = time.perf_counter()
        self.num_under_way += 1
        self._send(one)

    def _send(self, one: Connection) -> None:
        try:
            if one.sock is None:
                self._open(one)
            assert one.sock is not None
            one.sock.sendall(self.bodies.messages[one.body])
        except OSError as error:
            self._broke(one, str(error))

    def _broke(self, one: Connection, reason: str) -> None:
        """Sends the request again after a pause, or counts it as lost and goes on with the next."""
        self._close(one)
        one.expect_nothing()
        one.num_tries += 1
        if one.num_tries <= self.task.max_retries:
            self.outcome.num_retries += 1
            pause = min(MAX_PAUSE_S, 0.005 * 2**one.num_tries)
            heapq.heappush(self.paused, (time.perf_counter() + pause, id(one), one))
            return
        self.num_under_way -= 1
        self.outcome.num_lost += 1
        self.outcome.note(f"lost: {reason}")
        self._go_on(one, time.perf_counter())

    def _open(self, one: Connection) -> None:
        one.sock = socket.create_connection((self.task.host, self.task.port), timeout=GRACE_S)
        # Blocking, but never for long: reading waits for epoll, a server that stops reading is an error.
        one.sock.settimeout(None)
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(GRACE_S), 0))
        one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        one.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.by_fd[one.sock.fileno()] = one
        self.poll.register(one.sock.fileno(), select.EPOLLIN)

    def _close(self, one: Connection) -> None:
        if one.sock is not None:
            del self.by_fd[one.sock.fileno()]
            one.sock.close()  # which takes it from the poll as well
            one.sock = None


def check(kept: dict[int, bytes], batch_size: int, truths: dict[int, bytes], outcome: Outcome) -> None:
    """Compares whole replies with the true answers, query by query."""
    for body, reply in kept.items():
        items: list[dict[str, Any]] = orjson.loads(reply.partition(b"\r\n\r\n")[2])
        for number, item in enumerate(items, start=body * batch_size):
            outcome.num_checked += 1
            found = comparable(item["results"][0])
            if found != truths[number]:
                outcome.num_wrong += 1
                truth = truths[number][:100]
                outcome.note(f"query {number}: {found[:100]!r}, but the truth is {truth!r}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Keeps a server busy; tasks come as lines of JSON.")
    parser.add_argument("--workload", type=Path, required=True)
    folder = parser.parse_args(argv).workload
    requests, truths = read_requests(folder), read_truths(folder)
    warmup = read_requests(folder, "warmup")
    bodies: dict[tuple[int, bool], Bodies] = {}
    run: Run | None = None
    for line in sys.stdin:
        fields = orjson.loads(line)
        if fields.get("check") and run is not None:
            check(run.kept, run.task.batch_size, truths, run.outcome)
        elif fields:
            task = Task(**fields)
            key = (task.batch_size, task.is_warmup)
            if key not in bodies:
                bodies[key] = Bodies(warmup if task.is_warmup else requests, task.batch_size)
            run = Run(task, bodies[key])
            run.play()
        sys.stdout.write(orjson.dumps(asdict(run.outcome) if run else {}).decode() + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
