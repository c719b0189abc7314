"""Episodes of :mod:`kg_r1` as verl agent loops: token ids in, token ids out.

verl calls :meth:`KGAgentLoop.run` once per rollout, each in its own coroutine. The episode decides what to
generate and what to look up; this module only hands verl's engine to it as a Policy and lays what came
back into verl's output.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
import torch
from verl.experimental.agent_loop import AgentLoopBase, AgentLoopOutput
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, register
from verl.trainer.ppo.v1 import AgentLoopManagerTQ
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.utils import tensordict_utils

from kg_r1.data.rows import AGENT_NAME
from kg_r1.eval.record import episode_record
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.episode import Episode
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import Generation
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tensor_helper import TokenBuffer
from kg_r1.reward.rubric import Reward, Rubric
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.client import InProcessKGClient, KGClient
from kg_r1.search.optional_actions import enable
from kg_r1.search.server import KnowledgeGraphRetriever
from verl_ext.settings import SearchSettings, agent_loop_settings

logger = logging.getLogger(__name__)

IS_VALIDATION = "is_validation"
# Ray's decorator put an actor class in the place of verl's; the class itself is kept in its metadata.
_VerlWorker: Any = AgentLoopWorkerTQ.__ray_metadata__.modified_class  # type: ignore[attr-defined]


class KGAgentLoopWorker(_VerlWorker):
    """verl's own worker; its process imports this module to build it, and so registers the agent loop."""


class KGAgentLoopManager(AgentLoopManagerTQ):
    """verl's manager, which also tells every episode whether it is validated or trained on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.validated: dict[str, Question] = {}
        """The questions handed out for validation, by verl's id of the row; the trainer empties it."""
        self.agent_loop_workers_class = ray.remote(KGAgentLoopWorker)

    def generate_sequences(self, prompts: Any) -> None:
        is_validation = bool(prompts["validate"]) if "validate" in prompts else False
        tensordict_utils.assign_non_tensor_data(prompts, IS_VALIDATION, is_validation)
        if is_validation:
            rows = zip(prompts["uid"], prompts["extra_info"], strict=True)
            self.validated.update({str(uid): question_of_row({"extra_info": info}) for uid, info in rows})
        super().generate_sequences(prompts)


class KGAgentLoopOutput(AgentLoopOutput):
    """verl's output with a reward on every token, so that a turn is paid where it ends."""

    token_rewards: list[float]
    """Shape [num_response_tokens]; sums to the episode's total reward."""

    def as_dict(self) -> dict[str, Any]:
        output = super().as_dict()
        output["rm_scores"] = torch.tensor(output.pop("token_rewards"), dtype=torch.float32)
        return output


class EnginePolicy:
    """verl's generation server as a Policy, keeping the time spent in it."""

    def __init__(self, server_manager: Any, sampling_params: Mapping[str, Any]) -> None:
        self._server_manager = server_manager
        self._sampling_params = dict(sampling_params)
        self.engine_fields: dict[str, Any] = {}
        self.generation_s = 0.0

    async def generate(
        self, prompt_ids: Sequence[int], *, stop: Sequence[str], max_tokens: int, request_id: str
    ) -> Generation:
        started = time.monotonic()
        output = await self._server_manager.generate(
            request_id=request_id,
            prompt_ids=list(prompt_ids),
            sampling_params={
                **self._sampling_params,
                "stop": list(stop),
                "include_stop_str_in_output": True,
                "max_tokens": max_tokens,
            },
        )
        self.generation_s += time.monotonic() - started
        self._keep_fields(output.extra_fields or {})
        token_ids = list(output.token_ids)
        if output.stop_reason == "aborted":
            reason = "aborted"
        else:
            reason = "length" if len(token_ids) >= max_tokens else "stop"
        log_probs = list(output.log_probs) if output.log_probs else None
        return Generation(token_ids=token_ids, log_probs=log_probs, finish_reason=reason)  # type: ignore[arg-type]

    def _keep_fields(self, fields: Mapping[str, Any]) -> None:
        """The last turn's fields, but the oldest weights that any turn was sampled with."""
        first = {
            name: self.engine_fields[name] for name in ("min_global_steps",) if name in self.engine_fields
        }
        told = {name: value for name, value in fields.items() if value is not None}
        self.engine_fields = {**self.engine_fields, **told, **first}


