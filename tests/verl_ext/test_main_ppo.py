"""The command line before anything starts: what it prints, and what it refuses in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verl_ext import tiny
from verl_ext.launch.record import record_of, write_record
from verl_ext.profiles import composed

ROOT = Path(__file__).resolve().parents[2]


def main_ppo(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "verl_ext.main_ppo", *arguments, f"hydra.run.dir={tmp_path}/hydra"]
    command += places(tmp_path)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def places(tmp_path: Path) -> list[str]:
    """Where a run lies."""
    return [f"trainer.default_local_dir={tmp_path}/checkpoints"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Small rows, a tiny model and the graph in the run's own process, so that no server is needed."""
    folder = tmp_path_factory.mktemp("inputs")
    train, val = tiny.write_rows(folder / "rows")
    tiny.write_model(folder / "model")
    tiny.write_graph(folder / "data_kg")
    return [
        f"data.train_files={train}",
        f"data.val_files={val}",
        f"actor_rollout_ref.model.path={folder / 'model'}",
        f"actor_rollout_ref.rollout.search.base_data_path={folder / 'data_kg'}",
        "data.train_batch_size=2",
        "trainer.total_training_steps=4",
    ]


def test_check_prints_the_configuration_and_the_memory_and_stops(tmp_path: Path) -> None:
    finished = main_ppo(tmp_path, "--config-name", "rtx4090_3b", "--check")
    assert finished.returncode == 0, finished.stderr
    assert "lora_rank: 32" in finished.stdout
    assert "max_turn_tokens: 192" in finished.stdout
    # Qwen2.5-3B has 3,085,938,688 weights; a rank of 32 on seven matrices in each of 36 layers adds
    # 32 x 36 x (4096 + 2 x 2304 + 4096 + 3 x 13056), which are the trained ones.
    assert "3,145,805,824 parameters, 59,867,136 trained" in finished.stdout
    (totals,) = [line.split()[1:] for line in finished.stdout.splitlines() if line.startswith("total ")]
    assert all(0 < float(total) < 24 for total in totals)
    assert not (tmp_path / "checkpoints").exists()


def test_check_refuses_a_card_that_is_too_small(tmp_path: Path, inputs: list[str]) -> None:
    finished = main_ppo(tmp_path, "--config-name", "gpu_135m", "--check", *inputs, "trainer.kg.gpu_gib=0.5")
    assert finished.returncode == 2, finished.stderr
    last_line = finished.stderr.strip().splitlines()[-1]
    assert last_line.startswith("error [")
    assert "0.5" in last_line


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ("+actor_rollout_ref.rollout.search.max_turn=2", "bad_settings", "did you mean 'max_turns'"),
        ("actor_rollout_ref.rollout.search.max_turns=0", "bad_settings", "max_turns must be at least 1"),
        ("actor_rollout_ref.rollout.search.timeout_s=0", "bad_settings", "timeout_s must be above 0"),
        ("actor_rollout_ref.rollout.search.search_url=nowhere", "bad_settings", "is not an http address"),
        (
            "actor_rollout_ref.rollout.search.base_data_path=benchmarks",
            "unknown_dataset",
            "has no data set 'capitals'",
        ),
        ("data.seed=null", "bad_settings", "data.seed is None: it takes a whole number"),
        ("data.train_files=nowhere.parquet", "cannot_launch", "python -m kg_r1.data.build world"),
        ("actor_rollout_ref.model.path=models/none", "cannot_launch", "python -m verl_ext.fetch_model"),
        ("trainer.total_training_steps=5", "cannot_launch", "set trainer.total_epochs=2, or fewer steps"),
        ("trainer.resume_mode=resume_path", "cannot_launch", "is no folder global_step_<n>"),
        ("data.max_prompt_length=20", "cannot_launch", "data.train_files: 8 of 8 prompts are longer"),
        ("actor_rollout_ref.actor.loss_agg_mode=sum", "cannot_launch", "verl refuses the configuration"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(
    tmp_path: Path, inputs: list[str], override: str, code: str, words: str
) -> None:
    refused(main_ppo(tmp_path, "--config-name", "cpu_135m", *inputs, override), code, words)
    assert not (tmp_path / "run.json").exists()


def test_a_server_that_does_not_answer_is_one_line(tmp_path: Path, inputs: list[str]) -> None:
    search = "actor_rollout_ref.rollout.search"
    nowhere = [f"{search}.base_data_path=null", f"{search}.search_url=http://127.0.0.1:9/retrieve"]
    finished = main_ppo(tmp_path, "--config-name", "cpu_135m", *inputs, *nowhere)
    refused(finished, "server_unavailable", "kg_retrieval_server.py")


def refused(finished: subprocess.CompletedProcess[str], code: str, words: str) -> None:
    last_line = finished.stderr.strip().splitlines()[-1]
    assert finished.returncode == 2, finished.stderr
    assert last_line.startswith(f"error [{code}]: ")
    assert words in last_line
    assert "Traceback" not in finished.stderr


def test_another_run_of_the_same_name_is_refused_and_a_finished_one_says_so(
    tmp_path: Path, inputs: list[str]
) -> None:
    write_record(record_of(composed("cpu_135m", [*inputs, *places(tmp_path)])), tmp_path)
    (tmp_path / "checkpoints" / "global_step_4").mkdir(parents=True)
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("4")

    rate = "actor_rollout_ref.actor.optim.lr=1e-4"
    finished = main_ppo(tmp_path, "--config-name", "cpu_135m", *inputs, rate)
    refused(finished, "cannot_launch", "actor_rollout_ref.actor.optim.lr (3e-05 -> 0.0001)")

    finished = main_ppo(tmp_path, "--config-name", "cpu_135m", *inputs)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1].startswith(f"{tmp_path} is finished: it stands at step 4 of 4. ")
    assert "ray" not in finished.stdout + finished.stderr
