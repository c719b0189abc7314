"""The trainer and the engine on a GPU: ``make test-gpu`` on a machine that has one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.verl_ext import tiny
from tests.verl_ext.running import ROOT, World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


def test_grpo_takes_steps_and_leaves_a_model(world: World) -> None:
    steps = ["trainer.total_training_steps=2", "trainer.test_freq=2", "trainer.save_freq=2"]
    whole = "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]"
    world.run("grpo", *steps, whole, profile="gpu_135m")
    metrics = tiny.read_metrics(world.folder / "grpo" / "metrics.jsonl")
    assert sorted(metrics) == [0, 1, 2]
    assert metrics[1]["actor/grad_norm"] > 0
    assert metrics[1]["training/rollout_actor_probs_pearson_corr"] > 0.99
    saved = world.folder / "grpo" / "checkpoints" / "global_step_2" / "actor" / "huggingface"
    assert (saved / "model.safetensors").is_file()


def test_a_model_is_evaluated_by_the_engine(world: World, tmp_path: Path) -> None:
    """Another process than the trainer's starts the engine here: one that may have asked for CUDA itself."""
    command = [
        *(sys.executable, "-m", "verl_ext.evaluate", "--config-name", "gpu_135m"),
        *("--model", str(world.folder / "model"), "--questions", str(world.folder / "rows" / "val.parquet")),
        *("--search-url", world.server.search_url, "--out", str(tmp_path / "eval"), "--baselines", "none"),
        *("--engine", "vllm", "--gpu-memory-utilization", "0.2", *tiny.EPISODE_OVERRIDES),
    ]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    report = json.loads((tmp_path / "eval" / "report.json").read_text(encoding="utf-8"))
    assert report["systems"][0]["name"] == "model"
