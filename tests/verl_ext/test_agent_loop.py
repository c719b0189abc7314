"""Rewards on tokens, the engine as a policy, and what a row hands over."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest

from kg_r1.llm_agent.tensor_helper import TokenBuffer
from kg_r1.reward.rubric import Reward
from tests.verl_ext import tiny
from verl_ext.agent_loop import EnginePolicy, KGAgentLoopOutput, question_of_row, token_rewards


def buffer_of_two_turns() -> TokenBuffer:
    """Response: two sampled ids, three of an observation, one sampled id."""
    buffer = TokenBuffer([1, 2, 3])
    buffer.append_sampled([10, 11], [-0.1, -0.2])
    buffer.append_observation([20, 21, 22])
    buffer.append_sampled([12], [-0.3])
    return buffer


def reward(turn_rewards: list[float], outcome: float) -> Reward:
    return Reward(outcome + sum(turn_rewards), outcome, turn_rewards, {}, {})


def test_each_turn_is_paid_where_it_ends_and_the_outcome_at_the_last() -> None:
    assert token_rewards(buffer_of_two_turns(), reward([0.5, 0.25], 2.0)) == [0, 0.5, 0, 0, 0, 2.25]


def test_a_reward_for_another_number_of_turns_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        token_rewards(buffer_of_two_turns(), reward([0.5], 2.0))


def test_token_rewards_reach_verl_as_rm_scores() -> None:
    output = KGAgentLoopOutput(
        prompt_ids=[1],
        response_ids=[10, 20, 11],
        response_mask=[1, 0, 1],
        response_logprobs=[-0.1, 0.0, -0.2],
        reward_score=1.5,
        token_rewards=[0.5, 0.0, 1.0],
        num_turns=2,
        metrics={},
        extra_fields={"reward_extra_info": {}},
    )
    fields = output.as_dict()
    assert fields["rm_scores"].tolist() == [0.5, 0.0, 1.0]
    assert fields["responses"].tolist() == [10, 20, 11]
    assert "token_rewards" not in fields


class RecordingEngine:
    """Stands where verl's generation server does and answers with what it was told to."""

    def __init__(self, **output: Any) -> None:
        self.output = {"log_probs": [-1.0], "stop_reason": "completed", "extra_fields": {}, **output}
        self.calls: list[dict[str, Any]] = []

    async def generate(self, **call: Any) -> Any:
        self.calls.append(call)
        return SimpleNamespace(**self.output)


async def test_the_engine_stops_at_the_tags_and_keeps_them() -> None:
    engine = RecordingEngine(token_ids=[7], extra_fields={"global_steps": 3})
    policy = EnginePolicy(engine, {"temperature": 0.8})
    generation = await policy.generate([1, 2], stop=["</search>"], max_tokens=5, request_id="a")
    params = engine.calls[0]["sampling_params"]
    assert params == {
        "temperature": 0.8,
        "stop": ["</search>"],
        "include_stop_str_in_output": True,
        "max_tokens": 5,
    }
    assert (generation.token_ids, generation.log_probs, generation.finish_reason) == ([7], [-1.0], "stop")
    assert policy.engine_fields == {"global_steps": 3}


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"token_ids": [7, 8], "log_probs": [-1.0, -2.0]}, "length"),
        ({"token_ids": [], "log_probs": [], "stop_reason": "aborted"}, "aborted"),
    ],
)
async def test_how_a_turn_ended(output: dict[str, Any], reason: str) -> None:
    policy = EnginePolicy(RecordingEngine(**output), {})
    generation = await policy.generate([1], stop=[], max_tokens=2, request_id="a")
    assert generation.finish_reason == reason


def test_a_row_gives_back_its_question() -> None:
    question = tiny.questions("train")[0]
    row = {"extra_info": {"index": 0, "question": json.dumps(question.to_dict())}}
    assert dataclasses.asdict(question_of_row(row)) == dataclasses.asdict(question)
