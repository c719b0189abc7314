"""The profile of several nodes on two Ray nodes with folders of their own: only full paths are shared."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.verl_ext import tiny
from tests.verl_ext.gpu_profiles import ON_A_PROCESSOR, SIZES
from tests.verl_ext.running import ROOT, RUN_S, World, free_port
from verl_ext.launch.record import read_record
from verl_ext.processes import descendants

pytestmark = pytest.mark.trainer

# Two raylets of one machine must not ask for the same ports.
PORTS = [
    f"--{name}=0"
    for name in ("min-worker-port", "max-worker-port", "dashboard-agent-listen-port", "metrics-export-port")
]
RESOURCES = ["--num-cpus=16", "--num-gpus=1", "--object-store-memory=200000000", "--disable-usage-stats"]
START_S = 300
AGENT_LOOP_WORKER = "ray::KGAgentLoopWorker"


def environment() -> dict[str, str]:
    """Of a node and of the command; a node started by hand asks for a token where it finds one."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}


@contextmanager
def two_nodes(folders: list[Path]) -> Iterator[str]:
    """A Ray cluster with one node started in each folder; gives its address."""
    port = free_port()
    roles = [["--head", f"--port={port}", "--include-dashboard=false"], [f"--address=127.0.0.1:{port}"]]
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        for folder, role in zip(folders, roles, strict=True):
            folder.mkdir()
            command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *role, *PORTS]
            with (folder / "ray.log").open("wb") as log:
                nodes.append(
                    subprocess.Popen(
                        [*command, *RESOURCES],
                        cwd=folder,
                        env=environment(),
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
            wait_until_started(nodes[-1], folder / "ray.log", port)
        yield f"127.0.0.1:{port}"
    finally:
        for node in nodes:
            node.terminate()


def wait_until_started(node: subprocess.Popen[bytes], log: Path, port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and node.poll() is None:
        with socket.socket() as probe:
            answers = probe.connect_ex(("127.0.0.1", port)) == 0
        if answers and "Ray runtime started" in log.read_text(encoding="utf-8", errors="replace"):
            return
        time.sleep(0.5)
    raise RuntimeError(f"the node did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")


@pytest.mark.parametrize("estimator", ["gae", pytest.param("grpo", marks=pytest.mark.slow)])
def test_two_nodes_with_folders_of_their_own(world: World, qwen2: Path, estimator: str) -> None:
    nodes = [world.folder / f"{estimator}-{node}" for node in (1, 2)]
    name = f"two-{estimator}"
    settings = {
        "trainer.experiment_name": name,
        "trainer.nnodes": 2,
        "trainer.n_gpus_per_node": 1,
        "trainer.total_training_steps": 1,
        "trainer.test_freq": 1,
        "algorithm.adv_estimator": estimator,
        # All of these lie in the folder of the command, and neither node started there.
        "data.train_files": "rows/train.parquet",
        "data.val_files": "rows/val.parquet",
        "actor_rollout_ref.model.path": qwen2.name,
        "critic.model.path": qwen2.name,
        "actor_rollout_ref.rollout.search.base_data_path": "data_kg",
        "data.train_batch_size": 2,
        "data.seed": 5,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 2,
        "critic.ppo_mini_batch_size": 2,
        "actor_rollout_ref.rollout.n": 4,
        "actor_rollout_ref.rollout.agent.num_workers": 2,
        "ray_kwargs.ray_init.num_cpus": "null",
        "ray_kwargs.ray_init.num_gpus": "null",
    }
    overrides = [*ON_A_PROCESSOR, *SIZES, *tiny.EPISODE_OVERRIDES]
    overrides += [f"{key}={value}" for key, value in settings.items()]
    command = [sys.executable, "-m", "verl_ext.main_ppo", "--config-name", "multinode", *overrides]
    path = world.folder / f"{name}.log"
    with two_nodes(nodes) as address, path.open("wb") as log:
        process = subprocess.Popen(
            [*command, f"++ray_kwargs.ray_init.address={address}"],
            cwd=world.folder,
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            started_in = folders_of_agent_loop_workers(process)
            status = process.poll()
        finally:
            world.stop_all()
    assert status == 0, world.log(name)[-4000:]
    assert started_in == set(nodes)
    assert re.search(r"'--seed',[^']*'5'", world.log(name)), "verl prints what the engine is started with"
    run = world.folder / "runs" / name
    metrics = tiny.read_metrics(run / "metrics.jsonl")
    assert metrics[1]["episode/metric/num_searches"] > 0
    assert metrics[1]["validation/all/num_episodes"] == 4.0
    assert metrics[1]["actor/grad_norm"] > 0
    assert ("critic/grad_norm" in metrics[1]) is (estimator == "gae")
    record = read_record(run)
    assert record is not None
    assert record.config["trainer"]["nnodes"] == 2
    assert record.config["data"]["train_files"] == "rows/train.parquet"
    assert len((run / "validation" / "step_000001.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    for node in nodes:
        assert {entry.name for entry in node.iterdir()} == {"ray.log"}


def folders_of_agent_loop_workers(process: subprocess.Popen[bytes]) -> set[Path]:
    """Where the agent loop's workers run, watched until the training ends."""
    found: set[Path] = set()
    deadline = time.monotonic() + RUN_S
    while process.poll() is None and time.monotonic() < deadline:
        for child in descendants():
            try:
                if any(part.startswith(AGENT_LOOP_WORKER) for part in child.cmdline()[:1]):
                    found.add(Path(child.cwd()))
            except psutil.NoSuchProcess:
                continue  # it ended between the listing and the question
        time.sleep(1)
    return found
