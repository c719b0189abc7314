"""Several replicas behind nginx, behind HAProxy, and kept running by a script: the real programs."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.search.conftest import ROOT, ServerProcess

pytestmark = pytest.mark.slow

SERVING = ROOT / "configs" / "serving"
GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "capital",
}
PARIS = [{"tail_entities": ["Paris [q2]"]}]
NUM_CLIENTS, NUM_REQUESTS = 8, 60
KEY = {"Authorization": "Bearer s3cret"}


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def balancer(program: str, folder: Path, replicas: list[str]) -> Iterator[str]:
    """The program with our configuration, its ports replaced; gives its address."""
    path = shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[program]
    text = (SERVING / name).read_text(encoding="utf-8")
    (port,) = free_ports(1)
    for old, new in zip(
        ("127.0.0.1:8000", "127.0.0.1:8001", "127.0.0.1:8002"), [port, *replicas], strict=True
    ):
        assert old in text
        text = text.replace(old, f"127.0.0.1:{new}" if new == port else str(new))
    (folder / name).write_text(text, encoding="utf-8")
    command = {
        "nginx": [path, "-p", str(folder), "-c", str(folder / name)],
        "haproxy": [path, "-db", "-f", str(folder / name)],
    }[program]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/balancer"), f"{program} does not answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
async def test_no_search_is_lost_when_a_replica_dies(
    program: str, base: Path, tmp_path: Path, start_server: Callable[..., ServerProcess]
) -> None:
    (tmp_path / "key").write_text("s3cret")
    (tmp_path / "key").chmod(0o600)
    servers = [start_server("--base_data_path", base, "--api_key_file", tmp_path / "key") for _ in range(2)]
    (tmp_path / "balancer").mkdir()
    replicas = [server.address.removeprefix("http://") for server in servers]
    with balancer(program, tmp_path / "balancer", replicas) as address:
        num_cut_off = await check_load(address, servers[0])
        # Where a replica resets a connection, HAProxy closes the client's; nginx asks the other replica.
        assert num_cut_off == 0 if program == "nginx" else num_cut_off <= NUM_CLIENTS
        assert httpx.post(f"{address}/retrieve", json=[GOOD]).status_code == 401
        assert httpx.post(f"{address}/cache/clear", headers=KEY).status_code == 403
        assert httpx.get(f"{address}/health").json()["status"] == "healthy"
    text = httpx.get(f"{servers[1].address}/metrics", headers=KEY).text
    assert servers[0].process.poll() is not None
    assert "/retrieve" in text


async def check_load(address: str, victim: ServerProcess) -> int:
    """Clients ask over kept connections; the victim is killed once half is answered.

    Every request is answered rightly. Returns how many were asked again, since their connection was closed.
    """
    num_answered = num_cut_off = 0

    async def ask(http: httpx.AsyncClient) -> httpx.Response:
        nonlocal num_cut_off
        try:
            return await http.post(f"{address}/retrieve", json=[GOOD], headers=KEY)
        except httpx.RemoteProtocolError:
            num_cut_off += 1
            return await http.post(f"{address}/retrieve", json=[GOOD], headers=KEY)

    async def work(http: httpx.AsyncClient) -> None:
        nonlocal num_answered
        for _ in range(NUM_REQUESTS):
            reply = await ask(http)
            assert reply.status_code == 200, reply.text
            assert reply.json()[0]["results"] == PARIS
            num_answered += 1
            if num_answered == NUM_CLIENTS * NUM_REQUESTS // 2:
                victim.process.send_signal(signal.SIGKILL)
                victim.process.wait(timeout=30)

    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        await asyncio.gather(*(work(http) for _ in range(NUM_CLIENTS)))
    assert num_answered == NUM_CLIENTS * NUM_REQUESTS
    return num_cut_off


def servers_below(pid: int) -> list[psutil.Process]:
    below = psutil.Process(pid).children(recursive=True)
    return [one for one in below if any(word.endswith("kg_retrieval_server.py") for word in one.cmdline())]


def test_the_script_keeps_replicas_running(base: Path) -> None:
    ports = free_ports(2)
    script = ROOT / "examples" / "serving" / "replicas.sh"
    addresses = [f"http://127.0.0.1:{port}/health" for port in ports]
    process = subprocess.Popen([str(script), str(base), *map(str, ports)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: all(map(answers, addresses)), "not every replica answers")
        first, second = servers_below(process.pid)
        first.kill()
        # Gone from the list, it has been waited for; then another takes its place at the same port.
        wait_for(lambda: not first.is_running(), "the killed replica stays")
        wait_for(lambda: all(map(answers, addresses)), "the killed replica was not started again")
        assert second in servers_below(process.pid)
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert psutil.wait_procs(below, timeout=30)[1] == []


def test_the_script_ends_where_a_replica_cannot_start(base: Path) -> None:
    script = str(ROOT / "examples" / "serving" / "replicas.sh")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [str(free_ports(1)[0]), str(taken.getsockname()[1])]
        done = subprocess.run([script, str(base), *ports], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert f"cannot listen at 127.0.0.1 port {ports[1]}" in done.stderr
    assert subprocess.run([script, str(base)], capture_output=True).returncode == 2
