"""verl's own training engines, built from a configuration as its workers build them, without reading weights.

What is computed about memory is computed by running these: FSDP's sharding, LoRA, the engine that
``external_lib`` names, the loss and the optimizer are the ones that a run has.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import verl.workers.engine  # noqa: F401  registers verl's engines
from omegaconf import DictConfig, OmegaConf, open_dict
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import PreTrainedModel
from verl.plugin.platform.platform_manager import get_platform
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine.base import EngineRegistry
from verl.workers.utils.losses import ppo_loss, value_loss

from verl_ext.attention import AUTO
from verl_ext.memory.errors import MemoryCheckError
from verl_ext.memory.models import architecture_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingEngine:
    """An engine of verl with its loss and the sizes of its packs."""

    engine: Any
    """verl's ``FSDPEngine`` of its role, or what ``external_lib`` puts in its place."""
    settings: Any
    """verl's ``FSDPEngineConfig``."""
    is_adapter: bool
    loss: Callable[..., Any] | None
    use_remove_padding: bool


@contextmanager
def fake_ranks(num_ranks: int) -> Iterator[None]:
    """This process as rank 0 of ``num_ranks``, none of the others existing.

    Raises:
        RuntimeError: where a process group exists already, or verl has chosen an accelerator.
    """
    if get_platform().device_name != "cpu":
        raise RuntimeError(
            "memory is computed with verl on the processor: set VERL_PLATFORM=cpu before verl is imported"
        )
    if torch.distributed.is_initialized():
        raise RuntimeError("memory is computed in a process that belongs to no process group")
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=num_ranks)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def without_weights() -> Iterator[None]:
    """transformers builds models from their configuration, and modules convert fake parameters."""
    # The descriptor: the attribute would be a method of this one class, and so would all of its subclasses'.
    load, convert = PreTrainedModel.__dict__["from_pretrained"], torch.nn.Module._apply
    PreTrainedModel.from_pretrained = classmethod(_from_config)  # type: ignore[assignment, method-assign]
    torch.nn.Module._apply = _convert_module  # type: ignore[method-assign]
    try:
        yield
    finally:
        PreTrainedModel.from_pretrained = load  # type: ignore[method-assign]
        torch.nn.Module._apply = convert  # type: ignore[method-assign]


def _from_config(
    cls: Any,
    _: Any,
    *,
    config: Any,
    dtype: torch.dtype | None = None,
    torch_dtype: torch.dtype | None = None,
    attn_implementation: str | None = None,
    output_loading_info: bool = False,
    **__: Any,
) -> Any:
    attention = {"attn_implementation": attn_implementation} if attn_implementation else {}
    model = cls._from_config(config, dtype=dtype or torch_dtype, **attention)
    return (model, {"missing_keys": []}) if output_loading_info else model