@lru_cache(maxsize=8)
def shared_client(search: SearchSettings) -> KGClient:
    """One pooled client for all episodes of a worker process (each has a single event loop)."""
    if search.base_data_path is not None:
        return InProcessKGClient(KnowledgeGraphRetriever(GraphStore(Path(search.base_data_path))))
    return search.http_client()


@lru_cache(maxsize=1)
def load_third_party_actions() -> None:
    """Actions that other packages bring (entry points), once per worker process."""
    ACTION_REGISTRY.load_entry_points()


def token_rewards(buffer: TokenBuffer, reward: Reward) -> list[float]:
    """Lay each turn's reward on its last sampled token and the outcome on the last of them.

    Returns:
        Shape [num_response_tokens]; the sum is ``reward.total``.
    """
    rewards = [0.0] * len(buffer.response_ids)
    for (_, end), turn_reward in zip(buffer.turn_spans, reward.turn_rewards, strict=True):
        rewards[end - 1] += turn_reward
    if buffer.turn_spans:
        rewards[buffer.turn_spans[-1][1] - 1] += reward.outcome
    return rewards


@register(AGENT_NAME)
class KGAgentLoop(AgentLoopBase):
    """One episode: build the prompt, search, answer, score.

    Its settings come with verl's configuration, see :func:`verl_ext.settings.hand_to_agent_loop`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokenizer: Any
        load_third_party_actions()
        self.search, rubric = agent_loop_settings(self.rollout_config)
        enable(ACTION_REGISTRY, self.search.actions or ())
        self.rubric = Rubric(rubric)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        question = question_of_row(kwargs)
        policy = EnginePolicy(self.server_manager, sampling_params)
        manager = LLMGenerationManager(
            self.search.generation_config(
                prompt_length=self.rollout_config.prompt_length,
                response_length=self.rollout_config.response_length,
                validate=bool(kwargs.get(IS_VALIDATION, False)),
            ),
            self.tokenizer,
            policy,
            shared_client(self.search),
        )
        episode, buffer = await manager.run_episode(question, request_id=uuid4().hex)
        return self._output(episode, buffer, policy, int(kwargs.get("global_steps", 0)))

    def _output(
        self, episode: Episode, buffer: TokenBuffer, policy: EnginePolicy, global_steps: int
    ) -> AgentLoopOutput:
        reward = self.rubric.score(episode)
        rewards = token_rewards(buffer, reward)
        response_ids, response_mask = list(buffer.response_ids), list(buffer.response_mask)
        log_probs = buffer.response_log_probs
        prompt_ids = list(buffer.prompt_ids)
        if not response_ids:
            # A prompt that does not fit is never generated from; verl still wants one response token,
            # which the mask keeps out of every loss.
            prompt_ids = prompt_ids[-self.rollout_config.prompt_length :]
            response_ids, response_mask = [self.tokenizer.eos_token_id], [0]
            log_probs, rewards = [0.0], [reward.total]
        kg_s = sum(turn.kg_seconds for turn in episode.turns)
        return KGAgentLoopOutput(
            prompt_ids=prompt_ids,
            response_ids=response_ids,
            response_mask=response_mask,
            response_logprobs=log_probs,
            reward_score=reward.total,
            token_rewards=rewards,
            num_turns=len(episode.turns),
            metrics=AgentLoopMetrics(generate_sequences=policy.generation_s, tool_calls=kg_s),
            extra_fields={
                # verl makes numbers of these two, and an engine that was never called tells neither.
                "min_global_steps": global_steps,
                "max_global_steps": global_steps,
                **policy.engine_fields,
                "turn_scores": reward.turn_rewards,
                "tool_rewards": [],
                "episode_metrics": {
                    **_episode_metrics(reward),
                    "seconds_generation": policy.generation_s,
                    "seconds_kg": kg_s,
                },
                "reward_extra_info": {
                    "acc": reward.metrics["em"],
                    **reward.metrics,
                    "episode": json.dumps(episode_record(episode, reward), ensure_ascii=False),
                },
            },
        )


def question_of_row(row: Mapping[str, Any]) -> Question:
    """The question that a data row of verl's carries in ``extra_info``."""
    return Question.from_dict(json.loads(row["extra_info"]["question"]))


def _episode_metrics(reward: Reward) -> dict[str, float]:
    """What training logs as means over a batch; every value is a float."""
    return {
        "reward/total": reward.total,
        **{f"reward/{name}": value for name, value in reward.parts.items()},
        **{f"metric/{name}": value for name, value in reward.metrics.items()},
    }
