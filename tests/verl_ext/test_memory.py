"""The memory of every phase against figures worked out by hand; test_memory_real.py has real processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel
from verl.plugin.platform.platform_manager import get_platform

from tests.verl_ext import shapes
from verl_ext.memory.errors import DoesNotFitError, MemoryCheckError, UnknownModelError
from verl_ext.memory.estimate import MemoryEstimate, actor_passes, estimate_memory
from verl_ext.memory.inference import CPU_CACHE_GIB, GIB, cache_bytes_per_token
from verl_ext.memory.packs import EpisodeSizes, Pack, episodes_of, largest_pack, longest_episode
from verl_ext.memory.report import check_fits, format_memory
from verl_ext.profiles import composed
from verl_ext.settings import take_settings

pytestmark = pytest.mark.skipif(
    get_platform().device_name != "cpu", reason="memory is computed with verl on the processor"
)

PROFILES = ("cpu_135m", "gpu_135m", "rtx4090_3b", "h100x4_3b", "multinode")


def estimate(folder: Path, profile: str, *overrides: str) -> MemoryEstimate:
    """The estimate of a profile with the small architecture in the place of its models."""
    shapes.write_shape(folder / "model")
    models = [f"{role}.model.path={folder / 'model'}" for role in ("actor_rollout_ref", "critic")]
    config = composed(profile, [*models, *overrides])
    return estimate_memory(config, take_settings(config))


def test_full_weights_by_hand(tmp_path: Path) -> None:
    found = estimate(tmp_path, "cpu_135m")
    count = shapes.NUM_PARAMETERS
    assert (found.num_parameters, found.num_trained) == (count, count)
    update = found.phases["update"]
    # float32 weights and gradients; two moments and, of each tensor, a counter of 4 bytes.
    assert update["actor weights"] == pytest.approx(4 * count, abs=200)  # and the rotary table
    # Beside them, of the layer at work, those of the weights as gathered in bfloat16.
    assert 4 * count <= update["actor gradients"] <= 4 * count + 2 * count
    num_tensors = 12 * shapes.NUM_LAYERS + 2
    assert update["actor optimizer"] == 8 * count + 4 * num_tensors
    # Both processes' copies of a packed bfloat16 weight, and a cache of one GiB.
    assert found.phases["rollout"]["engine weights"] == 2 * 2 * count
    assert found.phases["rollout"]["engine cache"] == CPU_CACHE_GIB * GIB
    assert "actor activations" not in found.phases["rollout"]


def test_lora_by_hand(tmp_path: Path) -> None:
    found = estimate(tmp_path, "rtx4090_3b", "trainer.kg.gpu_gib=null")
    trained = 32 * shapes.NUM_PER_RANK
    assert found.num_trained == trained
    update = found.phases["update"]
    # The base in bfloat16, the matrices and all that belongs to them in float32.
    assert update["actor weights"] == pytest.approx(2 * shapes.NUM_PARAMETERS + 4 * trained, abs=200)
    assert update["actor gradients"] == 4 * trained
    assert update["actor optimizer"] == pytest.approx(8 * trained, rel=0.01)
    # What the engine holds while it waits for the adapters: its weights, and no cache.
    sync = found.phases["sync"]
    assert sync["engine weights"] == 2 * shapes.NUM_PARAMETERS
    assert "engine cache" not in sync
    assert sync["bucket"] == 2048 * 1024**2
    assert sync["engine copies of adapters"] == 2 * 4 * trained


def test_four_ranks_hold_a_quarter_each(tmp_path: Path) -> None:
    whole = estimate(tmp_path, "h100x4_3b", "trainer.n_gpus_per_node=1").phases["update"]
    shard = estimate(tmp_path, "h100x4_3b").phases["update"]
    for part in ("actor weights", "actor optimizer"):
        assert shard[part] == pytest.approx(whole[part] / 4, rel=0.05)


def test_what_is_offloaded_leaves_the_card(tmp_path: Path) -> None:
    kept = estimate(tmp_path, "rtx4090_3b", "algorithm.adv_estimator=gae")
    offloads = ("param_offload", "optimizer_offload")
    moved = [f"actor_rollout_ref.actor.fsdp_config.{name}=true" for name in offloads]
    freed = estimate(tmp_path, "rtx4090_3b", "algorithm.adv_estimator=gae", *moved)
    assert kept.phases["rollout"]["actor weights"] == kept.phases["update"]["actor weights"]
    assert "actor weights" not in freed.phases["rollout"]
    assert "actor optimizer" not in freed.phases["critic"]
    assert freed.phases["update"]["actor weights"] == kept.phases["update"]["actor weights"]
    # The profile's critic waits in the host's memory.
    assert not any(part.startswith("critic") for part in kept.phases["update"])


@pytest.mark.parametrize(
    ("profile", "estimator"),
    [*((profile, "gae") for profile in PROFILES), ("rtx4090_3b", "grpo"), ("h100x4_3b", "grpo")],
)
def test_every_profile_is_computed(tmp_path: Path, profile: str, estimator: str) -> None:
    overrides = [f"algorithm.adv_estimator={estimator}"]
    config = composed(profile, overrides)
    settings = take_settings(config)
    found = estimate(tmp_path, profile, *overrides)
    expected = {"rollout", "update", "sync", "log-probs"}
    expected |= {"critic"} if estimator == "gae" else set()
    expected |= {"reference"} if config.actor_rollout_ref.actor.use_kl_loss else set()
    assert set(found.phases) == expected
    assert all(0 < found.total(phase) < 80 * GIB for phase in found.phases)
    table = format_memory(found, config, settings.search)
    assert all(phase in table.splitlines()[1] for phase in expected)
    check_fits(found, config, settings.run.gpu_gib)


def test_packs() -> None:
    episode = EpisodeSizes(prompt=200, response=300, sampled=250)
    # Filled up to the limit, but not beyond all the episodes that there are.
    assert largest_pack(episode, 8, 1200, None) == Pack(1200, 2)
    assert largest_pack(episode, 2, 32768, None) == Pack(1000, 1)
    # A limit below one episode is refused by verl; a pack is at least that long.
    assert largest_pack(episode, 8, 400, None).num_tokens == 500
    # Without dynamic batches: so many episodes at a time.
    assert largest_pack(episode, 8, None, 3) == Pack(1500, 2)
    # Three episodes of 400: prompt and sampled tokens in the longest one's proportion.
    assert episodes_of(Pack(1200, 2), episode) == [EpisodeSizes(160, 240, 200)] * 3
    assert [e.whole for e in episodes_of(Pack(501, 1), episode)] == [251, 250]


def test_the_longest_episode() -> None:
    config = composed("cpu_135m", [])
    search = take_settings(config).search
    # Six turns of 112 tokens would be more than the response may have.
    assert longest_episode(config, search) == EpisodeSizes(256, 512, 512)
    config = composed("rtx4090_3b", ["data.max_prompt_length=512"])
    assert longest_episode(config, take_settings(config).search) == EpisodeSizes(512, 1024, 960)


def test_the_cache_is_what_vllm_counts() -> None:
    from transformers import Qwen2Config
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    shape = Qwen2Config(hidden_size=2048, num_hidden_layers=36, num_attention_heads=16, num_key_value_heads=2)
    layer = FullAttentionSpec(block_size=16, num_kv_heads=2, head_size=128, dtype=torch.bfloat16)
    assert cache_bytes_per_token(shape, num_ranks=1, width=2) == 36 * layer.page_size_bytes / 16


def test_the_cache_on_a_processor_is_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from verl_ext.main_ppo import set_process_environment

    monkeypatch.setattr(os, "environ", {})
    set_process_environment(composed("cpu_135m", [f"trainer.default_local_dir={tmp_path}/checkpoints"]))
    assert os.environ["VLLM_CPU_KVCACHE_SPACE"] == str(CPU_CACHE_GIB)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    config = composed("rtx4090_3b", [])
    found = estimate(tmp_path, "rtx4090_3b")
    largest = max(found.phases, key=found.total)
    check_fits(found, config, None)
    check_fits(found, config, found.total(largest) / GIB)
    with pytest.raises(DoesNotFitError, match=rf"phase {largest} needs .* of trainer.kg.gpu_gib=1; its"):
        check_fits(found, config, 1.0)


def test_a_pack_that_is_too_long_is_what_to_lower(tmp_path: Path) -> None:
    key = "actor_rollout_ref.actor.ppo_max_token_len_per_gpu"
    overrides = [f"{key}=60000", "trainer.kg.gpu_gib=null", "actor_rollout_ref.rollout.enforce_eager=true"]
    config = composed("rtx4090_3b", overrides)
    found = estimate(tmp_path, "rtx4090_3b", *overrides)
    # A mask of 60,000 x 60,000 and what attention makes of it.
    assert found.phases["update"]["actor activations"] > 3 * 60_000**2
    with pytest.raises(DoesNotFitError, match=f"actor activations, .*: lower {key}=60000"):
        check_fits(found, config, 8.0)


@pytest.mark.parametrize(
    ("part", "phase", "words"),
    [
        ("critic optimizer", "critic", "smaller one in critic.model.path"),
        ("actor optimizer", "critic", "actor_rollout_ref.actor.fsdp_config.optimizer_offload=true"),
        ("actor weights", "critic", "actor_rollout_ref.actor.fsdp_config.param_offload=true"),
        ("actor weights", "update", "smaller model in actor_rollout_ref.model.path"),
        ("critic weights", "rollout", "critic.fsdp.param_offload=true"),
        ("engine cache", "rollout", "lower actor_rollout_ref.rollout.gpu_memory_utilization"),
        ("bucket", "sync", "update_weights_bucket_megabytes"),
    ],
)
def test_what_is_advised_can_help(part: str, phase: str, words: str) -> None:
    """Offloading helps while others work; an engine at work has everything on the device."""
    config = composed("rtx4090_3b", [])
    found = MemoryEstimate(
        phases={phase: {part: 2 * GIB}},
        num_parameters=1,
        num_trained=1,
        episode=EpisodeSizes(1, 1, 1),
        packs={},
        num_cached_tokens=1,
        problem=None,
    )
    with pytest.raises(DoesNotFitError, match=re.escape(words)):
        check_fits(found, config, 1.0)


def test_an_engine_without_room_for_an_episode_is_refused(tmp_path: Path) -> None:
    overrides = ["trainer.kg.gpu_gib=2.0", "actor_rollout_ref.rollout.gpu_memory_utilization=0.2"]
    config = composed("rtx4090_3b", overrides)
    with pytest.raises(DoesNotFitError, match="gpu_memory_utilization"):
        check_fits(estimate(tmp_path, "rtx4090_3b", *overrides), config, 2.0)


def test_a_weight_larger_than_the_bucket_is_refused(tmp_path: Path) -> None:
    shapes.write_shape(tmp_path / "wide", vocab_size=20_000)
    config = composed(
        "cpu_135m",
        [
            f"actor_rollout_ref.model.path={tmp_path / 'wide'}",
            "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=1",
        ],
    )
    with pytest.raises(MemoryCheckError, match=r"bucket_megabytes=1 is less than .*embed_tokens"):
        estimate_memory(config, take_settings(config))


def test_an_unknown_model_is_refused() -> None:
    config = composed("cpu_135m", ["actor_rollout_ref.model.path=no/such-model"])
    with pytest.raises(UnknownModelError, match="no/such-model"):
        estimate_memory(config, take_settings(config))


def test_other_strategies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MemoryCheckError, match=r"actor_rollout_ref\.actor\.strategy=fsdp:"):
        estimate(tmp_path, "cpu_135m", "actor_rollout_ref.actor.strategy=fsdp")


def test_passes_of_one_rank(tmp_path: Path) -> None:
    config = composed("multinode", [])
    passes = actor_passes(config, EpisodeSizes(10, 10, 5))
    assert (passes.num_episodes, passes.num_in_mini_batch) == (256 * 16 // 16, 256 * 16 // 16)


def test_models_load_as_before_afterwards(tmp_path: Path) -> None:
    """What is put in the place of transformers' loading while a profile is computed is taken out again."""
    before = vars(PreTrainedModel)["from_pretrained"]
    estimate(tmp_path, "gpu_135m")
    assert vars(PreTrainedModel)["from_pretrained"] is before
