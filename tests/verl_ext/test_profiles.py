"""Every profile with every estimator, as far as verl looks at it without a card."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.verl_ext import tiny
from tests.verl_ext.engines import build_worker, one_rank, without_measuring
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.verl_checks import check_with_verl, engine_configs
from verl_ext.main_ppo import prepare
from verl_ext.profiles import composed, profile_names

ESTIMATORS = ("grpo", "gae", "kg_turn")
CELLS = [(name, estimator) for name in profile_names() for estimator in ESTIMATORS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny.write_model(folder)
    return folder


def prepared(name: str, estimator: str, model: Path, *overrides: str) -> DictConfig:
    """The profile with a small model in the place of each of its own, as it is handed to verl."""
    small = [f"actor_rollout_ref.model.path={model}", f"critic.model.path={model}"]
    config = composed(name, [*small, f"algorithm.adv_estimator={estimator}", *overrides])
    prepare(config)
    return without_measuring(config)


@pytest.mark.parametrize(("name", "estimator"), CELLS)
def test_verl_accepts_the_profile_and_all_its_engines(name: str, estimator: str, model: Path) -> None:
    config = prepared(name, estimator, model)
    check_with_verl(config)
    has_critic = estimator == "gae"
    parts = engine_configs(config, has_critic=has_critic, has_reference=True)
    assert set(parts) == {"model", "rollout", "actor", "ref"} | ({"critic"} if has_critic else set())
    assert parts["actor"].engine.strategy == config.actor_rollout_ref.actor.strategy
    assert set(parts["rollout"].custom) == {"kg_agent"}


@pytest.fixture(scope="module")
def rank() -> Iterator[None]:
    with one_rank():
        yield


@pytest.mark.parametrize(
    ("name", "role"), [(name, role) for name in profile_names() for role in ("actor", "critic")]
)
@pytest.mark.usefixtures("rank")
def test_verl_builds_the_models(name: str, role: str, model: Path) -> None:
    config = prepared(name, "gae", model)
    worker = build_worker(config, role)
    trained = [weight for weight in worker.engine.module.parameters() if weight.requires_grad]
    assert trained
    rank_key = "actor_rollout_ref.model.lora_rank" if role == "actor" else "critic.model.lora_rank"
    has_lora = bool(OmegaConf.select(config, rank_key))
    assert has_lora == any(not weight.requires_grad for weight in worker.engine.module.parameters())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("actor_rollout_ref.actor.loss_agg_mode=sum", "Invalid loss_agg_mode: sum"),
        (
            "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm",
            "needs actor_rollout_ref.actor.loss_sc",
        ),
        (
            "actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=false",
            "must equal that of actor.use_dynamic_bsz",
        ),
        (
            "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=null",
            "log_prob_max_token_len_per_gpu must be",
        ),
        ("actor_rollout_ref.rollout.mode=sync", "Rollout mode 'sync' has been removed"),
        ("+actor_rollout_ref.actor.no_such_key=1", "no_such_key"),
    ],
)
def test_what_a_worker_would_refuse_is_refused_in_one_line(override: str, words: str, model: Path) -> None:
    config = prepared("cpu_135m", "grpo", model, override)
    with pytest.raises(LaunchError, match=re.escape(words)) as refused:
        check_with_verl(config)
    assert "\n" not in str(refused.value)
