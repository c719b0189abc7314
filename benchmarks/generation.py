"""What the environment costs beside the engine alone.

Plays sampled episodes of ``--questions`` on one vLLM engine with ``--model`` and prints, as tokens a second
and as ratios measured back to back:

- the environment (turns wait for the graph, prompts grow turn by turn);
- the same engine offline: every prompt that a turn had, all at once, each generating as many tokens;
- the environment with a graph that takes its time (``--delay-ms`` on average, exponential);
- the same in lock-step: no episode begins its next turn before all have ended theirs.

One line a repetition goes to stderr, the table to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kg_r1.data.rows import read_questions
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import Generation, Policy
from kg_r1.llm_agent.policies_load import load_policy, load_tokenizer
from kg_r1.llm_agent.policies_vllm import EngineConfig
from kg_r1.llm_agent.question import Question
from kg_r1.search.client import InProcessKGClient, KGClient, Retrieval
from kg_r1.search.server import KnowledgeGraphRetriever
from verl_ext.profiles import composed, episode_limits

LIMITS, _ = episode_limits(composed("cpu_135m", []), validate=False)


@dataclass
class Recorder:
    """A policy that keeps what it was asked and how many tokens it gave."""

    policy: Policy
    calls: list[tuple[list[int], int]] = field(default_factory=list)

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        generation = await self.policy.generate(
            prompt_ids, stop=stop, max_tokens=max_tokens, request_id=request_id
        )
        self.calls.append((list(prompt_ids), len(generation.token_ids)))
        return generation


class DelayedClient:
    """A graph that takes `mean_s` seconds on average for an answer, exponentially distributed."""

    def __init__(self, client: KGClient, mean_s: float, seed: int) -> None:
        self._client, self._mean_s, self._rng = client, mean_s, random.Random(seed)

    async def retrieve(self, request: Mapping[str, Any]) -> Retrieval:
        await asyncio.sleep(self._rng.expovariate(1 / self._mean_s))
        return await self._client.retrieve(request)

    async def retrieve_batch(self, requests: Sequence[Mapping[str, Any]]) -> list[Retrieval]:
        return [await self.retrieve(request) for request in requests]

    async def aclose(self) -> None:
        await self._client.aclose()


class LockStep:
    """A policy whose every turn begins when all episodes under way have come to it."""

    def __init__(self, policy: Policy, num_episodes: int) -> None:
        self._policy = policy
        self._num_running = num_episodes
        self._num_waiting = 0
        self._round = 0
        self._changed = asyncio.Condition()

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        async with self._changed:
            mine = self._round
            self._num_waiting += 1
            self._release()
            await self._changed.wait_for(lambda: self._round > mine)
        return await self._policy.generate(
            prompt_ids, stop=stop, max_tokens=max_tokens, request_id=request_id
        )

    async def one_ended(self) -> None:
        """Called when an episode is over, so that nobody waits for it."""
        async with self._changed:
            self._num_running -= 1
            self._release()

    def _release(self) -> None:
        if self._num_waiting >= self._num_running:
            self._num_waiting = 0
            self._round += 1
            self._changed.notify_all()


@dataclass(frozen=True)
class Bench:
    """What every measurement shares."""

    tokenizer: Any
    policy: Any
    client: KGClient
    questions: list[Question]
    delay_s: float
    seed: int

    async def environment(self) -> tuple[float, list[tuple[list[int], int]]]:
        return await self._play(Recorder(self.policy), self.client)

    async def delayed(self) -> tuple[float, list[tuple[list[int], int]]]:
        return await self._play(Recorder(self.policy), DelayedClient(self.client, self.delay_s, self.seed))

    async def lock_step(self) -> tuple[float, list[tuple[list[int], int]]]:
        recorder = Recorder(self.policy)
        together = LockStep(recorder, len(self.questions))
        client = DelayedClient(self.client, self.delay_s, self.seed)
        return await self._play(recorder, client, together, together.one_ended)

    async def offline(self, calls: Sequence[tuple[list[int], int]]) -> float:
        """Seconds for the same prompts and as many tokens, all submitted at once."""
        await self.policy.engine.reset_prefix_cache()
        started = time.perf_counter()
        await asyncio.gather(
            *(
                self._exactly(prompt, count, f"offline-{started}-{number}")
                for number, (prompt, count) in enumerate(calls)
            )
        )
        return time.perf_counter() - started

    async def _exactly(self, prompt_ids: list[int], num_tokens: int, request_id: str) -> None:
        """Generate this many tokens, whatever they are."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = SamplingParams(
            temperature=self.policy.temperature,
            seed=self.seed,
            max_tokens=num_tokens,
            min_tokens=num_tokens,
            ignore_eos=True,
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        async for _ in self.policy.engine.generate({"prompt_token_ids": prompt_ids}, sampling, request_id):
            pass

    async def _play(
        self,
        recorder: Recorder,
        client: KGClient,
        policy: Policy | None = None,
        on_end: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[float, list[tuple[list[int], int]]]:
        await self.policy.engine.reset_prefix_cache()
        manager = LLMGenerationManager(LIMITS, self.tokenizer, policy or recorder, client)

        async def play(number: int, question: Question) -> None:
            await manager.run_episode(question, f"{question.question_id}#{number}")
            if on_end is not None:
                await on_end()

        started = time.perf_counter()
        await asyncio.gather(*(play(number, one) for number, one in enumerate(self.questions)))
        return time.perf_counter() - started, recorder.calls


async def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Tokens a second of each way, one value a repetition."""
    tokenizer = load_tokenizer(options.model)
    config = EngineConfig(enable_prefix_caching=not options.no_prefix_caching)
    loaded = load_policy(options.model, tokenizer, "vllm", options.temperature, options.seed, config)
    questions = [question for path in options.questions for question in read_questions(path)]
    random.Random(options.seed).shuffle(questions)
    chosen = questions[: options.num_questions]
    retriever = KnowledgeGraphRetriever(GraphStore(options.base_data_path))
    bench = Bench(
        tokenizer,
        loaded.policy,
        InProcessKGClient(retriever),
        [question for question in chosen for _ in range(options.num_rollouts)],
        options.delay_ms / 1000,
        options.seed,
    )
    speeds: dict[str, list[float]] = {name: [] for name in ("offline", "environment", "delayed", "lock-step")}
    try:
        await bench.environment()  # the first run loads graphs and warms the engine
        for repetition in range(options.num_repetitions):
            seconds, calls = await bench.environment()
            speeds["environment"].append(num_tokens(calls) / seconds)
            speeds["offline"].append(num_tokens(calls) / await bench.offline(calls))
            for name, way in (("delayed", bench.delayed), ("lock-step", bench.lock_step)):
                seconds, calls = await way()
                speeds[name].append(num_tokens(calls) / seconds)
            latest = ", ".join(f"{name} {values[-1]:.0f}" for name, values in speeds.items())
            sys.stderr.write(f"repetition {repetition + 1}/{options.num_repetitions}: tokens/s {latest}\n")
    finally:
        loaded.close()
    return speeds


def num_tokens(calls: Sequence[tuple[list[int], int]]) -> int:
    """Tokens generated in all calls."""
    return sum(count for _, count in calls)


def table(speeds: Mapping[str, Sequence[float]]) -> str:
    """Medians, and the ratios that are the result."""
    median = {name: statistics.median(values) for name, values in speeds.items()}
    lines = [f"{name:<12} {value:8.1f} tokens/s" for name, value in median.items()]
    lines.append(f"environment / offline: {median['environment'] / median['offline']:.2f}")
    lines.append(f"independent / lock-step, delayed graph: {median['delayed'] / median['lock-step']:.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The environment beside the engine alone.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--questions", type=Path, nargs="+", required=True)
    parser.add_argument("--base_data_path", type=Path, default=Path("data_kg"))
    parser.add_argument("--num-questions", type=int, default=6)
    parser.add_argument("--num-rollouts", type=int, default=8)
    parser.add_argument("--num-repetitions", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--no-prefix-caching", action="store_true", help="compute every prompt from its start"
    )
    sys.stdout.write(table(asyncio.run(measure(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
