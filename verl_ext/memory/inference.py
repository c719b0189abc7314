"""What the inference engine (vLLM) holds while it plays episodes, while it sleeps, and while weights arrive.

vLLM is not run for this: on a card it takes the share it is given, and what fills that share is computed from
the model's own modules and from vLLM's accounting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig
from verl.utils.config import omega_conf_to_dataclass

from verl_ext.memory.packs import EpisodeSizes
from verl_ext.memory.tracker import SizeTracker

GIB = 1024**3
# GiB of cache on a processor: VLLM_CPU_KVCACHE_SPACE as verl_ext/main_ppo.py sets it.
CPU_CACHE_GIB = 1
# vLLM's CPU kernels pack every linear weight, and verl_ext/vllm_cpu.py keeps the original for the next
# synchronisation.
CPU_WEIGHT_COPIES = 2
# GiB of a sleeping engine's CUDA graphs, which stay (vllm-project/vllm pull request 45623). Reports by vLLM
# ("Graph capturing finished in ... secs, took ... GiB") of models of this size stand between .1 and .5.
CUDA_GRAPHS_GIB = 0.5

WEIGHTS, ADAPTERS, CACHE = "engine weights", "engine adapters", "engine cache"
WORKSPACE, GRAPHS = "engine workspace", "engine CUDA graphs"


@dataclass(frozen=True)
class InferenceSizes:
    """Bytes of one engine on one device, by part."""

    awake: Mapping[str, int]
    while_training: Mapping[str, int]
    while_weights_arrive: Mapping[str, int]
    num_cached_tokens: int
    """What the cache holds."""
    problem: str | None
    """Why vLLM would refuse to start, or None."""


def inference_sizes(
    config: DictConfig,
    *,
    num_parameters: int,
    num_in_adapters: int,
    episode: EpisodeSizes,
    gpu_gib: float | None,
) -> InferenceSizes:
    """The engine of ``config``, whose model path is a folder with a ``config.json``.

    Args:
        num_parameters: of the model without adapters.
        num_in_adapters: parameters of LoRA, 0 without.
        gpu_gib: memory of the card; None leaves the engine as much cache as its sequences need.
    """
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    is_cuda = config.trainer.device == "cuda"
    num_ranks = int(rollout.tensor_model_parallel_size)
    width = torch.bfloat16.itemsize if rollout.dtype == "bfloat16" else torch.float32.itemsize
    shape = AutoConfig.from_pretrained(config.actor_rollout_ref.model.path)
    copies = 1 if is_cuda else CPU_WEIGHT_COPIES
    fixed = {WEIGHTS: copies * num_parameters * width // num_ranks}
    if num_in_adapters:
        fixed[ADAPTERS] = num_in_adapters * width // num_ranks
    fixed[WORKSPACE] = workspace_bytes(config, num_ranks)
    if is_cuda and not rollout.enforce_eager:
        fixed[GRAPHS] = round(CUDA_GRAPHS_GIB * GIB)
    per_token = cache_bytes_per_token(shape, num_ranks, width)
    needed = max(1, sequences_at_once(config)) * episode.whole * per_token
    if not is_cuda:
        cache = CPU_CACHE_GIB * GIB
    elif gpu_gib is None:
        cache = needed
    else:
        # The share is of the card's whole memory, and the cache is what the rest leaves of it
        # (vllm/v1/worker/utils.py, request_memory; gpu_worker.py, determine_available_memory).
        cache = round(rollout.gpu_memory_utilization * gpu_gib * GIB) - sum(fixed.values())
    awake = {**fixed, CACHE: max(0, cache)}
    sleeps = bool(rollout.free_cache_engine and rollout.enable_sleep_mode)
    asleep, arriving = _outside_rollout(awake, sleeps=sleeps)
    return InferenceSizes(
        awake=awake,
        while_training=asleep,
        while_weights_arrive=arriving,
        num_cached_tokens=max(0, cache) // per_token,
        problem=_problem(config, fixed, cache, episode.whole * per_token),
    )


def _outside_rollout(awake: Mapping[str, int], *, sleeps: bool) -> tuple[dict[str, int], dict[str, int]]:
    """What stays of an engine while the policy trains, and while new weights arrive."""
    if not sleeps:
        return dict(awake), dict(awake)
    # Whatever the level, weights and cache leave the card (vllm/device_allocator/cumem.py, sleep); verl then
    # asks for the weights' place first and for the cache's after them (workers/engine_workers.py,
    # ActorRolloutRefWorker.update_weights).
    asleep = {name: size for name, size in awake.items() if name == GRAPHS}
    arriving = {name: size for name, size in awake.items() if name not in (CACHE, WORKSPACE)}
    return asleep, arriving


def _problem(config: DictConfig, fixed: Mapping[str, int], cache: int, per_sequence: int) -> str | None:
    if cache >= per_sequence:
        return None
    rollout = config.actor_rollout_ref.rollout
    key = "VLLM_CPU_KVCACHE_SPACE" if config.trainer.device == "cpu" else "gpu_memory_utilization"
    return (
        f"the engine's share ({key}, actor_rollout_ref.rollout.gpu_memory_utilization="
        f"{rollout.gpu_memory_utilization}) leaves {cache / GIB:.2f} GiB of cache after "
        f"{sum(fixed.values()) / GIB:.2f} GiB of weights and workspace, and the longest episode needs "
        f"{per_sequence / GIB:.2f}: raise it"
    )


def sequences_at_once(config: DictConfig) -> int:
    """Sequences that one engine runs at once."""
    rollout = config.actor_rollout_ref.rollout
    num_devices = config.trainer.n_gpus_per_node * config.trainer.nnodes
    num_engines = max(1, num_devices // rollout.tensor_model_parallel_size)
    return min(int(rollout.max_num_seqs), -(-config.data.train_batch_size * rollout.n // num_engines))


def cache_bytes_per_token(shape: PreTrainedConfig, num_ranks: int, width: int) -> int:
    """Keys and values of one token in all layers, as vLLM's ``FullAttentionSpec`` counts them."""
    num_heads = shape.num_attention_heads
    head_size = getattr(shape, "head_dim", None) or shape.hidden_size // num_heads
    num_key_value_heads = max(1, (shape.num_key_value_heads or num_heads) // num_ranks)
    return 2 * int(shape.num_hidden_layers) * num_key_value_heads * int(head_size) * width


def workspace_bytes(config: DictConfig, num_ranks: int) -> int:
    """What one step of the engine needs beside weights and cache, from transformers' modules of the model.

    The step vLLM sizes itself by: ``max_num_batched_tokens`` tokens, and logits of ``max_num_seqs``
    sequences in float32 with their log-probabilities.
    """
    rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
    with SizeTracker() as tracker, torch.no_grad():
        shape = AutoConfig.from_pretrained(Path(model.path))
        module = AutoModelForCausalLM.from_config(shape, dtype=torch.bfloat16, attn_implementation="sdpa")
        tracker.restart(lambda: {"weights": [*module.parameters(), *module.buffers()]})
        tokens = torch.zeros(1, int(rollout.max_num_batched_tokens), dtype=torch.int64)
        num_logits = min(int(rollout.max_num_seqs), tokens.shape[1])
        logits = module(input_ids=tokens, use_cache=False, logits_to_keep=num_logits).logits
        torch.log_softmax(logits.float(), dim=-1)
        return tracker.parts_at_peak("workspace")["workspace"] // num_ranks
