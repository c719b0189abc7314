"""Scripted play, and a real (tiny, random) Hugging Face decoder."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import Generation, HuggingFacePolicy, ScriptedPolicy
from kg_r1.llm_agent.protocol import STOP_STRINGS
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer


async def turn(policy: Any, request_id: str = "r", max_tokens: int = 100, prompt: str = "ask") -> Generation:
    ids = list(prompt.encode())
    return await policy.generate(ids, stop=STOP_STRINGS, max_tokens=max_tokens, request_id=request_id)


async def test_a_script_is_played_per_request_until_it_runs_out() -> None:
    policy = ScriptedPolicy(ByteTokenizer(), ["one", "two"])
    assert bytes((await turn(policy, "a")).token_ids) == b"one"
    assert bytes((await turn(policy, "b")).token_ids) == b"one"
    assert bytes((await turn(policy, "a")).token_ids) == b"two"
    assert await turn(policy, "a") == Generation([], None, "aborted")


async def test_scripts_by_request_id() -> None:
    policy = ScriptedPolicy(ByteTokenizer(), {"a": ["for a"]})
    assert bytes((await turn(policy, "a")).token_ids) == b"for a"
    assert (await turn(policy, "b")).finish_reason == "aborted"


async def test_a_script_stops_where_an_engine_would() -> None:
    policy = ScriptedPolicy(ByteTokenizer(), ["<answer>x</answer> and more"], log_prob=-0.5)
    stopped = await turn(policy, "a")
    assert bytes(stopped.token_ids) == b"<answer>x</answer>"
    assert (stopped.finish_reason, stopped.log_probs) == ("stop", [-0.5] * 18)
    cut = await turn(policy, "b", max_tokens=5)
    assert (bytes(cut.token_ids), cut.finish_reason, cut.log_probs) == (b"<answ", "length", [-0.5] * 5)


async def test_the_prompts_shown_are_kept() -> None:
    policy = ScriptedPolicy(ByteTokenizer(), ["x", "y"], log_prob=None)
    assert (await turn(policy, prompt="first")).log_probs is None
    await turn(policy, prompt="second")
    assert policy.prompts == {"r": [list(b"first"), list(b"second")]}


@pytest.fixture(scope="module")
def tiny_model(qwen_tokenizer: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(qwen_tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.3,
        eos_token_id=qwen_tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


async def sample(
    policy: HuggingFacePolicy, ids: list[int], max_tokens: int = 24, request_id: str = "r"
) -> Generation:
    return await policy.generate(ids, stop=STOP_STRINGS, max_tokens=max_tokens, request_id=request_id)


def raw_log_probs(model: Any, prompt: list[int], ids: list[int]) -> list[float]:
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([prompt + ids])).logits[0].float()
    table = logits.log_softmax(-1)
    return [table[len(prompt) - 1 + step, token].item() for step, token in enumerate(ids)]


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
async def test_log_probs_are_the_models_own_at_any_temperature(
    tiny_model: Any, qwen_tokenizer: Any, temperature: float
) -> None:
    prompt = qwen_tokenizer.encode("What is the capital?", add_special_tokens=False)
    policy = HuggingFacePolicy(tiny_model, qwen_tokenizer, temperature=temperature, seed=3)
    generation = await sample(policy, prompt)
    assert generation.log_probs is not None and len(generation.log_probs) == len(generation.token_ids) > 0
    expected = raw_log_probs(tiny_model, prompt, generation.token_ids)
    assert generation.log_probs == pytest.approx(expected, abs=1e-4)
    assert all(value < 0 for value in generation.log_probs)


async def test_the_models_own_sampling_habits_are_off(tiny_model: Any, qwen_tokenizer: Any) -> None:
    from transformers import GenerationConfig

    prompt = qwen_tokenizer.encode("What?", add_special_tokens=False)
    free = await sample(HuggingFacePolicy(tiny_model, qwen_tokenizer, seed=1), prompt, max_tokens=80)
    before = tiny_model.generation_config
    tiny_model.generation_config = GenerationConfig(
        top_k=1, top_p=0.01, temperature=0.1, repetition_penalty=9.0, eos_token_id=before.eos_token_id
    )
    try:
        same = await sample(HuggingFacePolicy(tiny_model, qwen_tokenizer, seed=1), prompt, max_tokens=80)
    finally:
        tiny_model.generation_config = before
    assert same == free


async def test_draws_depend_on_seed_and_request_only(tiny_model: Any, qwen_tokenizer: Any) -> None:
    import torch

    prompt = qwen_tokenizer.encode("Where?", add_special_tokens=False)
    policy = HuggingFacePolicy(tiny_model, qwen_tokenizer, seed=5)
    state = torch.random.get_rng_state()
    alone = await sample(policy, prompt, request_id="a")
    crowd = await asyncio.gather(*(sample(policy, prompt, request_id=one) for one in "cba"))
    assert crowd[2] == alone
    assert crowd[1] != alone
    assert (
        await sample(HuggingFacePolicy(tiny_model, qwen_tokenizer, seed=6), prompt, request_id="a") != alone
    )
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random state is left alone"


async def test_the_length_limit_is_reported(tiny_model: Any, qwen_tokenizer: Any) -> None:
    prompt = qwen_tokenizer.encode("Where?", add_special_tokens=False)
    generation = await sample(HuggingFacePolicy(tiny_model, qwen_tokenizer), prompt, max_tokens=2)
    assert (len(generation.token_ids), generation.finish_reason) == (2, "length")


class Reciting:
    """Makes a model want one token sequence: a huge bias on its next token, counted from the prompt's end."""

    def __init__(self, model: Any, num_prompt: int, ids: list[int]) -> None:
        self.model, self.num_prompt, self.ids = model, num_prompt, ids

    def __enter__(self) -> None:
        seen = 0

        def bias(_module: Any, _inputs: Any, output: Any) -> Any:
            nonlocal seen
            logits = output.clone()
            logits[..., -1, self.ids[min(seen, len(self.ids) - 1)]] += 1e4
            seen += 1
            return logits

        self.hook = self.model.lm_head.register_forward_hook(bias)

    def __exit__(self, *_: object) -> None:
        self.hook.remove()


