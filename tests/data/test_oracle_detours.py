"""Wrong turns are taken on purpose, come back, and are kept out of what is learned."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kg_r1.data.evidence_path import Chain, Without, chains_of
from kg_r1.data.oracle import OraclePolicy, OracleStuck
from kg_r1.data.oracle_detours import Detour, Habits, draw_detour, draw_extra_hop, misspelt, mistaken
from kg_r1.data.oracle_walk import OracleConfig, OracleWalk, shown_handle, shown_items
from kg_r1.data.walks import build_walks
from kg_r1.kg.paths import Hop
from kg_r1.llm_agent.config import GenerationConfig
from kg_r1.llm_agent.episode import Episode
from kg_r1.llm_agent.generation import LLMGenerationManager
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.tokens import ByteTokenizer
from kg_r1.search.client import InProcessKGClient, KGClient, Retrieval
from kg_r1.search.server import KnowledgeGraphRetriever
from kg_r1.search.specs import EntityForm
from tests.data.conftest import LIMITS as WIDE
from tests.data.conftest import World
from tests.llm_agent.playing import RecordingClient

LIMITS = replace(WIDE, entity_form="handle")
CAPITALS = Question(
    "q1",
    "What are the capitals of the countries that border France, Spain aside?",
    ("France", "Spain"),
    (("Bern",),),
    "world",
    num_hops=2,
    path=(("tail", "borders"), ("without", "1"), ("tail", "capital")),
)


# Some questions ask for a country before its borders, and for the time zone after the capital.
HABITS = Habits(
    [
        [Chain("Bern", (Hop("tail", "country"), Hop("tail", "borders")))],
        [Chain("Peru", (Hop("tail", "capital"), Without("Lima"), Hop("tail", "timezone")))],
    ]
)


def walked(
    config: OracleConfig, seed: int, *answers: str, wrong: str = "Error: no"
) -> tuple[OracleWalk, list[str]]:
    """A walk of CAPITALS and its turns; right searches are answered in turn, a mistake is told `wrong`."""
    walk = OracleWalk(CAPITALS, chains_of(CAPITALS), random.Random(seed), config, HABITS)
    turns, left = walk.turns(), list(answers)
    texts = [next(turns)]
    while "</answer>" not in texts[-1]:
        is_wrong = len(texts) - 1 in walk.unlearned
        texts.append(turns.send(f"<information>{wrong if is_wrong else left.pop(0)}</information>"))
    return walk, texts


def test_a_walk_by_handle_copies_no_name_before_the_answer() -> None:
    config = OracleConfig(look_rate=0.0, entity_form="handle")
    _, texts = walked(config, 0, "#3: Spain | Switzerland (+9 more)", "#4: Bern | Bern [2]")
    assert 'get_tail_entities("#1", "borders")' in texts[0]
    assert "borders tails except #2, then capital tails" in texts[0]
    assert 'get_tail_entities("#3 except #2", "capital")' in texts[1]
    assert texts[2].endswith("<answer> Bern | Bern [2]</answer>")


def test_a_topic_left_out_by_its_handle_is_left_out_of_the_answer() -> None:
    question = replace(CAPITALS, path=(("tail", "borders"), ("without", "1")))
    config = OracleConfig(look_rate=0.0, entity_form="handle")
    turns = OracleWalk(question, chains_of(question), random.Random(0), config).turns()
    next(turns)
    answer = turns.send("<information>#3: Spain | Switzerland</information>")
    assert answer.endswith("<answer> Switzerland</answer>")


def test_a_walk_by_names_begins_with_the_topic_by_name() -> None:
    _, texts = walked(OracleConfig(look_rate=0.0), 0, "Spain | Switzerland", "Bern")
    assert "borders tails except Spain, then capital tails" in texts[0]
    assert 'get_tail_entities("France", "borders")' in texts[0]
    assert 'get_tail_entities("Switzerland", "capital")' in texts[1]


@pytest.mark.parametrize(
    ("observation", "items", "handle"),
    [
        ("<information>#12: A | B (+3 more)</information>", ["A", "B"], "#12"),
        ("<information>#1: #2: A</information>", ["#2: A"], "#1"),
        ("<information>A (meant: A [1])</information>", ["A"], None),
        ("<information>Error: there is no result #1; x</information>", [], None),
    ],
)
def test_what_an_observation_lists(observation: str, items: list[str], handle: str | None) -> None:
    assert shown_items(observation) == items
    assert shown_handle(observation) == handle


HOP_KINDS = {"wrong direction", "wrong relation", "skipped hop", "needless hop", "extra hop"}


@pytest.mark.parametrize(
    ("entity_form", "possible"), [("list", HOP_KINDS | {"wrong name"}), ("handle", HOP_KINDS)]
)
def test_every_kind_of_detour_is_drawn_and_then_left(entity_form: EntityForm, possible: set[str]) -> None:
    config = OracleConfig(look_rate=0.0, detour_rate=1.0, entity_form=entity_form)
    mark = ("#3: ", "#4: ") if entity_form == "handle" else ("", "")
    drawn: Counter[str] = Counter()
    firsts = 0
    for seed in range(120):
        walk, texts = walked(config, seed, f"{mark[0]}Switzerland", f"{mark[1]}Bern")
        (number,) = walk.unlearned
        (kind,) = walk.traits.keys() & possible
        drawn[kind] += 1
        firsts += number == 0
        wrong, right = texts[number], texts[number + 1]
        assert wrong != right
        if kind == "extra hop":
            assert right == texts[-1]
            assert '"timezone"' in wrong
            assert '("#4"' in wrong or '("Bern"' in wrong
        else:
            assert ("get_head" in wrong) == (kind == "wrong direction")
            is_short = '"capital"' in wrong and "except" not in wrong and "get_tail" in wrong and number == 0
            assert is_short == (kind == "skipped hop")
            assert (
                "country tails, then borders tails" in wrong and '"country"' in wrong and number == 0
            ) == (kind == "needless hop")
            entities = {"list": ("France", "Switzerland"), "handle": ("#1", "#3 except #2")}[entity_form]
            assert any(f'("{entity}"' in wrong for entity in entities) == (kind != "wrong name")
            assert "get_tail_entities" in right
        assert texts[-1].endswith("<answer> Bern</answer>")
    assert drawn.keys() == possible
    assert firsts > 60


def test_no_detour_without_a_search_to_spare() -> None:
    config = OracleConfig(look_rate=0.0, detour_rate=1.0, max_searches=2, entity_form="handle")
    for seed in range(10):
        walk, _ = walked(config, seed, "#3: Switzerland", "#4: Bern")
        assert walk.unlearned == []


def test_a_wrong_turn_that_finds_something_is_still_left() -> None:
    """The second result is what the walk goes on from, under the number that it was given."""
    config = OracleConfig(look_rate=0.0, detour_rate=1.0, entity_form="handle")
    for seed in range(40):
        walk, texts = walked(config, seed, "#4: Switzerland", "#5: Bern", wrong="#3: Euro")
        if walk.unlearned == [0]:
            assert '"#4 except #2"' in texts[2]
            return
    raise AssertionError("no seed began with a detour")


def test_a_walk_that_is_shown_nothing_is_stuck() -> None:
    with pytest.raises(OracleStuck):
        walked(OracleConfig(look_rate=0.0), 0, "Error: no")


def test_a_misspelt_name_is_near_and_different() -> None:
    rng = random.Random(0)
    drawn = {misspelt(rng, "Switzerland") for _ in range(200)} - {"Switzerland"}
    assert len(drawn) > 20
    assert all(name[0] == "S" and abs(len(name) - 11) <= 1 for name in drawn)


def test_short_names_and_handles_are_not_misspelt() -> None:
    rng = random.Random(0)
    for name in ("Oman", None):
        kinds = {draw_detour(rng, [Hop("tail", "capital")], name, Habits()).kind for _ in range(30)}
        assert kinds == {"wrong direction"}
    only_capitals = Habits([[Chain("Peru", (Hop("tail", "capital"),))]])
    wrong = draw_detour(rng, [Hop("tail", "capital")], None, only_capitals)
    assert wrong == Detour("wrong direction", Hop("head", "capital"))


def test_one_hop_is_changed_or_left_out_and_the_chains_stay() -> None:
    chains = [Chain("France", (Hop("tail", "borders"), Hop("tail", "capital")))]
    changed = mistaken(chains, 0, 1, Detour("wrong direction", Hop("head", "capital")))
    assert changed == [Chain("France", (Hop("tail", "borders"), Hop("head", "capital")))]
    shorter = mistaken(chains, 0, 0, Detour("skipped hop", Hop("tail", "capital")))
    assert shorter == [Chain("France", (Hop("tail", "capital"),))]
    longer = mistaken(chains, 0, 0, Detour("needless hop", Hop("tail", "country")))
    assert longer == [Chain("France", (Hop("tail", "country"), *chains[0].steps))]
    assert chains[0].steps == (Hop("tail", "borders"), Hop("tail", "capital"))


def test_a_hop_is_skipped_only_where_another_follows() -> None:
    steps = [Hop("tail", "borders"), Without("Spain"), Hop("tail", "capital")]
    drawn = {draw_detour(random.Random(seed), steps, None, Habits()) for seed in range(30)}
    skipped = Detour("skipped hop", Hop("tail", "capital"))
    assert drawn == {Detour("wrong direction", Hop("head", "borders")), skipped}


def test_a_hop_too_many_is_one_that_another_question_would_need() -> None:
    needless = Detour("needless hop", Hop("tail", "country"))
    drawn = {draw_detour(random.Random(seed), [Hop("tail", "borders")], None, HABITS) for seed in range(30)}
    assert needless in drawn
    drawn = {draw_detour(random.Random(seed), [Hop("tail", "capital")], None, HABITS) for seed in range(30)}
    assert needless not in drawn
    usual = draw_extra_hop(random.Random(0), Hop("tail", "capital"), HABITS)
    assert usual == Detour("extra hop", Hop("tail", "timezone"))
    unusual = {draw_extra_hop(random.Random(seed), Hop("tail", "timezone"), HABITS).hop for seed in range(60)}
    assert len(unusual) == 8


def played(limits: GenerationConfig, client: KGClient, questions: Sequence[Question]) -> list[Episode]:
    plans = {question.question_id: (question, chains_of(question)) for question in questions}
    policy = OraclePolicy(ByteTokenizer(), plans, OracleConfig(look_rate=0.0, entity_form="handle"))
    manager = LLMGenerationManager(limits, ByteTokenizer(), policy, client)
    return [episode for episode, _ in asyncio.run(manager.run_episodes(questions))]


def test_an_answer_too_long_for_a_turn_names_as_many_as_fit() -> None:
    names = [f"City number {number}" for number in range(40)]
    client = RecordingClient(Retrieval(({"tail_entities": names},), 0.0, 40))
    limits = GenerationConfig(
        max_start_length=4000,
        max_prompt_length=20_000,
        max_response_length=300,
        max_obs_length=2000,
        entity_form="handle",
    )
    (episode,) = played(limits, client, [CAPITALS])
    answers = (episode.answer or "").split(" | ")
    assert 5 < len(answers) < 20
    assert answers == names[: len(answers)]
    assert episode.turns[-1].num_tokens <= 300


def test_walks_with_detours_learn_the_way_back_only(world: World) -> None:
    config = OracleConfig(look_rate=0.0, detour_rate=1.0)
    questions = [question for question in world.questions["train"] if question.num_hops == 2][:60]
    walks, report = build_walks(questions, world.store, ByteTokenizer(), LIMITS, 24, oracle=config)
    detours = sum(report.traits[kind] for kind in (*HOP_KINDS, "wrong name"))
    assert detours == len(walks) == 24
    for walk in walks:
        text = bytes(walk.response_ids).decode()
        learned = bytes(i for i, m in zip(walk.response_ids, walk.response_mask, strict=True) if m).decode()
        assert learned.count("</think>") == text.count("</think>") - 1
        assert learned.count("</search>") == text.count("</search>") - 1
        assert learned.endswith("</answer>")
    assert "wrong direction" in report.text()


def test_questions_kept_apart_are_never_walked(world: World) -> None:
    questions = world.questions["train"][:40]
    apart = [question for question in questions if question.num_hops != 1]
    walks, report = build_walks(
        questions, world.store, ByteTokenizer(), LIMITS, 8, kept_apart=[*apart, *world.questions["test"]]
    )
    assert {walk.group for walk in walks} == {"1-hop"}
    assert report.num_excluded == len(apart)
    assert f"kept apart: {len(apart)}" in report.text()


def test_the_oracle_by_handle_is_right_everywhere(world: World, tmp_path: Path) -> None:
    client = InProcessKGClient(KnowledgeGraphRetriever(world.store))
    for episode in played(LIMITS, client, world.questions["val"]):
        gold = {alias for aliases in episode.question.gold for alias in aliases}
        named = set((episode.answer or "").split(" | "))
        assert named <= gold
        assert len(named) == len(episode.question.gold)
