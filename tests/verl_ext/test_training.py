"""Real training runs through Ray, FSDP2 and vLLM with a tiny random model and a real server on a socket."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.verl_ext import tiny
from tests.verl_ext.running import RUN_S, World

pytestmark = pytest.mark.trainer


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
    (country,) = record["question"]["topic_entities"]
    assert record["question"]["gold"] == [[tiny.CAPITALS[country]]]
    assert record["status"] in {"max_turns", "answered", "max_tokens"}
    asked = [turn for line in lines for turn in json.loads(line)["turns"] if turn["query"]]
    assert any(turn["retrieval"]["results"] for turn in asked)
    assert {"total", "outcome", "turns", "parts"} <= set(record["reward"])
    assert len(record["reward"]["turns"]) == len(record["turns"])
    assert list((folder / "tensorboard").glob("events*"))
    tables = list((folder / "wandb").glob("offline-run-*/files/media/table/val/generations_*.table.json"))
    assert len(tables) == 2  # before the first step and after the second


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
    # A new value head says the mean reward of the first batch, of every token (in bfloat16).
    assert metrics["critic/values/mean"] == pytest.approx(metrics["episode/reward/total"], abs=0.01)
    assert metrics["critic/values/max"] == pytest.approx(metrics["critic/values/min"], abs=0.01)
    assert metrics["critic/grad_norm"] > 0
    assert metrics["actor/grad_norm"] > 0
    assert "actor/kl_loss" in metrics


def prompts_by_step(folder: Path) -> dict[int, list[str]]:
    """The questions that each training step saw."""
    return {
        int(path.stem): sorted({json.loads(line)["input"] for line in path.read_text().splitlines()})
        for path in folder.glob("*.jsonl")
    }


def test_a_killed_run_with_turn_credit_resumes_at_its_last_checkpoint(world: World) -> None:
    def overrides(name: str) -> list[str]:
        return [
            "trainer.total_training_steps=3",
            "trainer.test_freq=-1",
            "trainer.val_before_train=false",
            "trainer.save_freq=1",
            "trainer.logger=[console,file]",
            "algorithm.adv_estimator=kg_turn",
            "reward.kg.w_query=0.5",
            f"trainer.rollout_data_dir={world.folder / name / 'rollouts'}",
        ]

    world.run("whole", *overrides("whole"))
    expected = prompts_by_step(world.folder / "whole" / "rollouts")
    assert sorted(expected) == [1, 2, 3]
    assert expected[1] != expected[2]
    assert tiny.read_metrics(world.folder / "whole" / "metrics.jsonl")[1]["actor/grad_norm"] > 0

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
