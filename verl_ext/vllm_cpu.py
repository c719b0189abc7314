"""vLLM general plug-in: what weight synchronisation needs of vLLM's CPU build.

After packing a weight for its CPU kernels, vLLM 0.31 drops the original, so that verl's weight
synchronisation would find no parameter to write to. Keeping it costs the size of the model once more.
And verl 0.9.1 hands LoRA adapters over through a method that vLLM 0.31 calls otherwise.
On any other build this does nothing.
"""

from __future__ import annotations

from typing import Any


def register() -> None:
    """Called by vLLM in each of its processes (entry-point group ``vllm.general_plugins``)."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.model_executor.layers import utils
    from vllm.model_executor.models.utils import WeightsMapper

    if not hasattr(WeightsMapper, "get_unstacked_mapper"):
        WeightsMapper.get_unstacked_mapper = WeightsMapper.get_rename_mapper  # type: ignore[attr-defined]
    original = utils.dispatch_cpu_unquantized_gemm
    if getattr(original, "keeps_weight", False):
        return

    def dispatch_keeping_weight(layer: Any, remove_weight: bool) -> Any:
        return original(layer, remove_weight=False)

    dispatch_keeping_weight.keeps_weight = True  # type: ignore[attr-defined]
    utils.dispatch_cpu_unquantized_gemm = dispatch_keeping_weight
