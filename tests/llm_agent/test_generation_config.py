"""The settings of an episode."""

from __future__ import annotations

from typing import Any

import pytest

from kg_r1.llm_agent.generation import GenerationConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"max_turns": 0},
        {"max_response_length": 3},
        {"max_prompt_length": 15},
        {"max_kg_failures": -1},
        {"max_episode_tokens": 1},
        {"prompt_style": "long"},
        {"kg_failure": "ignore"},
        {"actions": ()},
        {"query_form": "json"},
        {"prompt_style": "names", "query_form": "tools"},
        {"begin_with_think": True, "no_think_rl": True},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        GenerationConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "is_shown"),
    [
        ({"prompt_style": "full"}, True),
        ({"prompt_style": "compact"}, False),
        ({"prompt_style": "names"}, False),
        ({"prompt_style": "full", "worked_episode": False}, False),
        ({"prompt_style": "compact", "worked_episode": True}, True),
    ],
)
def test_a_worked_episode_is_shown_with_the_full_style_or_on_request(
    settings: dict[str, Any], is_shown: bool
) -> None:
    assert GenerationConfig(**settings).shows_worked_episode is is_shown


def test_the_seed_settings_are_accepted_by_keyword() -> None:
    config = GenerationConfig(
        max_turns=10,
        max_start_length=1024,
        max_prompt_length=4096,
        max_response_length=500,
        max_obs_length=512,
        num_gpus=4,
        no_think_rl=False,
        search_url="http://127.0.0.1:8001/retrieve",
        topk=3,
    )
    assert config == GenerationConfig(num_gpus=4)
