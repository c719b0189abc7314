"""`data.seed` decides every new weight and reaches the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from tests.verl_ext import tiny
from tests.verl_ext.engines import build_worker, one_rank, without_measuring
from verl_ext.profiles import composed, profile_names
from verl_ext.settings import SettingsError, check_seed

SEED_KEYS = (
    "actor_rollout_ref.actor.fsdp_config.seed",
    "actor_rollout_ref.actor.data_loader_seed",
    "actor_rollout_ref.ref.fsdp_config.seed",
    "actor_rollout_ref.rollout.seed",
    "critic.fsdp.seed",
    "critic.data_loader_seed",
)


@pytest.mark.parametrize("name", profile_names())
def test_one_seed_for_everything(name: str) -> None:
    config = composed(name, ["data.seed=7"])
    assert {key: OmegaConf.select(config, key) for key in SEED_KEYS} == dict.fromkeys(SEED_KEYS, 7)


@pytest.mark.parametrize("seed", [None, -1, 1.5, True, "7", 2**31])
def test_a_seed_that_not_all_can_take_is_refused(seed: object) -> None:
    with pytest.raises(SettingsError, match=r"data\.seed is"):
        check_seed(seed)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny.write_model(folder)
    return folder


@pytest.fixture(scope="module")
def rank() -> Iterator[None]:
    with one_rank():
        yield


def new_weights(role: str, model: Path, seed: int) -> dict[str, torch.Tensor]:
    """What verl's worker of the role draws for LoRA, which the model's folder has not, by name."""
    section = "critic.model" if role == "critic" else "actor_rollout_ref.model"
    overrides = [f"data.seed={seed}", f"actor_rollout_ref.model.path={model}"]
    overrides += [f"{section}.lora_rank=4", f"{section}.target_modules=[q_proj,v_proj]"]
    worker = build_worker(without_measuring(composed("cpu_135m", overrides)), role)
    state: dict[str, Any] = worker.engine.module.state_dict()
    return {name: value.full_tensor() for name, value in state.items() if "lora_A" in name}


@pytest.mark.parametrize("role", ["actor", "critic"])
@pytest.mark.usefixtures("rank")
def test_new_weights_follow_the_seed(role: str, model: Path) -> None:
    first = new_weights(role, model, 3)
    torch.rand(17)  # what else a process draws must not matter
    again, other = new_weights(role, model, 3), new_weights(role, model, 4)
    assert first
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
        assert not torch.equal(value, other[name]), name
