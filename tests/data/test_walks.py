"""Walks are the environment's own tokens, balanced, alike for one seed, and written whole."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kg_r1.data.oracle import OracleConfig
from kg_r1.data.walks import build_walks, write_walks
from kg_r1.llm_agent.guidance.worked_episode import TRIPLES
from kg_r1.llm_agent.tokens import ByteTokenizer
from tests.data.conftest import LIMITS, World


def test_walks_are_full_balanced_and_distinct(world: World) -> None:
    told: list[int] = []
    walks, report = build_walks(
        world.questions["train"], world.store, ByteTokenizer(), LIMITS, num_walks=42, on_kept=told.append
    )
    assert len(walks) == sum(told) == report.num_kept.total() == 42
    assert sorted(Counter(walk.group for walk in walks).values()) == [10, 10, 11, 11]
    assert all(walk.reward == 2.0 for walk in walks)
    assert len({bytes(walk.prompt_ids + walk.response_ids) for walk in walks}) == 42
    assert {walk.group for walk in walks[:12]} == {"1-hop", "2-hop", "3-hop", "conjunctive"}
    by_id = {question.question_id: question for question in world.questions["train"]}
    for walk in walks:
        question = by_id[walk.question_id]
        assert walk.question_type == question.question_type
        assert question.question in bytes(walk.prompt_ids).decode()


def test_the_mask_is_on_what_the_policy_wrote(world: World) -> None:
    (walk, *_), _ = build_walks(world.questions["train"], world.store, ByteTokenizer(), LIMITS, num_walks=4)
    assert len(walk.response_ids) == len(walk.response_mask)
    written = bytes(i for i, m in zip(walk.response_ids, walk.response_mask, strict=True) if m).decode()
    shown = bytes(i for i, m in zip(walk.response_ids, walk.response_mask, strict=True) if not m).decode()
    assert "<information>" not in written
    assert written.startswith("<think>")
    assert written.endswith("</answer>")
    assert "<search>" not in shown
    assert shown.startswith("\n<information>")


def test_the_same_seed_makes_the_same_walks(world: World) -> None:
    def make(seed: int) -> list[dict[str, object]]:
        walks, _ = build_walks(
            world.questions["train"][:200], world.store, ByteTokenizer(), LIMITS, num_walks=20, seed=seed
        )
        return [vars(walk) for walk in walks]

    assert make(1) == make(1)
    assert make(1) != make(2)


def test_a_small_group_is_walked_again_in_other_words_and_the_others_fill_up(world: World) -> None:
    questions = [q for q in world.questions["train"] if q.num_hops == 1][:30]
    one = next(q for q in world.questions["train"] if q.question_type == "city_capital")
    walks, report = build_walks([one, *questions], world.store, ByteTokenizer(), LIMITS, num_walks=60)
    groups = Counter(walk.group for walk in walks)
    assert 2 <= groups["2-hop"] <= 4
    assert groups["1-hop"] == 60 - groups["2-hop"]
    assert report.num_kept == groups


def test_walks_that_are_not_full_are_dropped_and_counted(world: World) -> None:
    good, bad = [q for q in world.questions["train"] if q.question_type == "capital"][:2]
    wrong_gold = replace(bad, gold=(("No Such Place",),))
    walks, report = build_walks([good, wrong_gold], world.store, ByteTokenizer(), LIMITS, num_walks=8)
    assert {walk.question_id for walk in walks} == {good.question_id}
    assert report.num_dropped["1-hop"]["not exactly right"] == 1
    unreachable = replace(bad, path=(), gold=(("No Such Place",),))
    walks, report = build_walks([unreachable], world.store, ByteTokenizer(), LIMITS, num_walks=2)
    assert walks == []
    assert report.num_dropped["1-hop"]["without a path"] == 1
    assert "without a path" in report.text()
    assert report.num_dropped.keys() == {"1-hop"}
    short = replace(LIMITS, max_response_length=20)
    walks, report = build_walks([good], world.store, ByteTokenizer(), short, num_walks=1)
    assert walks == []
    assert report.num_kept.total() == 0


def test_a_walk_that_names_all_that_a_cut_list_showed_is_kept(world: World) -> None:
    many = [q for q in world.questions["train"] if q.num_hops == 1 and len(q.gold) >= 6][:10]
    limits = replace(LIMITS, max_obs_length=90)
    walks, report = build_walks(many, world.store, ByteTokenizer(), limits, num_walks=8)
    cut = [walk for walk in walks if walk.reward < 2.0]
    assert len(walks) == 8
    assert len(cut) == report.traits["truncated list"] >= 4
    # They name a part of the gold answers: no exact match, and evidence for that part.
    assert all(0.0 < walk.reward < 1.0 for walk in cut)


def test_turns_allowed_bound_the_searches(world: World) -> None:
    three = [q for q in world.questions["train"] if q.num_hops == 3][:20]
    limits = replace(LIMITS, max_turns=4)
    walks, _ = build_walks(
        three, world.store, ByteTokenizer(), limits, 10, oracle=OracleConfig(look_rate=1.0)
    )
    assert len(walks) == 10
    assert all(bytes(walk.response_ids).count(b"<search>") == 3 for walk in walks)


def test_thoughts_are_left_out_where_training_leaves_them_out(world: World) -> None:
    limits = replace(LIMITS, no_think_rl=True)
    walks, _ = build_walks(world.questions["train"], world.store, ByteTokenizer(), limits, num_walks=4)
    assert len(walks) == 4
    assert not any(b"<think>" in bytes(walk.response_ids) for walk in walks)


def test_the_file_holds_one_walk_a_line(world: World, tmp_path: Path) -> None:
    walks, _ = build_walks(world.questions["train"], world.store, ByteTokenizer(), LIMITS, num_walks=4)
    write_walks(tmp_path / "walks.jsonl", walks)
    lines = (tmp_path / "walks.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [vars(walk) for walk in walks]
    assert set(json.loads(lines[0])) >= {
        "question_id",
        "prompt_ids",
        "response_ids",
        "response_mask",
        "reward",
    }


def test_a_path_that_cannot_be_read_is_an_error(world: World) -> None:
    broken = replace(world.questions["train"][0], path=(("up", "x"),))
    with pytest.raises(ValueError, match="no direction"):
        build_walks([broken], world.store, ByteTokenizer(), LIMITS, num_walks=1)


def test_walks_go_on_with_turns_that_are_begun(world: World) -> None:
    limits = replace(LIMITS, begin_with_think=True)
    walks, _ = build_walks(world.questions["train"], world.store, ByteTokenizer(), limits, num_walks=8)
    assert len(walks) == 8
    for walk in walks:
        assert bytes(walk.prompt_ids).endswith(b"<think>")
        learned = bytes(i for i, m in zip(walk.response_ids, walk.response_mask, strict=True) if m)
        assert b"<think>" not in learned and learned.count(b"</think>") >= 2


def test_the_worked_episode_of_the_prompt_knows_nobody_of_the_world(world: World) -> None:
    graph = world.store.graph("world")
    names = {name for head, _, tail in TRIPLES for name in (head, tail)}
    assert not [name for name in sorted(names) if graph.resolve(name)]
