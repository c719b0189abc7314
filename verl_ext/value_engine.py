"""The critic of PPO: verl's FSDP engine with a value head that loads and learns everywhere.

verl 0.9.1 loads a critic with flash attention by name (utils/model.py, ``load_valuehead_model``), gives a
LoRA critic the task type of a language model, and draws a new value head at random, so that its first values
are noise as large as the rewards. Here the critic has the attention of its profile, LoRA knows that it scores
tokens, and a new head begins at the mean reward of the first batch and learns faster than the layers below.

The configuration asks for it with ``critic.model._target_: verl_ext.value_engine.CriticModelConfig``: verl's
workers are handed the finished model configuration, so that ``external_lib`` would be imported too late,
while a class of this module brings the module with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import verl.utils.model
from peft import LoraConfig, TaskType, get_peft_model
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.utils.py_functional import convert_to_regular_types
from verl.workers.config import HFModelConfig
from verl.workers.config.optimizer import build_optimizer
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithValueHead

from verl_ext.lora import keep_adapters_in_float32

INITIAL_VALUE = "initial_value"
"""The name under which the trainer hands the first batch's mean reward to the critic."""
HEAD = "score"  # transformers' name of the layer that scores tokens


@dataclass
class CriticModelConfig(HFModelConfig):
    """verl's configuration of a model, of one that becomes a critic."""

    head_lr_factor: float = 20.0
    """How many times ``critic.optim.lr`` the head's own learning rate is: at the layers' rate a head that
    begins at zero needs dozens of steps before it says anything."""


def load_value_model(
    local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool
) -> torch.nn.Module:
    """A decoder with one value per token, [batch, length, 1], in the place of verl's loader.

    A head that the checkpoint does not have starts at zero, and the module says so in ``has_new_head``.
    """
    from transformers import AutoModelForTokenClassification

    model, loading = AutoModelForTokenClassification.from_pretrained(
        local_path,
        dtype=torch_dtype,
        config=model_config,
        attn_implementation=getattr(model_config, "_attn_implementation", None) or "sdpa",
        trust_remote_code=trust_remote_code,
        output_loading_info=True,
    )
    model.has_new_head = any(key.startswith(f"{HEAD}.") for key in loading["missing_keys"])
    if model.has_new_head:
        with torch.no_grad():
            for parameter in getattr(model, HEAD).parameters():
                parameter.zero_()
    return model


# In every process that builds a critic, on whatever device: verl looks its loader up by this name.
verl.utils.model.load_valuehead_model = load_value_model


@EngineRegistry.register(
    model_type="value_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=["cpu", "nvidia"]
)
class ValueEngine(FSDPEngineWithValueHead):
    """verl's critic engine; see the module."""

    model_config: CriticModelConfig

    def _build_module(self) -> torch.nn.Module:
        module: torch.nn.Module = super()._build_module()
        self._awaits_initial_value = bool(getattr(module, "has_new_head", False))
        return module

    def _build_lora_module(self, module: torch.nn.Module) -> torch.nn.Module:
        if self.model_config.lora_adapter_path is not None:
            raise ValueError("critic.model.lora_adapter_path: a critic's adapter is trained from its start")
        module.enable_input_require_grads()  # type: ignore[operator]
        config = LoraConfig(
            task_type=TaskType.TOKEN_CLS,  # which trains the head whole
            r=self.model_config.lora_rank,
            lora_alpha=self.model_config.lora_alpha,
            target_modules=convert_to_regular_types(self.model_config.target_modules),
            exclude_modules=self._kept_whole(),
            bias="none",
        )
        adapted = get_peft_model(module, config)
        keep_adapters_in_float32(adapted)
        return adapted

    def _kept_whole(self) -> list[str] | str:
        """Modules without LoRA: the configuration's, and the head, which "all-linear" would name too."""
        excluded = convert_to_regular_types(self.model_config.exclude_modules)
        if isinstance(excluded, str):  # PEFT reads a text as a regular expression
            return rf"({excluded})|(.*\.)?{HEAD}"
        return [HEAD, *(excluded or [])]

    def _build_optimizer(self, module: torch.nn.Module) -> torch.optim.Optimizer:
        head = [parameter for name, parameter in module.named_parameters() if _is_of_head(name)]
        others = [parameter for name, parameter in module.named_parameters() if not _is_of_head(name)]
        groups = [
            {"params": others},
            {"params": head, "lr": self.optimizer_config.lr * self.model_config.head_lr_factor},
        ]
        optimizer: torch.optim.Optimizer = build_optimizer(groups, self.optimizer_config)
        return optimizer

    def prepare_model_inputs(self, micro_batch: TensorDict) -> tuple[dict[str, Any], dict[str, Any]]:
        value = tu.get_non_tensor_data(data=micro_batch, key=INITIAL_VALUE, default=None)
        if value is not None and self._awaits_initial_value:
            self._awaits_initial_value = False
            with torch.no_grad():
                for name, parameter in self.module.named_parameters():
                    if _is_of_head(name) and name.endswith("bias"):
                        parameter.fill_(value)
        inputs: tuple[dict[str, Any], dict[str, Any]] = super().prepare_model_inputs(micro_batch)
        return inputs


def _is_of_head(name: str) -> bool:
    """Whether a parameter belongs to the head; LoRA puts names of its own around it."""
    return HEAD in name.split(".")
