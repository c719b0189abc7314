"""Single measurements of a server that runs: a load, a start, /health under load, memory.

In: a `Server`, a load client and how long. Out: a dictionary of figures each, ready for JSON. Shares of
the machine are in percent of all its processors.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.kg_server_process import (
    BenchmarkError,
    Helper,
    Server,
    cpu_seconds,
    exchange,
    machine_times,
    memory_of,
    percentile,
)

PROBE_PAUSE_S = 0.01
CONNECT_LIMIT_S = 60.0
WARMUP_LIMIT_S = 600.0
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200"


@dataclass(frozen=True)
class Shape:
    """A load: queries a request, and connections that each have one request under way."""

    batch_size: int
    num_connections: int

    @property
    def name(self) -> str:
        """Such as 256x16."""
        return f"{self.batch_size}x{self.num_connections}"


SHAPES = (Shape(1, 1), Shape(16, 16), Shape(256, 16))
LARGEST = SHAPES[-1]


@dataclass
class HealthProbe:
    """Asks /health every `PROBE_PAUSE_S` over a connection of its own, while the `with` lasts.

    Attributes:
        seconds: how long each answer took.
    """

    server: Server
    seconds: list[float] = field(default_factory=list)
    problem: str = ""

    def _ask(self, stop: threading.Event) -> None:
        try:
            with _connected(self.server) as connection:
                while not stop.wait(PROBE_PAUSE_S):
                    started = time.perf_counter()
                    if not exchange(connection, HEALTH).startswith(OK):
                        raise ConnectionError("/health did not answer with status 200")
                    self.seconds.append(time.perf_counter() - started)
        except OSError as error:
            self.problem = str(error)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Raises BenchmarkError at its end when /health failed or was never answered."""
        stop = threading.Event()
        thread = threading.Thread(target=self._ask, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(CONNECT_LIMIT_S)
        if self.problem or not self.seconds:
            raise BenchmarkError(f"/health of {self.server.name} failed: {self.problem or 'no answer'}")


def load(
    client: Helper,
    server: Server,
    shape: Shape,
    duration_s: float,
    **fields: Any,
) -> dict[str, Any]:
    """One run of the load client; see `Task` and `Outcome` for what goes in and comes out.

    Beside the outcome: `cpu_ms` of the server a query, `idle_percent` of the machine, and
    `niced_percent`, taken by processes of lowered priority that have nothing to do with the measurement.
    """
    pids = server.pids()
    cpu, ticks = cpu_seconds(pids), machine_times()
    task = {
        "host": server.host,
        "port": server.port,
        "num_connections": shape.num_connections,
        "batch_size": shape.batch_size,
        "duration_s": duration_s,
    }
    outcome = client.ask({**task, **fields})
    cpu = cpu_seconds(pids) - cpu
    idle, niced, total = (after - before for after, before in zip(machine_times(), ticks, strict=True))
    outcome = client.ask({"check": True})
    return {
        **outcome,
        "cpu_ms": 1000 * cpu / max(1, outcome["num_queries"]),
        "client_cpu_ms": 1000 * outcome["client_cpu_s"] / max(1, outcome["num_queries"]),
        "reply_bytes_per_query": outcome["reply_bytes"] / max(1, outcome["num_queries"]),
        "idle_percent": 100 * idle / max(1, total),
        "niced_percent": 100 * niced / max(1, total),
    }


def warm_up(client: Helper, server: Server) -> None:
    """Has a server answer one query about every sample.

    Raises:
        BenchmarkError: it did not answer them.
    """
    outcome = load(client, server, Shape(1, 4), WARMUP_LIMIT_S, is_warmup=True)
    if problems(outcome):
        raise BenchmarkError(f"{server.name} does not answer as it should: {problems(outcome)[0]}")


def problems(outcome: dict[str, Any]) -> list[str]:
    """What was wrong with the answers of a run; [] when nothing was."""
    counted = [f"{outcome[name]} {name[4:]}" for name in FAULTS if outcome[name]]
    return [f"{', '.join(counted)}: {'; '.join(outcome['problems'])}"] if counted else []


FAULTS = ("num_wrong", "num_short", "num_refused", "num_lost")


def health_under_load(client: Helper, server: Server, duration_s: float) -> dict[str, Any]:
    """Milliseconds that /health takes while the largest load runs."""
    probe = HealthProbe(server)
    with probe.running():
        outcome = load(client, server, LARGEST, duration_s)
    return {
        "num_probes": len(probe.seconds),
        "p50_ms": 1000 * percentile(probe.seconds, 50),
        "p99_ms": 1000 * percentile(probe.seconds, 99),
        "max_ms": 1000 * max(probe.seconds),
        "problems": problems(outcome),
    }


def timed_start(command: Sequence[str], request: bytes, name: str) -> tuple[float, Server]:
    """Starts a server; gives the seconds from the start of its process to its first whole answer.

    Raises:
        BenchmarkError: it did not start, or its first answer was a refusal.
    """
    server = Server(command, name)
    try:
        with _connected(server) as connection:
            reply = exchange(connection, request)
        seconds = time.perf_counter() - server.started_at
        if not reply.startswith(OK):
            raise BenchmarkError(f"{name} refused its first request: {reply[:200]!r}")
    except (OSError, BenchmarkError) as error:
        server.stop()
        raise BenchmarkError(f"{name} gave no first answer ({error})") from error
    return seconds, server


def memory_figures(server: Server, num_triples: int) -> dict[str, float]:
    """Bytes of a server's processes (see `Memory`), and those bytes divided by the number of triples."""
    memory = asdict(memory_of(server.pids()))
    return {**memory, **{f"{name}_per_triple": value / num_triples for name, value in memory.items()}}


def py_spy_path() -> Path:
    """Where py-spy is.

    Raises:
        BenchmarkError: it is not installed.
    """
    path = Path(sys.executable).with_name("py-spy")
    if not path.is_file():
        raise BenchmarkError(
            "--profile needs py-spy, which is not installed",
            "Install requirements/cpu.txt, or py-spy alone",
        )
    return path


def profile(client: Helper, server: Server, path: Path, duration_s: float) -> None:
    """Writes a flame graph of the server under the largest load to an SVG file, with py-spy.

    Raises:
        BenchmarkError: py-spy is not installed, or may not look into the process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(py_spy_path()), "record", "--pid", str(server.pid), "--subprocesses", "--duration",
        str(max(1, round(duration_s))), "--rate", "200", "--output", str(path),
    ]  # fmt: skip
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as recorder:
        load(client, server, LARGEST, duration_s + 1)
        said = recorder.communicate(timeout=60)[1]
    if recorder.returncode or not path.is_file():
        last = said.strip().splitlines()[-1:] or ["nothing"]
        raise BenchmarkError(
            f"py-spy could not record {server.name}: {last[0]}",
            "It may need more rights (sudo, ptrace_scope)",
        )


def _connected(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=CONNECT_LIMIT_S)
