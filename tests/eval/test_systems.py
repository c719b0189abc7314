"""Every system through the real environment: what it is shown, and what it can reach."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kg_r1.data.rows import read_questions
from kg_r1.eval.random_walk import RandomWalkPolicy, walkable
from kg_r1.eval.systems import BASELINES, World, build_system, reason_against
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.episode import Episode, EpisodeStatus
from kg_r1.llm_agent.policies import ScriptedPolicy
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.reward.rubric import episode_metrics
from kg_r1.search.client import InProcessKGClient
from kg_r1.search.server import KnowledgeGraphRetriever
from tests.eval.small import ONE_HOP, QUESTIONS, TWO_HOP, UNREACHABLE

ROOT = Path(__file__).resolve().parents[2]
MakeWorld = Callable[..., World]
ANSWER = "<think>a</think>\n<answer>Paris</answer>"


def play(name: str, world: World, question: Question, sample: int = 0) -> Episode:
    manager = build_system(name, world).manager_of(question)
    return asyncio.run(manager.run_episode(question, f"{question.question_id}#{sample}"))[0]


def prompt_of(name: str, make_world: MakeWorld, question: Question, **limits: Any) -> str:
    policy = ScriptedPolicy(ByteTokenizer(), [ANSWER])
    episode = play(name, make_world(policy, **limits), question)
    assert episode.status is EpisodeStatus.ANSWERED and len(episode.turns) == 1
    ((prompt,),) = policy.prompts.values()
    return ByteTokenizer().decode(prompt)


@pytest.mark.parametrize("entity_form", ["list", "handle"])
def test_the_oracle_is_right_wherever_a_path_leads(make_world: MakeWorld, entity_form: str) -> None:
    for question in QUESTIONS:
        episode = play("oracle", make_world(entity_form=entity_form), question)
        assert episode_metrics(episode)["em"] == 1.0, question.question_id


def test_the_oracle_gives_up_where_no_path_leads(make_world: MakeWorld) -> None:
    episode = play("oracle", make_world(questions=[UNREACHABLE]), UNREACHABLE)
    assert episode.status is EpisodeStatus.POLICY_ABORTED
    assert episode_metrics(episode)["em"] == 0.0


def test_the_oracle_is_right_on_the_world_with_the_profile_of_a_small_model() -> None:
    folder, model = ROOT / "data_kg" / "world", ROOT / "models" / "SmolLM2-135M-Instruct"
    if not folder.is_dir() or not model.is_dir():
        pytest.skip("data_kg/world or models/SmolLM2-135M-Instruct is absent; build the one, fetch the other")
    from transformers import AutoTokenizer

    store = GraphStore(folder.parent)
    questions = read_questions(folder / "questions" / "val.parquet")[:16]
    limits = {
        "max_turns": 5, "max_start_length": 256, "max_prompt_length": 768, "max_response_length": 96,
        "max_obs_length": 160, "max_episode_tokens": 512,
    }  # fmt: skip
    world = World(
        GenerationConfig(**limits), AutoTokenizer.from_pretrained(model), None,
        InProcessKGClient(KnowledgeGraphRetriever(store)), store, questions, 0, 1, 1,
    )  # fmt: skip
    system = build_system("oracle", world)

    async def all_of_them() -> list[Episode]:
        return [(await system.manager_of(one).run_episode(one))[0] for one in questions]

    scores = [episode_metrics(episode)["em"] for episode in asyncio.run(all_of_them())]
    assert scores == [1.0] * len(questions)


def test_closed_book_shows_neither_facts_nor_the_answer(make_world: MakeWorld) -> None:
    for question in QUESTIONS:
        shown = prompt_of("closed_book", make_world, question)
        assert question.question in shown and "Last turn: you must answer now." in shown
        assert "Facts" not in shown
        for (gold,) in question.gold:
            assert gold not in shown or gold in (question.question, *question.topic_entities), gold


def test_the_gold_subgraph_stands_in_the_prompt(make_world: MakeWorld) -> None:
    shown = prompt_of("gold_subgraph", make_world, TWO_HOP)
    assert "Spain | borders | Andorra\nSpain | borders | France\n" in shown
    assert "France | capital | Paris\n" in shown and "Italy" not in shown
    assert shown.index("Facts") < shown.index(TWO_HOP.question)


def test_bm25_shows_the_best_facts_and_no_more(make_world: MakeWorld) -> None:
    shown = prompt_of("bm25", make_world, ONE_HOP)
    assert shown.count(" | capital | ") + shown.count(" | borders | ") <= 3
    assert "France | capital | Paris\n" in shown.split("Question:")[0]


def test_a_prompt_with_facts_may_be_longer_by_the_facts_alone(make_world: MakeWorld) -> None:
    plain = len(prompt_of("closed_book", make_world, TWO_HOP).encode())
    shown = prompt_of("gold_subgraph", make_world, TWO_HOP, max_start_length=plain)
    assert "Facts" in shown and len(shown.encode()) <= plain + 1000


def test_a_random_walk_searches_and_answers_with_what_it_was_shown(make_world: MakeWorld) -> None:
    world = make_world()
    for sample in range(20):
        episode = play("random_walk", world, TWO_HOP, sample)
        assert episode.status is EpisodeStatus.ANSWERED and len(episode.turns) <= 5
        assert all(turn.is_well_formed for turn in episode.turns)
        found = [one for one in episode.retrievals() if "entities" in next(iter(one.results[0]))]
        expected = found[-1].items() if found else ["Spain"]
        assert (episode.answer or "").split(" | ") == expected


def test_a_random_walk_depends_on_seed_and_sample_alone(make_world: MakeWorld) -> None:
    def turns(sample: int) -> list[str]:
        return [turn.text for turn in play("random_walk", make_world(), TWO_HOP, sample).turns]

    assert turns(3) == turns(3)
    assert len({tuple(turns(sample)) for sample in range(20)}) > 5


def test_a_random_walk_has_no_thoughts_where_none_are_asked(make_world: MakeWorld) -> None:
    episode = play("random_walk", make_world(no_think_rl=True), ONE_HOP)
    assert all(turn.think is None and turn.is_well_formed for turn in episode.turns)


@pytest.mark.parametrize("name", ["random_walk", "oracle"])
@pytest.mark.parametrize(
    "settings",
    [{"begin_with_think": True}, {"query_form": "tools"}, {"query_form": "tools", "begin_with_think": True}],
)
def test_who_plays_without_a_model_plays_well_formed_turns_in_every_form(
    make_world: MakeWorld, name: str, settings: dict[str, Any]
) -> None:
    # The tokenizer has no tools in its template: a system without a model needs none.
    episode = play(name, make_world(**settings), ONE_HOP)
    assert episode.status is EpisodeStatus.ANSWERED
    assert all(turn.is_well_formed for turn in episode.turns)


@pytest.mark.parametrize("max_turns", [1, 2, 3])
def test_a_random_walk_keeps_its_last_turn_for_the_answer(make_world: MakeWorld, max_turns: int) -> None:
    episode = play("random_walk", make_world(max_turns=max_turns), ONE_HOP)
    assert episode.turns[-1].kind is TurnKind.ANSWER and len(episode.turns) <= max_turns


def test_a_walk_needs_actions_that_lead_somewhere() -> None:
    assert walkable(["get_tail_relations", "get_tail_entities", "get_head_entities"]) == ["tail"]
    with pytest.raises(ValueError, match="random walk needs"):
        RandomWalkPolicy(ByteTokenizer(), {}, max_turns=3, actions=["get_tail_entities"])


def test_what_does_not_apply_says_why() -> None:
    def against(name: str, has_graph: bool, asked: list[Question], **limits: Any) -> str | None:
        return reason_against(name, config=GenerationConfig(**limits), has_graph=has_graph, questions=asked)

    assert [against(name, True, QUESTIONS) for name in BASELINES] == [None] * len(BASELINES)
    assert "--base_data_path" in str(against("bm25", False, QUESTIONS))
    assert against("oracle", False, QUESTIONS) is None
    assert "evidence path" in str(against("oracle", False, [UNREACHABLE]))
    assert "needs the actions" in str(against("random_walk", True, [], actions=("get_tail_entities",)))