@pytest.mark.parametrize(
    ("text", "ends_with"),
    [
        ("<think>t</think>\n<answer>Paris</answer>.\n and more", "</answer>.\n"),
        ('<search>get_relations("x")</search>\n\nmore', "</search>\n"),
        ("no tag at all<|im_end|>more", "<|im_end|>"),
    ],
)
async def test_generation_stops_at_the_tag_with_the_last_token_whole(
    tiny_model: Any, qwen_tokenizer: Any, text: str, ends_with: str
) -> None:
    prompt = qwen_tokenizer.encode("Where?", add_special_tokens=False)
    ids = qwen_tokenizer.encode(text, add_special_tokens=False)
    policy = HuggingFacePolicy(tiny_model, qwen_tokenizer, temperature=0.0)
    with Reciting(tiny_model, len(prompt), ids):
        generation = await sample(policy, prompt, max_tokens=100)
    assert generation.finish_reason == "stop"
    assert generation.token_ids == ids[: len(generation.token_ids)]
    assert qwen_tokenizer.decode(generation.token_ids).endswith(ends_with)


async def test_whole_episodes_with_a_random_model(
    tiny_model: Any,
    qwen_tokenizer: Any,
    make_manager: Callable[..., LLMGenerationManager],
    question: Question,
) -> None:
    policy = HuggingFacePolicy(tiny_model, qwen_tokenizer, seed=2)
    manager = make_manager(policy, qwen_tokenizer, max_response_length=20, max_turns=3)
    for episode, buffer in await manager.run_episodes([question, question]):
        assert episode.status is not None and len(buffer.turn_spans) == len(episode.turns)
        log_probs = buffer.response_log_probs
        assert log_probs is not None
        for start, end in buffer.turn_spans:
            before = buffer.prompt_ids + buffer.response_ids[:start]
            expected = raw_log_probs(tiny_model, before, buffer.response_ids[start:end])
            assert log_probs[start:end] == pytest.approx(expected, abs=1e-3)
            assert all(math.isfinite(value) for value in expected)


def test_a_negative_temperature_is_refused(tiny_model: Any, qwen_tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="temperature"):
        HuggingFacePolicy(tiny_model, qwen_tokenizer, temperature=-1)


def test_scripted_play_loads_no_torch() -> None:
    code = (
        "import sys, kg_r1.llm_agent.generation, kg_r1.llm_agent.policies, kg_r1.reward.rubric, kg_r1.cli;"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
