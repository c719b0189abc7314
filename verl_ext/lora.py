"""LoRA matrices in float32 beside a base in bfloat16.

verl 0.9.1 casts the adapters to the type of the base (transformer_impl.py, ``_build_lora_module``), since
FSDP1 flattens a layer's parameters into one tensor. In bfloat16, whose steps are a 256th of a value, most
updates at a learning rate of 3e-5 round to nothing: there is no float32 master to add them up in. FSDP2 keeps
parameters apart and asks for one type among the trained ones of a layer only, so there they stay in float32.
"""

from __future__ import annotations

from typing import Any

import torch


def keep_adapters_in_float32(module: torch.nn.Module) -> None:
    """Cast what is trained, of a module whose base is frozen, to float32 in place."""
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


class Float32Adapters:
    """Put before verl's FSDP engine among the bases of a class."""

    engine_config: Any

    def _build_lora_module(self, module: torch.nn.Module) -> torch.nn.Module:
        module = super()._build_lora_module(module)  # type: ignore[misc]
        if self.engine_config.strategy == "fsdp2":
            keep_adapters_in_float32(module)
        return module
