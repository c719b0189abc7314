"""Processes of the measurements: servers that say where they listen, helpers that are told line by line
what to do, and what the kernel knows of their processor time and memory.

In: command lines. Out: addresses, answers, seconds and bytes. Linux only: figures are read from /proc.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from kg_r1.kg.errors import KGError

ROOT = Path(__file__).resolve().parent.parent
SERVER_MODULE = "kg_r1.search.kg_retrieval_server"
LISTENING = re.compile(r"listening at http://\[?([^\]\s]+?)\]?:(\d+)")
START_LIMIT_S, STOP_LIMIT_S = 600.0, 15.0
MAX_LOG_LINES = 400
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MEMORY_FIELDS = ("Rss", "Pss", "Pss_Anon", "Pss_File", "Private_Clean", "Private_Dirty")


class BenchmarkError(KGError):
    """A measurement that cannot be made, with what to do about it."""

    code = "benchmark_failed"


@dataclass(frozen=True)
class Memory:
    """Bytes of some processes together: resident, proportional (shared pages divided), and theirs alone.

    `anonymous` and `file` are the parts of `pss`: what lies in memory only, and what is a mapped file's.
    """

    rss: int
    pss: int
    uss: int
    anonymous: int
    file: int


class Server:
    """A server process that logs `listening at http://HOST:PORT` to stderr. Ends with the `with`.

    Attributes:
        host, port: where it listens.
        started_at: `time.perf_counter()` right before the process was started.

    Raises:
        BenchmarkError: it ended, or said nothing for `START_LIMIT_S`, before it listened.
    """

    def __init__(self, command: Sequence[str], name: str) -> None:
        self.name = name
        self._log: deque[str] = deque(maxlen=MAX_LOG_LINES)
        self._is_listening = threading.Event()
        self.host, self.port = "", 0
        self.started_at = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self._is_listening.wait(START_LIMIT_S) or not self.port:
            self.stop()
            said = self.log().strip().splitlines()[-1:] or ["nothing"]
            hint = f"Command: {' '.join(command)}"
            raise BenchmarkError(f"{name} did not start; it said: {said[0]}", hint)

    @property
    def pid(self) -> int:
        """The process that was started; its workers, if any, are below it."""
        return self.process.pid

    def pids(self) -> list[int]:
        """The process and everything below it, now."""
        return process_tree(self.pid)

    def log(self) -> str:
        """The last lines that it wrote to stderr."""
        return "".join(list(self._log))

    def stop(self) -> None:
        """Ends the process and all below it: politely, then by force."""
        born = {pid: _born(pid) for pid in self.pids()}
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid, when in born.items():
            if pid != self.pid and when is not None and _born(pid) == when:
                os.kill(pid, signal.SIGKILL)
        self._reader.join(timeout=STOP_LIMIT_S)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._log.append(line)
            found = LISTENING.search(line)
            if found and not self.port:
                self.host, self.port = found[1], int(found[2])
                self._is_listening.set()
        self._is_listening.set()  # it has ended; whoever waits sees that there is no port


class Helper:
    """A process of our own that answers a line of JSON with another. Ends with the `with`.

    Raises:
        BenchmarkError: it ended instead of answering.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.name = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lock = threading.Lock()
        self.ask({})

    def ask(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Has one task done; {} is answered at once, when the process is ready."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(task) + "\n")
                self._process.stdin.flush()
            except BrokenPipeError as error:
                raise BenchmarkError(f"{self.name} has ended", "Its traceback stands above") from error
            line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"{self.name} ended without an answer", "Its traceback stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Helper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed. Needs at least one value."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def kg_server_command(base: Path, options: Iterable[str]) -> list[str]:
    """The command line that serves a data path at a free port."""
    return [sys.executable, "-m", SERVER_MODULE, "--base_data_path", str(base), "--port", "0", *options]


@functools.cache
def has_workers_option() -> bool:
    """Whether the KG server of this checkout can run several worker processes."""
    command = [sys.executable, "-m", SERVER_MODULE, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return "--workers" in done.stdout


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Sends one HTTP request and gives the whole reply, head included.

    Raises:
        ConnectionError: the other side closed before the reply was whole.
    """
    connection.sendall(request)
    reply = b""
    while True:
        data = connection.recv(1 << 20)
        if not data:
            raise ConnectionError("closed before the reply was whole")
        reply += data
        head, end, body = reply.partition(b"\r\n\r\n")
        if end and len(body) >= content_length(head):
            return reply


def content_length(head: bytes) -> int:
    """The value of `Content-Length` in the head of a reply.

    Raises:
        BenchmarkError: there is none; a reply in chunks is not understood here.
    """
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, flags=re.IGNORECASE)
    if not found:
        raise BenchmarkError(f"a reply has no Content-Length: {head[:200]!r}")
    return int(found[1])


def process_tree(root: int) -> list[int]:
    """A process and all below it, parents first; [] when it has ended."""
    parents: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (fields := _stat_fields(int(path.name))):
            parents[int(path.name)] = int(fields[1])
    found = [root] if root in parents else []
    for pid in found:  # it grows while it is walked
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def workers_of(root: int) -> list[int]:
    """The worker processes below a server: those that listen, helpers of `multiprocessing` left out."""
    found = []
    for pid in process_tree(root)[1:]:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if command and b"resource_tracker" not in command and b"forkserver" not in command:
            found.append(pid)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor seconds of these processes so far, in user and kernel mode."""
    stats = [fields for pid in pids if (fields := _stat_fields(pid))]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS_PER_S


def memory_of(pids: Iterable[int]) -> Memory:
    """What these processes hold now; see `Memory`."""
    total = dict.fromkeys(MEMORY_FIELDS, 0)
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        for field in MEMORY_FIELDS:
            found = re.search(rf"^{field}: +(\d+) kB", text, flags=re.MULTILINE)
            total[field] += 1024 * int(found[1]) if found else 0
    private = total["Private_Clean"] + total["Private_Dirty"]
    return Memory(total["Rss"], total["Pss"], private, total["Pss_Anon"], total["Pss_File"])


def machine_times() -> tuple[int, int, int]:
    """Ticks of all processors together so far: idle, of processes with lowered priority, all."""
    numbers = [
        int(one) for one in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    ]
    return numbers[3] + numbers[4], numbers[1], sum(numbers)


def _born(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None when it has ended.

    Numbers of processes are used again; a number and this together are not.
    """
    fields = _stat_fields(pid)
    return fields[19] if fields and fields[0] != "Z" else None


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; [] when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()  # the name in brackets before it may hold spaces
