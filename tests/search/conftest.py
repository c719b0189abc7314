"""A small folder of data sets, a retriever over it, and servers on real sockets."""

from __future__ import annotations

import http.server
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import ACTION_REGISTRY, ActionRegistry
from kg_r1.search.server import KnowledgeGraphRetriever

ROOT = Path(__file__).resolve().parents[2]
WORLD_TRIPLES = """\
q1\tcapital\tq2
q1\tborders\tq3
q1\tborders\tq6
q1\tlanguage.official\tq7
q3\tborders\tq1
q3\tcapital\tq8
q8\tlocated_in\tq3
q2\tlocated_in\tq1
q4\tlocated_in\tq5
q1\ttype\tq9
"""
WORLD_NAMES = """\
q1\tFrance
q2\tParis
q3\tSpain
q4\tParis
q5\tTexas
q6\tAndorra
q7\tFrench
q8\tMadrid
q9\tcountry
"""
SAMPLE = {
    "triples": [
        ["m.1", "people.person.place_of_birth", "m.2"],
        ["m.1", "type", "person"],
        ["m.1", "type", "author"],
        ["m.3", "people.person.parents", "m.1"],
    ]
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A data path with `world` (shared, with names) and `webqsp` (one graph per sample, ids only)."""
    folder = tmp_path / "data_kg"
    (folder / "world").mkdir(parents=True)
    (folder / "world" / "triples.tsv").write_text(WORLD_TRIPLES, encoding="utf-8")
    (folder / "world" / "names.tsv").write_text(WORLD_NAMES, encoding="utf-8")
    (folder / "webqsp" / "subgraphs").mkdir(parents=True)
    (folder / "webqsp" / "subgraphs" / "s1.json").write_text(json.dumps(SAMPLE), encoding="utf-8")
    (folder / "webqsp" / "subgraphs" / "broken.json").write_text('{"triples": [["a"]]}', encoding="utf-8")
    return folder


@pytest.fixture
def registry() -> ActionRegistry:
    """A copy of the built-in registry, to change at will."""
    return ActionRegistry(ACTION_REGISTRY)


@pytest.fixture
def retriever(base: Path, registry: ActionRegistry) -> KnowledgeGraphRetriever:
    return KnowledgeGraphRetriever(GraphStore(base), registry)


@pytest.fixture
def global_registry() -> Iterator[ActionRegistry]:
    """ACTION_REGISTRY itself, put back afterwards as it was."""
    before = dict(ACTION_REGISTRY)
    yield ACTION_REGISTRY
    ACTION_REGISTRY.clear()
    ACTION_REGISTRY.update(before)


class ServerProcess:
    """A server process that was started on a free port, and the address it says it listens at."""

    def __init__(self, command: Sequence[str], cwd: Path, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*command, "--port", "0"], cwd=cwd, env=env, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self.address = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening at (http://\S+)", line)
            if found:
                self.address = found.group(1)
                break
        assert self.address, "".join(self.lines)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends a signal, waits for the end, and gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=60)
        self.lines.append(rest)
        return self.process.returncode


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Starts `kg_retrieval_server.py` with the arguments given (see ServerProcess); all stop at the end."""
    servers: list[ServerProcess] = []

    def start(
        *arguments: str | Path,
        script: Path = ROOT / "kg_r1" / "search" / "kg_retrieval_server.py",
        command: Sequence[str] = (),
        cwd: Path = ROOT,
        env: dict[str, str] | None = None,
    ) -> ServerProcess:
        full = [*(command or (sys.executable, str(script))), *map(str, arguments)]
        servers.append(ServerProcess(full, cwd, env))
        return servers[-1]

    yield start
    for server in servers:
        server.stop(signal.SIGKILL)


class ScriptedServer:
    """An HTTP server that plays one prepared answer per request, the last one over and over.

    An answer is (status, body), or None for one that never comes.
    """

    def __init__(self, answers: Sequence[tuple[int, bytes] | None]) -> None:
        self.num_requests = 0
        self.bodies: list[Any] = []
        self._released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.answer()

            def do_GET(self) -> None:
                self.answer()

            def answer(self) -> None:
                answer = answers[min(outer.num_requests, len(answers) - 1)]
                outer.num_requests += 1
                if answer is None:
                    outer._released.wait(timeout=60)
                    self.close_connection = True
                    return
                status, body = answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the test looks at num_requests."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Lets the answers that never come end, and stops."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=30)


@pytest.fixture
def scripted_server() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts a `ScriptedServer` with the answers given; all stop at the end."""
    servers: list[ScriptedServer] = []

    def start(*answers: tuple[int, bytes] | None) -> ScriptedServer:
        servers.append(ScriptedServer(answers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def slow_package(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH: a package whose action `wait_for_file` answers when the file `path` exists.

    It writes `<path>.waiting` as soon as it waits.
    """
    folder = tmp_path / "packages"
    info = folder / "kg_waiting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: kg-waiting\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        "[kg_r1.actions]\nwait_for_file = kg_waiting:WaitForFile\n", encoding="utf-8"
    )
    (folder / "kg_waiting.py").write_text(WAITING_ACTION, encoding="utf-8")
    return folder


WAITING_ACTION = '''\
import time
from pathlib import Path

from kg_r1.search.actions import BaseAction


class WaitForFile(BaseAction):
    """Answers when a file exists."""

    def get_required_fields(self):
        return ["path"]

    def execute(self, retriever, request_data):
        path = Path(request_data["path"])
        Path(f"{path}.waiting").touch()
        deadline = time.monotonic() + 60
        while not path.exists():
            if time.monotonic() > deadline:
                return {"error": "nobody wrote the file"}
            time.sleep(0.005)
        return {"found": [path.name]}
'''
