"""The KG server under Ray Serve: what is refused without Ray, and two real replicas, one of them killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from kg_r1.search.client import HttpKGClient, check_server
from kg_r1.search.kg_retrieval_server import UsageError
from kg_r1.search.ray_serve import ReplicaOptions, build_app, main, replica_app
from tests.search.conftest import ROOT, ServerProcess

GOOD = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "capital",
}
PARIS = ({"tail_entities": ["Paris [q2]"]},)
MIN_FREE_BYTES = 4 * 2**30  # Ray with two replicas takes 2 GB


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_mistakes_are_told_in_one_line_before_ray_starts(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KG_SERVER_API_KEY", raising=False)
    data = ("--base_data_path", base, "--port", 0)
    (tmp_path / "empty").mkdir()
    assert "there is no folder" in error_of(capsys, "--base_data_path", tmp_path / "nope")
    assert "no data set found" in error_of(capsys, "--base_data_path", tmp_path / "empty")
    assert "or --insecure to serve without" in error_of(capsys, *data, "--host", "0.0.0.0")
    assert "cannot be read" in error_of(capsys, *data, "--api_key_file", tmp_path / "no")
    assert "argument num_replicas: Input should be greater" in error_of(capsys, *data, "--num_replicas", 0)


def test_without_ray_it_is_told_what_to_install(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    message = error_of(capsys, "--base_data_path", base, "--port", 0)
    assert "run: pip install 'ray[serve]==" in message


def test_the_arguments_of_an_application_are_checked(base: Path) -> None:
    for arguments, words in [
        ({}, "base_data_path: Field required"),
        ({"base_data_path": "data_kg"}, "base_data_path must be absolute"),
        ({"base_data_path": base, "replicas": "2"}, "replicas: Extra inputs are not permitted"),
        ({"base_data_path": base, "num_replicas": "two"}, "num_replicas: Input should be a valid integer"),
    ]:
        with pytest.raises(UsageError, match=words):
            build_app(arguments)


def test_the_configuration_names_the_arguments_of_the_application() -> None:
    config = yaml.safe_load((ROOT / "configs" / "serving" / "ray_serve.yaml").read_text(encoding="utf-8"))
    (application,) = config["applications"]
    assert application["import_path"] == f"{build_app.__module__}:{build_app.__name__}"
    assert ReplicaOptions.model_validate(application["args"]).num_replicas == 2


def test_a_cluster_that_is_not_there_is_told_in_one_line(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.serve", reason="Ray Serve is not installed", exc_type=ImportError)
    message = error_of(capsys, "--base_data_path", base, "--port", 0, "--ray_address", "127.0.0.1:1")
    assert "no Ray cluster at --ray_address 127.0.0.1:1" in message


async def test_a_replica_answers_and_asks_for_its_key(base: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret")
    app = replica_app(ReplicaOptions(base_data_path=base, api_key_file=tmp_path / "key"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kg") as http:
        assert (await http.post("/retrieve", json=[GOOD])).status_code == 401
        reply = await http.post("/retrieve", json=[GOOD], headers={"Authorization": "Bearer s3cret"})
    assert tuple(reply.json()[0]["results"]) == PARIS


def replicas_below(pid: int) -> list[psutil.Process]:
    # Ray names its processes after what they run.
    below = psutil.Process(pid).children(recursive=True)
    return [one for one in below if one.is_running() and "ServeReplica" in " ".join(one.cmdline())]


async def check_two_replicas(server: ServerProcess) -> None:
    client = HttpKGClient(f"{server.address}/retrieve", max_retries=6)
    first, second = replicas_below(server.process.pid)

    async def ask(count: int) -> None:
        answers = await asyncio.gather(*(client.retrieve(GOOD) for _ in range(count)))
        assert [answer.results for answer in answers] == [PARIS] * count

    await ask(100)
    under_way = asyncio.create_task(ask(100))
    first.kill()
    await under_way
    await ask(100)
    async with asyncio.timeout(60):
        while len(replicas_below(server.process.pid)) < 2:
            await asyncio.sleep(0.2)
    assert first not in replicas_below(server.process.pid)
    assert second in replicas_below(server.process.pid)
    await client.aclose()


@pytest.mark.slow
async def test_two_replicas_of_which_one_dies(base: Path, start_server: Callable[..., ServerProcess]) -> None:
    pytest.importorskip("ray.serve", reason="Ray Serve is not installed", exc_type=ImportError)
    if psutil.virtual_memory().available < MIN_FREE_BYTES:
        pytest.skip("too little memory is free for Ray")
    command = [sys.executable, "-m", "kg_r1.search.ray_serve", "--num_cpus", "0.5"]
    server = start_server(
        "--base_data_path", base, command=command, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    check_server(f"{server.address}/retrieve")
    await check_two_replicas(server)
    below = psutil.Process(server.process.pid).children(recursive=True)
    assert server.stop(signal.SIGINT) == 0
    assert psutil.wait_procs(below, timeout=60)[1] == []


def test_the_module_loads_no_ray() -> None:
    code = "import sys, kg_r1.search.ray_serve; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
