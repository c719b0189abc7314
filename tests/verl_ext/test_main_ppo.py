"""The command line before anything starts: what it prints, and what it refuses in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verl_ext import tiny
from verl_ext.main_ppo import next_free

ROOT = Path(__file__).resolve().parents[2]


def main_ppo(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "verl_ext.main_ppo", *arguments]
    command += [f"hydra.run.dir={tmp_path}", f"trainer.default_local_dir={tmp_path}/checkpoints"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_check_prints_the_configuration_and_the_memory_and_stops(tmp_path: Path) -> None:
    finished = main_ppo(tmp_path, "--config-name", "rtx4090_3b", "--check")
    assert finished.returncode == 0, finished.stderr
    assert "lora_rank: 32" in finished.stdout
    assert "max_turn_tokens: 192" in finished.stdout
    assert "3,085,846,528 parameters" in finished.stdout
    total = float(finished.stdout.split("total")[-1].split()[0])
    assert 0 < total < 24
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ("+actor_rollout_ref.rollout.search.max_turn=2", "bad_settings", "did you mean 'max_turns'"),
        ("actor_rollout_ref.rollout.search.max_turns=0", "bad_settings", "max_turns must be at least 1"),
        ("actor_rollout_ref.rollout.search.timeout_s=0", "bad_settings", "timeout_s must be above 0"),
        ("actor_rollout_ref.rollout.search.search_url=nowhere", "bad_settings", "is not an http address"),
        ("data.train_files=nowhere.parquet", "cannot_launch", "python -m kg_r1.data.build world"),
        ("actor_rollout_ref.model.path=models/none", "cannot_launch", "python -m verl_ext.fetch_model"),
        (
            "actor_rollout_ref.rollout.search.search_url=http://127.0.0.1:9/retrieve",
            "server_unavailable",
            "kg_retrieval_server.py",
        ),
        (
            "actor_rollout_ref.rollout.search.base_data_path=benchmarks",
            "unknown_dataset",
            "base_data_path=benchmarks has no data set 'capitals'",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(
    tmp_path: Path, override: str, code: str, words: str
) -> None:
    train, val = tiny.write_rows(tmp_path / "rows")
    tiny.write_model(tmp_path / "model")
    inputs = [
        f"data.train_files={train}",
        f"data.val_files={val}",
        f"actor_rollout_ref.model.path={tmp_path / 'model'}",
    ]
    finished = main_ppo(tmp_path, "--config-name", "cpu_135m", *inputs, override)
    last_line = finished.stderr.strip().splitlines()[-1]
    assert finished.returncode == 2, finished.stderr
    assert last_line.startswith(f"error [{code}]: ")
    assert words in last_line
    assert "Traceback" not in finished.stderr


def test_an_earlier_metrics_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert next_free(path) == path
    path.touch()
    assert next_free(path).name == "metrics.2.jsonl"
    (tmp_path / "metrics.2.jsonl").touch()
    assert next_free(path).name == "metrics.3.jsonl"
