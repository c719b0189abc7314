"""A policy played by a Hugging Face decoder in this process, one sequence at a time.

Nothing is padded, so the model sees exactly the ids of the episode. While one sequence is generated, other
episodes may wait for the KG: generation runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig as HFGenerationConfig
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation import StoppingCriteriaList, StopStringCriteria

from kg_r1.llm_agent.policies import FinishReason, Generation
from kg_r1.llm_agent.tokens import decode

# A model folder may bring sampling habits of its own, and they would apply wherever nothing is stated:
# here every one is stated as off, so that what is sampled is the model's own distribution.
_NO_HABITS: dict[str, Any] = {
    "num_beams": 1,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_new_tokens": 0,
}


class HuggingFacePolicy:
    """Samples turns with `transformers` generate and its stop strings.

    Args:
        model: a causal decoder, used as it stands (device, dtype, train or eval mode are the caller's).
        tokenizer: the model's own; the stop strings are matched against its vocabulary.
        temperature: of sampling; 0 is greedy.
        seed: with the request id and the length of the prompt it fixes every draw, whatever else runs.

    The log-probabilities returned are those of the model itself, at temperature 1 and with nothing cut
    off, whatever the sampling temperature: the ones a policy gradient needs.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        if temperature < 0:
            raise ValueError(f"temperature must not be negative, but is {temperature}")
        self.model = model
        self.tokenizer = tokenizer
        self.temperature = temperature
        self.seed = seed
        self._stopping_of: dict[tuple[str, ...], StoppingCriteriaList] = {}
        self._end_ids = _end_ids(model, tokenizer)
        # One thread, hence one sequence at a time: draws use torch's global generator, reseeded for each.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate")

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        call = partial(self._generate, list(prompt_ids), list(stop), max_tokens, request_id)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    @torch.inference_mode()
    def _generate(
        self, prompt_ids: list[int], stop: list[str], max_tokens: int, request_id: str
    ) -> Generation:
        device = self.model.device
        inputs = torch.tensor([prompt_ids], dtype=torch.long, device=device)  # [1, num_prompt_tokens]
        devices = [device] if device.type == "cuda" else []
        generate: Any = self.model.generate
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._draw_seed(request_id, len(prompt_ids)))
            output: Any = generate(
                inputs,
                attention_mask=torch.ones_like(inputs),
                generation_config=self._settings(max_tokens),
                stopping_criteria=self._stopping(tuple(stop)),
            )
        token_ids = output.sequences[0, len(prompt_ids) :]  # [num_tokens]
        logits = torch.stack(output.logits)[:, 0].float()  # [num_tokens, num_vocabulary]
        log_probs = logits.log_softmax(-1).gather(-1, token_ids[:, None]).squeeze(-1)
        ids = token_ids.tolist()
        return Generation(ids, log_probs.tolist(), self._finish_reason(ids, stop))

    def _stopping(self, stop: tuple[str, ...]) -> StoppingCriteriaList:
        # Matching stop strings against the vocabulary takes half a second, so it is done once for each set.
        if stop not in self._stopping_of:
            self._stopping_of[stop] = StoppingCriteriaList([StopStringCriteria(self.tokenizer, list(stop))])
        return self._stopping_of[stop]

    def _settings(self, max_tokens: int) -> HFGenerationConfig:
        return HFGenerationConfig(
            **_NO_HABITS,
            do_sample=self.temperature > 0,
            temperature=self.temperature or 1.0,
            max_new_tokens=max_tokens,
            eos_token_id=self._end_ids or None,
            pad_token_id=self._end_ids[0] if self._end_ids else 0,
            return_dict_in_generate=True,
            output_logits=True,
        )

    def _finish_reason(self, ids: list[int], stop: list[str]) -> FinishReason:
        if ids[-1] in self._end_ids or any(string in decode(self.tokenizer, ids) for string in stop):
            return "stop"
        return "length"

    def _draw_seed(self, request_id: str, num_prompt_tokens: int) -> int:
        text = f"{self.seed}/{request_id}/{num_prompt_tokens}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that end a text, for the model's own settings and for its tokenizer; sorted."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    ids = set(stated if isinstance(stated, list) else [stated]) | {tokenizer.eos_token_id}
    return sorted(token_id for token_id in ids if isinstance(token_id, int))
