"""Real training runs through Ray, FSDP2 and vLLM with a tiny random model and a real server on a socket."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.verl_ext import tiny
from verl_ext.processes import adopt_orphans, descendants, stop_descendants

pytestmark = pytest.mark.trainer

ROOT = Path(__file__).resolve().parents[2]
RUN_S = 400


@dataclass(frozen=True)
class World:
    """What every run here shares."""

    folder: Path
    search_url: str
    spared: frozenset[int]  # processes that runs did not start

    def command(self, name: str, *overrides: str) -> list[str]:
        settings = {
            "trainer.experiment_name": name,
            "trainer.default_local_dir": self.folder / name / "checkpoints",
            "trainer.validation_data_dir": self.folder / name / "validation",
            "trainer.logger": "[console,file,tensorboard,wandb]",
            "hydra.run.dir": self.folder / name / "hydra",
            "data.train_files": self.folder / "rows" / "train.parquet",
            "data.val_files": self.folder / "rows" / "val.parquet",
            "data.train_batch_size": 2,
            "data.max_prompt_length": 512,
            "data.max_response_length": 320,
            "actor_rollout_ref.model.path": self.folder / "model",
            "actor_rollout_ref.actor.ppo_mini_batch_size": 2,
            "actor_rollout_ref.actor.optim.lr": "1e-3",
            "actor_rollout_ref.rollout.n": 4,
            "actor_rollout_ref.rollout.temperature": 1.0,
            "actor_rollout_ref.rollout.search.search_url": self.search_url,
            "actor_rollout_ref.rollout.search.max_turns": 3,
            "actor_rollout_ref.rollout.search.max_turn_tokens": 48,
            "critic.ppo_mini_batch_size": 2,
            # The old log-probabilities from the actor itself, so that they can be compared with the engine's.
            "algorithm.rollout_correction.bypass_mode": "false",
        }
        flat = [f"{key}={value}" for key, value in settings.items()]
        return [sys.executable, "-m", "verl_ext.main_ppo", "--config-name", "cpu_135m", *flat, *overrides]

    def start(self, name: str, *overrides: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("ab")
        return subprocess.Popen(
            self.command(name, *overrides), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )

    def run(self, name: str, *overrides: str) -> str:
        process = self.start(name, *overrides)
        try:
            status = process.wait(timeout=RUN_S)
        finally:
            self.stop_all()
        text = self.log(name)
        assert status == 0, f"{name} ended with {status}:\n" + "\n".join(text.splitlines()[-40:])
        return text

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop_all(self) -> None:
        """End every process that a run left, Ray's included."""
        stop_descendants(grace_s=0, spared=self.spared)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("training")
    tiny.write_half_trained_model(folder)
    tiny.write_rows(folder / "rows")
    port = free_port()
    arguments = ["--base_data_path", str(folder / "data_kg"), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "kg_r1.search.kg_retrieval_server", *arguments], cwd=ROOT
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(150):
            try:
                httpx.get(f"{address}/health", timeout=1)
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        adopt_orphans()
        yield World(folder, f"{address}/retrieve", frozenset(child.pid for child in descendants()))
    finally:
        server.terminate()
        server.wait(timeout=10)


def test_grpo_learns_validates_and_logs(world: World) -> None:
    overrides = ["trainer.total_training_steps=2", "trainer.test_freq=2", "trainer.save_freq=-1"]
    world.run("grpo", *overrides)
    folder = world.folder / "grpo"
    metrics = tiny.read_metrics(folder / "metrics.jsonl")
    assert sorted(metrics) == [0, 1, 2]
    assert metrics[1]["actor/grad_norm"] > 0
    assert 1.0 <= metrics[2]["episode/metric/num_turns"] <= 3.0
    assert metrics[2]["episode/metric/num_searches"] > 0
    assert metrics[2]["episode/seconds_kg"] > 0
    assert metrics[0]["validation/1-hop/num_episodes"] == 4.0
    assert metrics[1]["timing_s/gen"] > 0
    # The engine's probabilities are the actor's: a wrong mask or a shifted log-prob would show here.
    assert metrics[1]["training/rollout_actor_probs_pearson_corr"] > 0.99

    lines = (folder / "validation" / "step_000002.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads(lines[0])
    assert len(lines) == 4
    assert record["step"] == 2
    assert record["question"]["gold"] == [["Paris"]] or record["question"]["dataset_name"] == "capitals"
    assert record["status"] in {"max_turns", "answered", "max_tokens"}
    asked = [turn for line in lines for turn in json.loads(line)["turns"] if turn["query"]]
    assert any(turn["retrieval"]["results"] for turn in asked)
    assert {"total", "outcome", "turns", "parts"} <= set(record["reward"])
    assert len(record["reward"]["turns"]) == len(record["turns"])
    assert list((folder / "tensorboard").glob("events*"))
    assert list((folder / "wandb").glob("offline-run-*"))


def test_ppo_takes_a_step_with_critic_and_reference(world: World) -> None:
    world.run(
        "ppo",
        "trainer.total_training_steps=1",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
        "trainer.val_before_train=false",
        "algorithm.adv_estimator=gae",
        "actor_rollout_ref.actor.use_kl_loss=true",
        "actor_rollout_ref.actor.kl_loss_coef=0.001",
    )
    metrics = tiny.read_metrics(world.folder / "ppo" / "metrics.jsonl")[1]
    assert metrics["critic/grad_norm"] > 0
    assert metrics["actor/grad_norm"] > 0
    assert "actor/kl_loss" in metrics


def prompts_by_step(folder: Path) -> dict[int, list[str]]:
    """The questions that each training step saw."""
    return {
        int(path.stem): sorted({json.loads(line)["input"] for line in path.read_text().splitlines()})
        for path in folder.glob("*.jsonl")
    }


def test_a_killed_run_resumes_at_its_last_checkpoint_with_the_same_data(world: World) -> None:
    def overrides(name: str) -> list[str]:
        return [
            "trainer.total_training_steps=3",
            "trainer.test_freq=-1",
            "trainer.val_before_train=false",
            "trainer.save_freq=1",
            "trainer.logger=[console,file]",
            f"trainer.rollout_data_dir={world.folder / name / 'rollouts'}",
        ]

    world.run("whole", *overrides("whole"))
    expected = prompts_by_step(world.folder / "whole" / "rollouts")
    assert sorted(expected) == [1, 2, 3]
    assert expected[1] != expected[2]

    process = world.start("killed", *overrides("killed"))
    saved = world.folder / "killed" / "checkpoints" / "latest_checkpointed_iteration.txt"
    deadline = time.monotonic() + RUN_S
    while not saved.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert saved.exists(), world.log("killed")[-3000:]
    process.send_signal(signal.SIGKILL)
    process.wait()
    world.stop_all()
    last_step = int(saved.read_text())

    world.run("killed", *overrides("killed"))
    resumed = tiny.read_metrics(world.folder / "killed" / "metrics.2.jsonl")
    assert min(resumed) == last_step + 1
    assert max(resumed) == 3
    again = prompts_by_step(world.folder / "killed" / "rollouts")
    assert {step: again[step] for step in resumed} == {step: expected[step] for step in resumed}
