"""A verl platform for machines without an accelerator.

verl discovers this module through the entry-point group ``verl.plugins`` in every process that imports
verl. It registers the platform ``cpu``, which verl chooses only after every accelerator has said no, and
then asks :mod:`verl_ext.cpu_workarounds` to lift the few places where verl 0.9.1 assumes an accelerator.
On a machine with an accelerator nothing but the registration happens.
"""

from __future__ import annotations

import os
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry
from verl.plugin.platform.platform_manager import get_platform

from verl_ext.allocator import give_memory_back

# vLLM's CPU engine reads these in its own process; verl hands on what the platform names here.
VLLM_CPU_VARIABLES = ("VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND", "VLLM_CPU_NUM_OF_RESERVED_CPU")
VLLM_ENGINE_VARIABLES = {
    # Lets the profile run the model inside the engine's process (distributed_executor_backend: uni). vLLM
    # otherwise starts one more, in order to pin its threads, which here nothing pins.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


def _resident_bytes(*_: Any, **__: Any) -> int:
    return psutil.Process().memory_info().rss


def _memory_info(*_: Any) -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _device_module() -> types.ModuleType:
    """``torch.cpu`` plus the calls that verl makes on ``torch.cuda``: memory is this process's own."""
    module = types.ModuleType("verl_ext.torch_cpu_device")
    for name in dir(torch.cpu):
        if not name.startswith("__"):
            setattr(module, name, getattr(torch.cpu, name))
    additions: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: "cpu",
        "get_device_name": lambda *_: "cpu",
        "get_device_capability": lambda *_: (None, None),
        "mem_get_info": _memory_info,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
        "manual_seed": torch.manual_seed,
        "manual_seed_all": torch.manual_seed,
    }
    memory = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")
    additions.update(dict.fromkeys(memory, _resident_bytes))
    additions["empty_cache"] = give_memory_back
    idle = ("set_device", "ipc_collect", "synchronize", "reset_peak_memory_stats")
    additions.update(dict.fromkeys(idle, _nothing))
    for name, value in additions.items():
        setattr(module, name, value)
    return module


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """The processor as verl's device. Ray's resource stays "GPU", of which Ray is told a logical number."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def current_device(self) -> str:  # type: ignore[override]  # verl only moves tensors to it
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        give_memory_back()

    def get_device_capability(self, device_id: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False  # weights then reach vLLM through verl's own shared-memory path

    def rollout_env_vars(self) -> dict[str, str]:
        named = {name: os.environ[name] for name in VLLM_CPU_VARIABLES if name in os.environ}
        return VLLM_ENGINE_VARIABLES | named

    def cudart(self) -> None:
        return None


# Asked of the platform, not of torch.cuda: on a GPU machine Ray's CPU-only actors see no CUDA either.
if get_platform().device_name == "cpu":
    from verl_ext import cpu_workarounds

    cpu_workarounds.apply()
