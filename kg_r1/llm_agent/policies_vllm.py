"""A policy played by vLLM: one asynchronous engine, every episode a request of its own in its batches.

Token ids go in and come out. vLLM turns text into tokens nowhere; it only reads what it samples, to find the
stop strings. The engine runs the model on a GPU where vLLM was built for one, else on the processor.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kg_r1.llm_agent.policies import FinishReason, Generation

# On a processor: a small cache suffices for a small model; no thread is pinned, since other work shares the
# cores; and the engine's process runs the model itself (vLLM would start one more in order to pin).
CPU_VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
COMMON_VARIABLES = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}
GPU_VARIABLES = {
    # vLLM forks its engine unless told otherwise, and a fork cannot use CUDA where its parent has asked for a
    # device: on an H100 vLLM 0.24 did not start, without noticing why (docs/log.md, 2026-11-26).
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}


@dataclass(frozen=True)
class EngineConfig:
    """How the engine is started. Raises ValueError for a value that cannot work."""

    max_model_len: int = 768
    """Tokens of the longest context: prompt, turns and observations."""
    max_num_seqs: int = 64
    """Sequences in one batch."""
    dtype: str = "bfloat16"
    gpu_memory_utilization: float = 0.6
    """Share of a GPU's memory for weights and cache; a processor has its cache bounded in GiB instead."""
    enable_prefix_caching: bool = True
    """Whether a turn's prompt is computed only from where the last turn's left off."""

    def __post_init__(self) -> None:
        if self.max_model_len < 1 or self.max_num_seqs < 1:
            raise ValueError(f"max_model_len and max_num_seqs must be at least 1: {self}")


class VLLMPolicy:
    """Samples turns with vLLM, many at once.

    Args:
        model: a model folder or a hub name, with its tokenizer.
        temperature: of sampling; 0 is greedy.
        seed: with the request id and the length of the prompt it seeds every draw. What else is in the batch
            may still move a log-probability in its last digits, and with it, rarely, a token.
        config: how the engine is started.

    It belongs to the event loop that it was made in. The log-probabilities returned are those of the model
    itself, at temperature 1 and with nothing cut off, whatever the sampling temperature. Raises ValueError
    for a negative temperature, and what vLLM raises where it cannot start.
    """

    def __init__(
        self, model: str, temperature: float = 1.0, seed: int = 0, config: EngineConfig | None = None
    ) -> None:
        if temperature < 0:
            raise ValueError(f"temperature must not be negative, but is {temperature}")
        self.temperature = temperature
        self.seed = seed
        self._numbers = itertools.count()
        self._engine = _start_engine(model, seed, config or EngineConfig())
        self._end_ids = _end_ids(model)

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = SamplingParams(
            temperature=self.temperature,
            seed=self._draw_seed(request_id, len(prompt_ids)),
            max_tokens=max_tokens,
            stop=list(stop),
            include_stop_str_in_output=True,
            stop_token_ids=self._end_ids,
            logprobs=0,  # of the sampled token alone
            skip_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        # Several systems may play a question under one request id; the engine wants each id once.
        engine_id = f"{request_id}/{next(self._numbers)}"
        last: Any = None
        async for output in self._engine.generate(
            {"prompt_token_ids": list(prompt_ids)}, sampling, engine_id
        ):
            last = output
        if last is None:
            return Generation([], None, "aborted")
        return _generation(last.outputs[0])

    @property
    def engine(self) -> Any:
        """vLLM's own engine, for what a Policy has no word for."""
        return self._engine

    def close(self) -> None:
        """End the engine and its process."""
        self._engine.shutdown()
        # Let go of it now: at the interpreter's end its own destructor finds vLLM already taken apart.
        self._engine = None

    def _draw_seed(self, request_id: str, num_prompt_tokens: int) -> int:
        text = f"{self.seed}/{request_id}/{num_prompt_tokens}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def set_engine_environment() -> None:
    """Set the variables that vLLM is configured by and that the user has not set.

    To be called at the door, before vLLM is imported: its processes inherit them.
    """
    of_build = CPU_VARIABLES if is_cpu_build() else GPU_VARIABLES
    for name, value in (COMMON_VARIABLES | of_build).items():
        os.environ.setdefault(name, value)


def is_cpu_build() -> bool:
    """Whether the vLLM that is installed is the build for processors, which is published as vllm-cpu."""
    # Asked of the metadata: importing vLLM would read the variables that are about to be set.
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True


def _start_engine(model: str, seed: int, config: EngineConfig) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments: dict[str, Any] = {
        "model": model,
        "dtype": config.dtype,
        "seed": seed,
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "enable_prefix_caching": config.enable_prefix_caching,
        # A model folder may bring sampling habits of its own: none of them apply.
        "generation_config": "vllm",
        "disable_log_stats": True,
    }
    if current_platform.is_cpu():
        # Compiling takes a minute and gains a tenth at these batch sizes.
        # A prompt is taken whole: after a part of one, vLLM 0.31 winds back the request's random generator,
        # which a processor's cannot do, and the engine dies.
        arguments |= {
            "enforce_eager": True,
            "distributed_executor_backend": "uni",
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(4096, config.max_model_len),
        }
    else:
        arguments["gpu_memory_utilization"] = config.gpu_memory_utilization
    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


def _generation(completion: Any) -> Generation:
    """vLLM's completion as a Generation."""
    ids = list(completion.token_ids)
    reason: FinishReason = "aborted"
    if completion.finish_reason in ("stop", "length"):
        reason = completion.finish_reason
    log_probs = None
    if completion.logprobs is not None:
        log_probs = [at[token].logprob for at, token in zip(completion.logprobs, ids, strict=True)]
    return Generation(ids, log_probs, reason)


def _end_ids(model: str) -> list[int]:
    """The ids that end a text by the model's own generation settings; the engine knows its tokenizer's."""
    from transformers import GenerationConfig

    try:
        stated = GenerationConfig.from_pretrained(model).eos_token_id
    except OSError:  # a model need not bring the file
        return []
    ids = stated if isinstance(stated, list) else [stated]
    return sorted(token_id for token_id in ids if isinstance(token_id, int))
