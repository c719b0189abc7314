"""What identifies a run, and what may change between two starts of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kg_r1.data.rows import write_questions
from tests.verl_ext import tiny
from tests.verl_ext.launch.conftest import SmallRun
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.record import (
    MAY_DIFFER,
    differences,
    flat,
    listed_differences,
    may_differ,
    read_record,
    record_of,
    write_record,
)
from verl_ext.profiles import composed, profile_names


def changed_keys(small_run: SmallRun, *overrides: str, before: tuple[str, ...] = ()) -> list[str]:
    old = record_of(small_run.config(*before))
    write_record(old, small_run.run)
    kept = read_record(small_run.run)
    assert kept is not None
    return [one.key for one in differences(kept, record_of(small_run.config(*overrides)))]


def test_the_same_configuration_is_the_same_run(small_run: SmallRun) -> None:
    assert changed_keys(small_run) == []


@pytest.mark.parametrize(
    "override",
    [
        "actor_rollout_ref.actor.optim.lr=1e-4",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.rollout.search.max_turns=3",
        "reward.kg.w_evidence=0.5",
        "data.seed=1",
        "data.train_batch_size=4",
        "algorithm.adv_estimator=kg_turn",
        "trainer.nnodes=2",
        "trainer.kg.skip_equal_groups=false",
        "+actor_rollout_ref.model.override_config.attention_bias=true",
    ],
)
def test_what_is_learned_and_how_identifies_a_run_and_is_named_once(
    small_run: SmallRun, override: str
) -> None:
    key = override.lstrip("+").split("=")[0]
    assert changed_keys(small_run, override) == [key]
    assert changed_keys(small_run, before=(override,)) == [key]


@pytest.mark.parametrize(
    "override",
    [
        "trainer.total_training_steps=200",
        "trainer.save_freq=1",
        "trainer.logger=[console]",
        "trainer.experiment_name=second",
        "trainer.val_only=true",
        "trainer.resume_mode=disable",
        "actor_rollout_ref.rollout.search.search_url=http://elsewhere:1/retrieve",
        "actor_rollout_ref.rollout.gpu_memory_utilization=0.2",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=900",
        "ray_kwargs.ray_init.num_cpus=3",
        "critic.optim.lr=1",  # GRPO has no critic
    ],
)
def test_where_and_how_long_and_how_fast_do_not(small_run: SmallRun, override: str) -> None:
    assert changed_keys(small_run, override) == []


def test_the_critic_counts_where_there_is_one(small_run: SmallRun) -> None:
    gae = "algorithm.adv_estimator=gae"
    assert changed_keys(small_run, gae, "critic.optim.lr=1", before=(gae,)) == ["critic.optim.lr"]


def test_rows_and_model_are_known_by_what_they_hold(small_run: SmallRun) -> None:
    copy = small_run.folder / "copy.parquet"
    copy.write_bytes(small_run.train.read_bytes())
    assert changed_keys(small_run, f"data.train_files={copy}") == []

    old = record_of(small_run.config())
    write_questions(small_run.train, tiny.questions("train")[::-1])
    (small_run.model / "config.json").write_text('{"other": 1}')
    found = differences(old, record_of(small_run.config()))
    assert [one.key for one in found] == ["actor_rollout_ref.model.path", "data.train_files"]
    assert f"{str(small_run.train)!r} sha256 " in found[1].old
    assert found[1].old != found[1].new


def test_a_difference_shows_both_values_and_a_long_list_is_cut(small_run: SmallRun) -> None:
    old = record_of(small_run.config())
    new = record_of(small_run.config("data.seed=1", "actor_rollout_ref.actor.optim.lr=0.5"))
    found = differences(old, new)
    assert listed_differences(found) == "actor_rollout_ref.actor.optim.lr (3e-05 -> 0.5), data.seed (0 -> 1)"
    assert listed_differences(found * 4).endswith(" and 2 more")


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    for text in ("{", '{"config": {}}', "[]"):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(LaunchError, match=r"run\.json is no record of a run"):
            read_record(tmp_path)


def test_every_pattern_of_keys_that_may_differ_meets_a_key() -> None:
    keys = {
        key
        for name in profile_names()
        for key, _ in flat(OmegaConf.to_container(composed(name, []), resolve=False))  # type: ignore[arg-type]
    }
    for pattern in MAY_DIFFER:
        assert any(may_differ(key) and _meets(pattern, key) for key in keys), pattern


def _meets(pattern: str, key: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(key, pattern)
