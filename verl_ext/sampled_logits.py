"""Logits only where a token was sampled.

Half of an episode is prompt and observations, whose log-probabilities no loss reads, yet verl's FSDP engine
projects every position onto the vocabulary: in float32 one pack of 768 tokens is 150 MB for SmolLM2, and
several times that during the backward pass. This engine projects the sampled positions alone; the others
get a log-probability and an entropy of 0, which every loss masks. What it saves stands in docs/log.md.

A profile asks for it with ``actor_rollout_ref.model.external_lib: verl_ext.sampled_logits``, which verl
imports before it looks for an engine. Whatever it does not know (padded batches, fused kernels, Ulysses,
distillation) is left to verl's own engine.
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from verl_ext.lora import Float32Adapters

UNKNOWN_REQUESTS = (
    "use_fused_kernels",
    "distillation_use_topk",
    "distillation_only",
    "calculate_sum_pi_squared",
)


def sampled_positions(
    prompt_lengths: torch.Tensor, response_lengths: torch.Tensor, response_mask: torch.Tensor
) -> torch.Tensor:
    """Where, in episodes packed end to end, the next token is one that the policy sampled.

    Args:
        prompt_lengths: tokens of each prompt, [num_episodes].
        response_lengths: tokens of each response, [num_episodes].
        response_mask: of all responses end to end, nonzero where the policy sampled, [num_response_tokens].

    Returns:
        Positions in the pack, ascending, [num_sampled].
    """
    # A response token at place i of its response is predicted one position earlier in the pack.
    ends = (prompt_lengths + response_lengths).cumsum(0)
    first = ends - response_lengths - 1
    before = response_lengths.cumsum(0) - response_lengths
    places = torch.arange(len(response_mask), device=response_mask.device)
    positions = places + torch.repeat_interleave(first - before, response_lengths)
    return positions[response_mask != 0]


@EngineRegistry.register(
    model_type="language_model", backend=["fsdp", "fsdp2"], device="cuda", vendor=["cpu", "nvidia"]
)
class SampledLogitsEngine(Float32Adapters, FSDPEngineWithLMHead):
    """verl's FSDP engine, with logits [num_sampled, vocab] instead of [num_tokens, vocab].

    LoRA's matrices are kept in float32 (lora.py).
    """

    def prepare_model_inputs(self, micro_batch: TensorDict) -> tuple[dict[str, Any], dict[str, Any]]:
        inputs, outputs = super().prepare_model_inputs(micro_batch)
        if self._knows(micro_batch) and not outputs["pad_size"]:
            sampled = sampled_positions(
                micro_batch["prompts"].offsets().diff(),
                micro_batch["responses"].offsets().diff(),
                micro_batch["response_mask"].values(),
            )
            inputs["logits_to_keep"] = outputs["sampled"] = sampled
        return inputs, outputs

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: TensorDict, logits_processor_func: Any
    ) -> dict[str, torch.Tensor]:
        if "sampled" not in output_args:
            found: dict[str, torch.Tensor] = super().prepare_model_outputs(
                output, output_args, micro_batch, logits_processor_func
            )
            return found
        sampled = output_args["sampled"]
        logits = output.logits.squeeze(0).float() / output_args["temperature_rmpad"][sampled].unsqueeze(-1)
        labels = output_args["input_ids_rmpad_rolled"]
        at_sampled = {
            "log_probs": -torch.nn.functional.cross_entropy(logits, labels[sampled], reduction="none")
        }
        if tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False):
            at_sampled["entropy"] = self.compute_entropy_from_logits(logits)
        nowhere = logits.new_zeros(len(labels))
        offsets = micro_batch["input_ids"].offsets()
        return {
            name: torch.nested.nested_tensor_from_jagged(nowhere.index_put((sampled,), values), offsets)
            for name, values in at_sampled.items()
        }

    def _knows(self, micro_batch: TensorDict) -> bool:
        is_packed = tu.get_non_tensor_data(data=micro_batch, key="use_remove_padding", default=True)
        asks_more = any(
            tu.get_non_tensor_data(data=micro_batch, key=name, default=False) for name in UNKNOWN_REQUESTS
        )
        parts = [micro_batch.get(name, None) for name in ("prompts", "responses", "response_mask")]
        are_jagged = all(isinstance(part, torch.Tensor) and part.is_nested for part in parts)
        return is_packed and not asks_more and not self.use_ulysses_sp and are_jagged