def _convert_module(module: torch.nn.Module, function: Callable[..., Any], recurse: bool = True) -> Any:
    """``torch.nn.Module._apply``, which would exchange the contents of fake parameters and cannot."""
    for child in module.children() if recurse else ():
        child._apply(function)
    with torch.no_grad():
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            converted = function(parameter)
            if converted is not parameter:
                module._parameters[name] = torch.nn.Parameter(converted, parameter.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else function(buffer)
    return module


def with_architectures(config: DictConfig, scratch: Path) -> DictConfig:
    """A copy of ``config`` whose models are folders with a ``config.json``, read without a tokenizer.

    Raises:
        UnknownModelError: as :func:`architecture_folder`.
        MemoryCheckError: for a strategy other than fsdp2.
    """
    config = copy.deepcopy(config)
    OmegaConf.resolve(config)
    for role in ("actor_rollout_ref.actor", "actor_rollout_ref.ref", "critic"):
        strategy = OmegaConf.select(config, f"{role}.strategy")
        if strategy != "fsdp2":
            raise MemoryCheckError(f"{role}.strategy={strategy}: memory is computed for fsdp2 alone")
    with open_dict(config):
        for section in (config.actor_rollout_ref.model, config.critic.model):
            section.path = str(architecture_folder(str(section.path), scratch))
            section.hf_config_path = section.tokenizer_path = None
            section.load_tokenizer = False
            if (section.override_config or {}).get("attn_implementation") == AUTO:
                # What a run finds the faster of the two is not known here: the one that takes more memory.
                section.override_config.attn_implementation = "eager"
    return config


def actor_engine(config: DictConfig) -> TrainingEngine:
    """The policy's engine, as ``ActorRolloutRefWorker.init_model`` has it (workers/engine_workers.py:591)."""
    group = config.actor_rollout_ref
    model_config = omega_conf_to_dataclass(group.model)
    actor_config = omega_conf_to_dataclass(group.actor)
    actor_config.model_config = model_config
    settings = actor_config.engine
    settings.use_dynamic_bsz = group.actor.use_dynamic_bsz
    settings.max_token_len_per_gpu = group.actor.ppo_max_token_len_per_gpu
    settings.micro_batch_size_per_gpu = group.actor.ppo_micro_batch_size_per_gpu
    settings.infer_max_token_len_per_gpu = group.rollout.log_prob_max_token_len_per_gpu
    settings.infer_micro_batch_size_per_gpu = group.rollout.log_prob_micro_batch_size_per_gpu
    return _build("language_model", actor_config, model_config, partial(ppo_loss, config=actor_config))


def reference_engine(config: DictConfig) -> TrainingEngine:
    """The reference policy's own engine (workers/engine_workers.py:542), where LoRA is not used."""
    group = copy.deepcopy(config.actor_rollout_ref)
    with open_dict(group.ref):
        group.ref.ppo_mini_batch_size = group.actor.ppo_mini_batch_size
        group.ref.ppo_micro_batch_size = group.ref.pop("log_prob_micro_batch_size", None)
        group.ref.ppo_micro_batch_size_per_gpu = group.ref.pop("log_prob_micro_batch_size_per_gpu", None)
        group.ref.use_dynamic_bsz = group.ref.pop("log_prob_use_dynamic_bsz", False)
        group.ref.ppo_max_token_len_per_gpu = group.ref.pop("log_prob_max_token_len_per_gpu", None)
    model_config = omega_conf_to_dataclass(group.model)
    ref_config = omega_conf_to_dataclass(group.ref)
    ref_config.model_config = model_config
    settings = ref_config.engine
    settings.use_dynamic_bsz = group.ref.use_dynamic_bsz
    settings.infer_max_token_len_per_gpu = group.ref.ppo_max_token_len_per_gpu
    settings.infer_micro_batch_size_per_gpu = group.ref.ppo_micro_batch_size_per_gpu
    return _build("language_model", ref_config, model_config, None)


def critic_engine(config: DictConfig) -> TrainingEngine:
    """The critic's engine, as the V1 trainer has it (trainer/ppo/v1/trainer_base.py:267): its packs, those of
    the update too, are ``critic.ppo_infer_max_token_len_per_gpu`` long.
    """
    critic_config = omega_conf_to_dataclass(config.critic)
    settings = critic_config.engine
    settings.infer_max_token_len_per_gpu = critic_config.ppo_infer_max_token_len_per_gpu
    settings.max_token_len_per_gpu = critic_config.ppo_infer_max_token_len_per_gpu
    return _build(
        "value_model", critic_config, critic_config.model, partial(value_loss, config=critic_config)
    )


def _build(kind: str, role_config: Any, model_config: Any, loss: Callable[..., Any] | None) -> TrainingEngine:
    """An engine with its modules and optimizer (workers/engine_workers.py:135)."""
    settings = role_config.engine
    settings.use_remove_padding = model_config.use_remove_padding
    settings.use_fused_kernels = model_config.use_fused_kernels
    model_config.model_type = kind
    engine = EngineRegistry.new(
        model_type=kind,
        backend=settings.strategy,
        model_config=model_config,
        engine_config=settings,
        optimizer_config=role_config.optim,
        checkpoint_config=role_config.checkpoint,
    )
    engine.initialize()
    return TrainingEngine(
        engine=engine,
        settings=settings,
        is_adapter=model_config.lora_rank > 0 or model_config.lora_adapter_path is not None,
        loss=loss,
        use_remove_padding=bool(model_config.use_remove_padding),
    )
