"""Prompts counted as the episodes will make them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from kg_r1.data.rows import write_questions
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.policies import ScriptedPolicy
from tests.verl_ext import tiny
from tests.verl_ext.launch.conftest import SmallRun
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.inputs import check_prompts, prompt_lengths, spread_questions
from verl_ext.settings import SettingsError, take_settings

# Of eight lengths: the tiny tokenizer has one token for every country.
QUESTIONS = [
    replace(question, question=f"{question.question}{' Think.' * number}")
    for number, question in enumerate(tiny.questions("train"))
]


@pytest.fixture
def with_model(small_run: SmallRun) -> SmallRun:
    tiny.write_model(small_run.model)
    write_questions(small_run.train, QUESTIONS)
    return small_run


def lengths_of(run: SmallRun, *overrides: str) -> list[int]:
    """Tokens of the prompts that the training rows' episodes begin with, played for real."""
    config = run.config(*overrides)
    rollout = config.actor_rollout_ref.rollout
    limits = take_settings(config).search.generation_config(
        prompt_length=rollout.prompt_length, response_length=rollout.response_length, validate=False
    )
    tokenizer = AutoTokenizer.from_pretrained(str(run.model))
    manager = LLMGenerationManager(limits, tokenizer, ScriptedPolicy(tokenizer, []))
    played = asyncio.run(manager.run_episodes(QUESTIONS))
    return [len(buffer.prompt_ids) for _, buffer in played]


@pytest.mark.parametrize("style", ["names", "full"])
def test_counted_as_they_are_played(with_model: SmallRun, style: str) -> None:
    override = f"actor_rollout_ref.rollout.search.prompt_style={style}"
    config = with_model.config(override)
    settings = take_settings(config)
    limits = settings.search.generation_config(prompt_length=256, response_length=512, validate=False)
    tokenizer = AutoTokenizer.from_pretrained(str(with_model.model))
    counted = prompt_lengths(spread_questions([str(with_model.train)]), tokenizer, limits, settings)
    assert counted == lengths_of(with_model, override)
    assert len(set(counted)) == 8


def test_some_too_long_are_told_and_all_are_refused(
    with_model: SmallRun, caplog: pytest.LogCaptureFixture
) -> None:
    lengths = sorted(lengths_of(with_model))
    limit = lengths[-1] - 1

    def check(max_prompt_length: int) -> None:
        config = with_model.config(f"data.max_prompt_length={max_prompt_length}")
        check_prompts(config, take_settings(config))

    check(lengths[-1])
    assert not caplog.text
    check(limit)
    assert "data.train_files: 1 of 8 prompts are longer than" in caplog.text
    assert f"data.max_prompt_length={limit} tokens, the longest {lengths[-1]}" in caplog.text
    with pytest.raises(LaunchError, match=r"data\.train_files: 8 of 8 prompts"):
        check(lengths[0] - 1)


def test_a_validation_without_searches_is_counted_with_its_last_turn_line(with_model: SmallRun) -> None:
    """Its prompts say that the answer is due, and so are longer than those of training."""
    write_questions(with_model.train, tiny.questions("train"))
    longest = lengths_of(with_model)[0]
    override = "actor_rollout_ref.rollout.search.enable_during_validation=false"
    config = with_model.config(f"data.max_prompt_length={longest}", override)
    with pytest.raises(LaunchError, match=r"data\.val_files: 4 of 4 prompts"):
        check_prompts(config, take_settings(config))


def test_a_limit_that_only_the_tokenizer_can_judge_is_refused(with_model: SmallRun) -> None:
    config = with_model.config("actor_rollout_ref.rollout.search.max_obs_length=5")
    with pytest.raises(SettingsError, match=r"rollout\.search: max_obs_length must be at least"):
        check_prompts(config, take_settings(config))


def test_a_model_without_a_tokenizer_is_refused(small_run: SmallRun) -> None:
    config = small_run.config()
    with pytest.raises(LaunchError, match=r"model\.path: the tokenizer of .* cannot be loaded"):
        check_prompts(config, take_settings(config))


def test_many_questions_are_counted_at_even_distances(small_run: SmallRun) -> None:
    files = [str(small_run.train), str(small_run.val)]
    assert [one.question_id for one in spread_questions(files, most=4)] == [
        "train-0",
        "train-3",
        "train-6",
        "val-1",
    ]
    assert len(spread_questions(files, most=12)) == 12
