"""A profile's evaluation is `kg-r1 eval` with the profile's own settings."""

from __future__ import annotations

import pytest

from kg_r1.eval.options import generation_config, parser
from verl_ext.evaluate import eval_arguments, main
from verl_ext.profiles import composed, episode_limits

OWN = ["--model", "m", "--out", "o"]


@pytest.mark.parametrize("profile", ["cpu_135m", "gpu_135m", "rtx4090_3b", "h100x4_3b", "multinode"])
def test_episodes_are_those_of_validation(profile: str) -> None:
    options = parser().parse_args(eval_arguments(composed(profile, []), OWN))
    played = generation_config(options)
    trained, search = episode_limits(composed(profile, []), validate=True)
    for name in (
        "max_turns", "max_start_length", "max_prompt_length", "max_response_length", "max_obs_length",
        "max_episode_tokens", "no_think_rl", "prompt_style", "actions", "entity_form", "worked_episode",
        "begin_with_think", "query_form",
    ):  # fmt: skip
        assert getattr(played, name) == getattr(trained, name), name
    assert options.search_url == search.search_url
    assert options.base_data_path is None


@pytest.mark.parametrize("shown", [True, False])
def test_the_prompt_of_the_profile_is_evaluated(shown: bool) -> None:
    search = "actor_rollout_ref.rollout.search"
    overrides = [
        f"{search}.worked_episode={shown}",
        f"{search}.begin_with_think=true",
        f"{search}.query_form=tools",
    ]
    options = parser().parse_args(eval_arguments(composed("rtx4090_3b", overrides), OWN))
    played = generation_config(options)
    assert (played.worked_episode, played.begin_with_think, played.query_form) == (shown, True, "tools")


def test_what_is_named_on_the_command_line_stands() -> None:
    config = composed("cpu_135m", ["data.val_files=[a.parquet,b.parquet]"])
    assert parser().parse_args(eval_arguments(config, OWN)).questions == ["a.parquet", "b.parquet"]
    named = [*OWN, "--questions", "c.parquet", "--base_data_path", "data_kg", "--max-turns", "7"]
    options = parser().parse_args(eval_arguments(composed("cpu_135m", []), named))
    assert (options.questions, options.base_data_path, options.max_turns) == (["c.parquet"], "data_kg", 7)
    assert options.search_url is None


def test_a_folder_of_the_profile_is_searched_in_this_process() -> None:
    config = composed("cpu_135m", ["actor_rollout_ref.rollout.search.base_data_path=data_kg"])
    options = parser().parse_args(eval_arguments(config, OWN))
    assert (options.base_data_path, options.search_url) == ("data_kg", None)


@pytest.mark.parametrize(
    ("more", "told"),
    [(["--config-name", "none"], "none"), (["no.such=1"], "no.such"), ([], "nowhere.parquet")],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], more: list[str], told: str) -> None:
    questions = ["--questions", "nowhere.parquet", "--base_data_path", "data_kg"]
    assert main([*OWN, *questions, *more]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert told in said[0]
