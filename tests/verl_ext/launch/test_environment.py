"""Full paths, and an environment that reaches workers which do not inherit it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.verl_ext.launch.conftest import SmallRun
from verl_ext.launch.environment import next_free, set_process_environment
from verl_ext.launch.paths import make_paths_absolute
from verl_ext.main_ppo import prepare
from verl_ext.settings import agent_loop_settings, take_settings


def test_an_earlier_metrics_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert next_free(path) == path
    path.touch()
    assert next_free(path).name == "metrics.2.jsonl"
    (tmp_path / "metrics.2.jsonl").touch()
    assert next_free(path).name == "metrics.3.jsonl"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test sets is unset after it."""
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@pytest.mark.parametrize(("is_new", "name"), [(False, "metrics.2.jsonl"), (True, "metrics.jsonl")])
def test_where_metrics_go(small_run: SmallRun, is_new: bool, name: str) -> None:
    small_run.run.mkdir(parents=True)
    (small_run.run / "metrics.jsonl").touch()
    set_process_environment(small_run.config(), is_new=is_new)
    assert os.environ["VERL_FILE_LOGGER_PATH"] == str(small_run.run / name)


def test_workers_are_handed_the_environment(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    config = small_run.config("+ray_kwargs.ray_init.runtime_env.env_vars={OMP_NUM_THREADS: '4', MINE: a}")
    set_process_environment(config)
    handed = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert str(small_run.run / "metrics.jsonl") == handed.VERL_FILE_LOGGER_PATH
    assert handed.VLLM_CPU_KVCACHE_SPACE == "3"
    assert (handed.OMP_NUM_THREADS, handed.MINE) == ("4", "a")
    assert "secret" not in str(dict(handed))
    assert all(isinstance(value, str) for value in handed.values())


def test_every_path_is_made_full_and_hub_names_stay(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_run.folder)
    config = small_run.config(
        "trainer.default_local_dir=runs/first/checkpoints",
        "data.train_files=[rows/train.parquet,rows/val.parquet]",
        "data.val_files=rows/val.parquet",
        "actor_rollout_ref.model.path=model",
        "critic.model.path=Qwen/Qwen2.5-0.5B-Instruct",
        "actor_rollout_ref.rollout.search.base_data_path=data_kg",
        "trainer.default_hdfs_dir=null",
        "trainer.rollout_data_dir=hdfs://somewhere/rollouts",
    )
    make_paths_absolute(config)
    folder = small_run.folder
    assert config.trainer.default_local_dir == str(folder / "runs/first/checkpoints")
    assert list(config.data.train_files) == [
        str(folder / "rows" / f"{name}.parquet") for name in ("train", "val")
    ]
    assert config.data.val_files == str(folder / "rows" / "val.parquet")
    assert config.actor_rollout_ref.model.path == str(folder / "model")
    assert config.critic.model.path == "Qwen/Qwen2.5-0.5B-Instruct"
    assert config.actor_rollout_ref.rollout.search.base_data_path == str(folder / "data_kg")
    assert config.trainer.rollout_data_dir == "hdfs://somewhere/rollouts"


def test_the_agent_loop_reads_from_the_configuration_what_the_sections_said(small_run: SmallRun) -> None:
    overrides = ["actor_rollout_ref.rollout.search.max_turns=4", "reward.kg.w_query=0.25"]
    expected = take_settings(small_run.config(*overrides))
    config = small_run.config(*overrides, "+actor_rollout_ref.rollout.custom={mine: 1}")
    prepare(config)
    search, rubric = agent_loop_settings(config.actor_rollout_ref.rollout)
    assert (search, rubric) == (expected.search, expected.rubric)
    assert (search.max_turns, rubric.w_query) == (4, 0.25)
    assert config.actor_rollout_ref.rollout.custom.mine == 1
    assert not list(small_run.folder.rglob("agent_loop*"))
