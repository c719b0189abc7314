"""The GPU profiles take real steps on a processor: their own values except device, model and sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from tests.verl_ext import tiny
from tests.verl_ext.running import World

pytestmark = pytest.mark.trainer

# What a processor cannot do, or has not got.
ON_A_PROCESSOR = (
    "trainer.device=cpu",
    "++ray_kwargs.ray_init={num_cpus: 16, num_gpus: 2, include_dashboard: false}",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    "actor_rollout_ref.actor.use_torch_compile=false",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=false",
    "actor_rollout_ref.ref.use_torch_compile=false",
    "critic.fsdp.use_torch_compile=false",
    "actor_rollout_ref.rollout.enforce_eager=true",
    "++actor_rollout_ref.rollout.enable_sleep_mode=false",
    "actor_rollout_ref.rollout.free_cache_engine=false",
    "++actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend=uni",
    "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=1024",
    "actor_rollout_ref.rollout.agent.num_workers=1",
)
# The prompt that the tiny model has learned, and few and short steps.
SIZES = (
    "trainer.nnodes=1",
    "trainer.total_training_steps=2",
    "trainer.total_epochs=1",
    "trainer.test_freq=2",
    "trainer.val_before_train=false",
    "trainer.save_freq=-1",
    "trainer.logger=[console,file]",
    "data.val_batch_size=4",
    "actor_rollout_ref.rollout.search.prompt_style=names",
    "actor_rollout_ref.rollout.search.entity_form=handle",
    "actor_rollout_ref.rollout.search.actions=[get_head_entities,get_tail_entities,get_head_relations,get_tail_relations]",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
    "critic.ppo_max_token_len_per_gpu=1024",
    "actor_rollout_ref.rollout.max_model_len=1024",
)


@pytest.fixture(scope="session")
def qwen2(world: World) -> Path:
    """The world's half-trained model as a Qwen2: the same function, with biases that are zero."""
    folder = world.folder / "qwen2"
    llama = AutoModelForCausalLM.from_pretrained(str(world.folder / "model"), dtype=torch.bfloat16)
    shape = llama.config.to_dict()
    for name in ("architectures", "model_type", "attention_bias", "mlp_bias", "head_dim", "pretraining_tp"):
        shape.pop(name, None)
    model = Qwen2ForCausalLM(Qwen2Config(**shape)).to(torch.bfloat16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    missing, unexpected = model.load_state_dict(llama.state_dict(), strict=False)
    assert not unexpected
    assert all(name.endswith("bias") for name in missing)
    model.save_pretrained(str(folder))
    AutoTokenizer.from_pretrained(str(world.folder / "model")).save_pretrained(str(folder))
    return folder


def run(
    world: World, qwen2: Path, profile: str, estimator: str, *overrides: str
) -> dict[int, dict[str, float]]:
    """Two steps of a profile, and its metrics by step."""
    name = f"{profile}-{estimator}"
    models = [f"actor_rollout_ref.model.path={qwen2}", f"critic.model.path={qwen2}"]
    estimating = [f"algorithm.adv_estimator={estimator}", "algorithm.rollout_correction.bypass_mode=false"]
    world.run(name, *ON_A_PROCESSOR, *SIZES, *models, *estimating, *overrides, profile=profile)
    return tiny.read_metrics(world.folder / name / "metrics.jsonl")


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
def test_the_card_of_24_gb(world: World, qwen2: Path, estimator: str) -> None:
    # A rate at which an engine that has not got the adapter is told from one that has.
    metrics = run(world, qwen2, "rtx4090_3b", estimator, "actor_rollout_ref.actor.optim.lr=1e-2")
    assert sorted(metrics) == [1, 2]
    assert all(metrics[step]["actor/grad_norm"] > 0 for step in (1, 2))
    assert "rollout_corr/rollout_is_mean" in metrics[1]
    assert metrics[2]["training/rollout_actor_probs_pearson_corr"] > 0.99
    assert metrics[2]["training/rollout_probs_diff_mean"] < 0.02
    if estimator == "gae":
        assert metrics[1]["critic/grad_norm"] > 0
        assert metrics[1]["critic/values/mean"] == pytest.approx(metrics[1]["episode/reward/total"], abs=0.01)


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
def test_several_cards_with_two_ranks(world: World, qwen2: Path, estimator: str) -> None:
    metrics = run(world, qwen2, "h100x4_3b", estimator, "trainer.n_gpus_per_node=2")
    assert sorted(metrics) == [1, 2]
    assert metrics[1]["actor/grad_norm"] > 0
    assert "actor/kl_loss" in metrics[1]
    assert metrics[2]["training/rollout_actor_probs_pearson_corr"] > 0.99
    if estimator == "gae":
        assert metrics[1]["critic/grad_norm"] > 0
