"""How much memory a configuration needs, by part: arithmetic, not a measurement.

The figures are bytes that must be resident at once on one device while the actor is updated (the peak of
a step). Attention workspaces, fragmentation and the CUDA context are covered by one stated margin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from verl_ext.settings import SearchSettings

GIB = 1024**3
MARGIN = 0.10

SMOLLM2_135M: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
# Shapes of models that profiles name, for a machine that cannot reach the hub or has not made them yet.
# Source: the config.json of each model's own hub page.
KNOWN_SHAPES: dict[str, dict[str, Any]] = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": SMOLLM2_135M,
    "models/SmolLM2-135M-cold-start": SMOLLM2_135M,
    "Qwen/Qwen2.5-3B-Instruct": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
}


@dataclass(frozen=True)
class ModelShape:
    """What arithmetic needs of a decoder."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int
    vocab_size: int
    is_tied: bool

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def num_parameters(self) -> int:
        """Weights of a gated decoder (Llama, Qwen): attention, three MLP matrices, norms, embeddings."""
        key_value = self.num_key_value_heads * self.head_size
        attention = 2 * self.hidden_size**2 + 2 * self.hidden_size * key_value
        mlp = 3 * self.hidden_size * self.intermediate_size
        layer = attention + mlp + 2 * self.hidden_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.is_tied else 2)
        return self.num_layers * layer + embeddings + self.hidden_size

    @property
    def num_linear_weights_per_rank(self) -> int:
        """LoRA parameters that one unit of rank adds on every linear layer."""
        key_value = self.num_key_value_heads * self.head_size
        attention = 2 * (2 * self.hidden_size) + 2 * (self.hidden_size + key_value)
        mlp = 3 * (self.hidden_size + self.intermediate_size)
        return self.num_layers * (attention + mlp)


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by part, on one device."""

    parts: Mapping[str, float]
    num_parameters: int

    @property
    def total(self) -> float:
        return sum(self.parts.values())


class UnknownModelError(ValueError):
    """A model whose shape is neither on disk nor in the table."""

    code = "unknown_model"


def read_shape(model: str) -> ModelShape:
    """The shape of a local model folder, or of a model in the table.

    Raises:
        UnknownModelError: for another name.
    """
    file = Path(model) / "config.json"
    if file.is_file():
        values = json.loads(file.read_text(encoding="utf-8"))
    elif model in KNOWN_SHAPES:
        values = KNOWN_SHAPES[model]
    else:
        raise UnknownModelError(
            f"the shape of {model!r} is not known: there is no {file}; fetch the model first, or name one of "
            + ", ".join(KNOWN_SHAPES)
        )
    return ModelShape(
        hidden_size=values["hidden_size"],
        intermediate_size=values["intermediate_size"],
        num_layers=values["num_hidden_layers"],
        num_heads=values["num_attention_heads"],
        num_key_value_heads=values.get("num_key_value_heads", values["num_attention_heads"]),
        vocab_size=values["vocab_size"],
        is_tied=bool(values.get("tie_word_embeddings", False)),
    )


def _trained_parts(shape: ModelShape, *, lora_rank: int, num_shards: int) -> dict[str, float]:
    """Weights, gradients and Adam's two moments, all in float32, of what is trained.

    verl's ``param_offload`` and ``optimizer_offload`` park these during generation and bring them back for
    the update, so they count in full here.
    """
    num_trained = shape.num_linear_weights_per_rank * lora_rank if lora_rank else shape.num_parameters
    weights = 2 * shape.num_parameters + 4 * num_trained if lora_rank else 4 * num_trained
    return {
        "weights": weights / num_shards,
        "gradients": 4 * num_trained / num_shards,
        "optimizer": 8 * num_trained / num_shards,
    }


def _activations(shape: ModelShape, num_tokens: int, is_checkpointed: bool) -> float:
    """bfloat16 activations kept for the backward pass, and one micro-batch of float32 logits twice.

    Per token and layer about 34 hidden sizes in bytes without checkpointing (Korthikanti et al. 2022,
    "Reducing Activation Recomputation", equation 1, without the attention scores, which
    scaled-dot-product attention does not keep), and 2 with it.
    """
    per_layer = (2 if is_checkpointed else 34) * shape.hidden_size
    one_layer = 34 * shape.hidden_size if is_checkpointed else 0
    logits = 2 * 4 * shape.vocab_size
    return num_tokens * (shape.num_layers * per_layer + one_layer + logits)


def estimate_memory(config: DictConfig) -> MemoryEstimate:
    """Memory of one device at the peak of a step, by part, in bytes.

    Raises:
        UnknownModelError: as :func:`read_shape`.
    """
    group = config.actor_rollout_ref
    shape = read_shape(str(group.model.path))
    num_devices = config.trainer.n_gpus_per_node * config.trainer.nnodes
    lora_rank = int(OmegaConf.select(group, "model.lora_rank") or 0)
    length = config.data.max_prompt_length + config.data.max_response_length
    actor = _trained_parts(shape, lora_rank=lora_rank, num_shards=num_devices)
    parts = {f"actor {name}": value for name, value in actor.items()}
    micro_batch = int(group.actor.ppo_micro_batch_size_per_gpu or 1)
    parts["activations"] = _activations(
        shape, micro_batch * length, bool(group.model.enable_gradient_checkpointing)
    )
    if bool(group.actor.use_kl_loss) and not lora_rank:
        is_parked = bool(OmegaConf.select(group, "ref.fsdp_config.param_offload"))
        parts["reference"] = 0.0 if is_parked else 2 * shape.num_parameters / num_devices
    if config.algorithm.adv_estimator == "gae":
        critic_rank = int(OmegaConf.select(config, "critic.model.lora_rank") or 0)
        critic = _trained_parts(shape, lora_rank=critic_rank, num_shards=num_devices)
        parts |= {f"critic {name}": value for name, value in critic.items()}
    if not bool(group.rollout.free_cache_engine):
        parts |= _engine_parts(shape, config, length)
    parts["margin"] = MARGIN * sum(parts.values())
    return MemoryEstimate(parts=parts, num_parameters=shape.num_parameters)


def _engine_parts(shape: ModelShape, config: DictConfig, length: int) -> dict[str, float]:
    """The engine's weights and the cache of as many sequences as run at once, when they stay in memory."""
    rollout = config.actor_rollout_ref.rollout
    num_sequences = min(rollout.max_num_seqs, config.data.train_batch_size * rollout.n)
    per_token = 2 * 2 * shape.num_layers * shape.num_key_value_heads * shape.head_size
    return {
        "engine weights": 2 * shape.num_parameters / rollout.tensor_model_parallel_size,
        "engine cache": num_sequences * length * per_token / rollout.tensor_model_parallel_size,
    }


def format_memory(estimate: MemoryEstimate, config: DictConfig, search: SearchSettings) -> str:
    """A table of the parts, and what an episode may hold."""
    rows = [f"{'part':<20} GiB"] + [f"{name:<20} {value / GIB:.2f}" for name, value in estimate.parts.items()]
    length = config.data.max_prompt_length + config.data.max_response_length
    return "\n".join(
        [
            f"memory of one device at the peak of a step (computed; {estimate.num_parameters:,} parameters)",
            *rows,
            f"{'total':<20} {estimate.total / GIB:.2f}",
            f"episodes: at most {search.max_turns} turns in {length} tokens; "
            f"{config.data.train_batch_size} questions x {config.actor_rollout_ref.rollout.n} rollouts",
        ]
    )
