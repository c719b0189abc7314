"""Walks for a profile are played with the profile's own actions and limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.verl_ext import tiny
from verl_ext.profiles import composed, episode_limits
from verl_ext.walks import main


def arguments(folder: Path, *more: str) -> list[str]:
    tiny.write_graph(folder / "data_kg")
    train, val = tiny.write_rows(folder / "rows")
    tiny.write_model(folder / "model")
    return [
        "--num-walks", "6", "--out", str(folder / "walks.jsonl"), "--tokenizer", str(folder / "model"),
        "--base_data_path", str(folder / "data_kg"), f"data.train_files={train}", f"data.val_files={val}",
        "data.max_prompt_length=512", *more,
    ]  # fmt: skip


def test_walks_carry_the_prompt_of_the_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path)) == 0
    walks = [json.loads(line) for line in (tmp_path / "walks.jsonl").read_text().splitlines()]
    assert len(walks) == 6
    prompt = AutoTokenizer.from_pretrained(str(tmp_path / "model")).decode(walks[0]["prompt_ids"])
    assert "get_tail_entities, get_head_relations" in prompt
    assert "get_conditional_relations" not in prompt
    assert "May be a list" not in prompt
    # The validation questions are among the training ones of this tiny set, and none was walked.
    assert "kept apart: 4" in capsys.readouterr().out


def test_the_limits_are_those_of_training() -> None:
    config = composed("cpu_135m", ["actor_rollout_ref.rollout.search.max_turns=3"])
    limits, search = episode_limits(config, validate=False)
    assert (limits.max_turns, limits.max_response_length, limits.max_obs_length) == (3, 112, 96)
    assert (limits.max_start_length, limits.max_episode_tokens) == (256, 512)
    assert limits.entity_form == "handle"
    assert search.base_data_path is None
    assert episode_limits(composed("h100x4_3b", []), validate=False)[0].entity_form == "name"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            [f"actor_rollout_ref.rollout.search.{one}" for one in ("query_form=tools", "prompt_style=full")],
            "query_form tools",
        ),
        (["--config-name", "none"], "none"),
        (["no.such.key=1"], "no.such"),
        (["actor_rollout_ref.rollout.search.entity_form=set"], "entity_form is 'set'"),
        (["--tokenizer", "nowhere"], "nowhere is no folder"),
        (["data.train_files=nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    given = arguments(tmp_path, *more)
    capsys.readouterr()
    assert main(given) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("error [")
    assert told in said[0]
