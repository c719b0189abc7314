"""The questions ask for what the graph says, and the splits keep apart what they promise to."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from kg_r1.data.candidates import MAX_SET
from kg_r1.data.composing import with_composed
from kg_r1.data.evidence_path import chains_of, hop_group, is_conjunctive
from kg_r1.data.patterns import GROUPS, MIN_PHRASINGS, NAMESAKE
from kg_r1.data.splits import SPLITS, split_entities, split_name, split_phrasings
from kg_r1.data.world_questions import (
    PATTERNS,
    Sizes,
    even_shares,
    holds_answer,
    make_questions,
    pattern_by_name,
)
from kg_r1.data.world_sources import fold
from kg_r1.kg.paths import Hop, step
from kg_r1.llm_agent.question import Question
from tests.data.conftest import World


def everything(world: World) -> list[Question]:
    return [question for split in SPLITS for question in world.questions[split]]


def test_sizes_and_balance(world: World) -> None:
    assert {split: len(questions) for split, questions in world.questions.items()} == {
        "train": 8000,
        "val": 400,
        "test": 800,
    }
    for questions in world.questions.values():
        groups = Counter(map(hop_group, questions))
        assert set(groups) == set(GROUPS)
        assert len(set(groups.values())) == 1
        assert {question.question_type for question in questions} == {pattern.name for pattern in PATTERNS}


def test_there_are_enough_patterns_and_no_phrasing_serves_two() -> None:
    assert len(PATTERNS) >= 20
    assert len({pattern.name for pattern in PATTERNS}) == len(PATTERNS)
    texts = [fold(phrasing) for pattern in PATTERNS for phrasing in pattern.phrasings]
    assert len(set(texts)) == len(texts)
    for pattern in PATTERNS:
        assert len(pattern.phrasings) >= MIN_PHRASINGS
        assert 1 <= len(pattern.chains) <= 2
        for phrasing in pattern.phrasings:
            assert sorted(re.findall(r"\{(\w)\}", phrasing)) == list("ab"[: len(pattern.chains)])


def test_ids_and_texts_are_unique_over_all_splits(world: World) -> None:
    questions = everything(world)
    assert len({question.question_id for question in questions}) == len(questions)
    assert len({question.question for question in questions}) == len(questions)
    for split in SPLITS:
        assert all(question.split == split for question in world.questions[split])


def test_topics_of_one_split_are_topics_of_no_other(world: World) -> None:
    topics = {
        split: {topic for question in questions for topic in question.topic_entities}
        for split, questions in world.questions.items()
    }
    assert not topics["train"] & topics["test"]
    assert not topics["train"] & topics["val"]
    assert not topics["val"] & topics["test"]


def test_topics_belong_to_countries_of_their_split(world: World) -> None:
    home_splits: dict[str, set[str]] = defaultdict(set)
    for split, questions in world.questions.items():
        for question in questions:
            for topic in question.topic_entities:
                indices = world.graph.resolve(topic)
                if len(indices) == 1:
                    entity = world.graph.entity_id(indices[0])
                    home_splits[world.facts.home.get(entity, entity)].add(split)
    assert all(len(splits) == 1 for splits in home_splits.values())
    assert len(home_splits) > 150


def test_phrasings_of_one_split_occur_in_no_other(world: World) -> None:
    patterns = pattern_by_name()
    for split, questions in world.questions.items():
        for question in questions[:1000]:
            pattern = patterns[question.question_type]
            allowed = dict(split_phrasings(pattern.name, pattern.phrasings, seed=0))
            allowed["train"] = with_composed(pattern, allowed["train"], seed=0)
            others = [text for other in SPLITS if other != split for text in allowed[other]]
            assert any(_fits(phrasing, question, world) for phrasing in allowed[split]), question
            assert not any(_fits(phrasing, question, world) for phrasing in others), question


def _fits(phrasing: str, question: Question, world: World) -> bool:
    with_article = {world.facts.names[entity] for entity in world.facts.with_article}
    names = [f"the {topic}" if topic in with_article else topic for topic in question.topic_entities]
    text = phrasing.format(**dict(zip("ab", names, strict=False)))
    return text[0].upper() + text[1:] == question.question


def test_each_split_has_its_share_of_the_phrasings() -> None:
    for pattern in PATTERNS:
        shares = split_phrasings(pattern.name, pattern.phrasings, seed=3)
        assert [len(shares[split]) for split in SPLITS] == [len(pattern.phrasings) - 3, 1, 2]
        assert sorted(text for share in shares.values() for text in share) == sorted(pattern.phrasings)


def test_gold_is_what_following_the_path_by_hand_gives(world: World) -> None:
    for question in everything(world):
        ends = []
        for chain in chains_of(question):
            entities = set(world.graph.resolve(chain.topic))
            for hop in chain.steps:
                assert isinstance(hop, Hop)
                entities = {
                    end
                    for entity in entities
                    for end in (world.graph.tails if hop.direction == "tail" else world.graph.heads)(
                        entity, hop.relation
                    )
                }
            ends.append(entities)
        labels = sorted(world.graph.labels(set.intersection(*ends)))
        assert [aliases[0] for aliases in question.gold] == labels, question


def test_walks_are_narrow_and_whole(world: World) -> None:
    for question in everything(world):
        assert 1 <= len(question.gold) <= MAX_SET
        assert question.num_hops is not None
        assert question.num_hops == sum(chain.num_hops for chain in chains_of(question)) <= 4
        for chain in chains_of(question):
            entities = world.graph.resolve(chain.topic)
            for hop in chain.steps:
                assert isinstance(hop, Hop)
                assert all(step(world.graph, [entity], hop) for entity in entities)
                entities = step(world.graph, entities, hop)
                assert len(entities) <= MAX_SET


def test_no_question_holds_its_answer(world: World) -> None:
    for question in everything(world):
        words = " " + re.sub(r"[\W_]+", " ", fold(question.question)) + " "
        for aliases in question.gold:
            for alias in aliases:
                told = " " + re.sub(r"[\W_]+", " ", fold(alias)).strip() + " "
                assert told not in words, (question.question, alias)


def test_a_told_answer_is_noticed_in_any_spelling() -> None:
    assert holds_answer("What is the capital of São Tomé?", [("Sao Tome",)])
    assert holds_answer("Where is Port Vila Airport?", [("Port-Vila",)])
    assert holds_answer("Which city is Washington D.C. next to?", [("x", "washington d.c.")])
    assert not holds_answer("What is the capital of Romania?", [("Oman",)])
    assert not holds_answer("Where is Mexico?", [("Mexico City",)])


def test_topics_and_answers_are_unambiguous_but_for_the_type_about_namesakes(world: World) -> None:
    for question in everything(world):
        for topic in question.topic_entities:
            num_meant = len(world.graph.resolve(topic))
            assert num_meant > 1 if question.question_type == "namesake_countries" else num_meant == 1
        for aliases in question.gold:
            (answer,) = world.graph.resolve(aliases[0])
            assert world.graph.name(answer) == world.graph.label(answer) == aliases[0]


def test_namesakes_are_cities_in_several_countries(world: World) -> None:
    asked = [q for q in everything(world) if q.question_type == "namesake_countries"]
    assert len(asked) > 50
    for question in asked:
        entities = world.graph.resolve(question.topic_entities[0])
        assert all(world.graph.entity_id(entity).startswith("city:") for entity in entities)
        assert len(question.gold) >= 2
    chains = pattern_by_name()["namesake_countries"].chains
    assert [chain.topic_kind for chain in chains] == [NAMESAKE]


def test_conjunctive_answers_need_both_walks(world: World) -> None:
    asked = [question for question in everything(world) if is_conjunctive(question)]
    assert len(asked) == 2000 + 100 + 200
    for question in asked:
        assert len(question.topic_entities) == 2
        assert ("intersect", "1") in question.path
        for chain in chains_of(question):
            entities = world.graph.resolve(chain.topic)
            for hop in chain.steps:
                assert isinstance(hop, Hop)
                entities = step(world.graph, entities, hop)
            assert len(entities) > len(question.gold)


def test_a_conjunctive_question_by_hand(world: World) -> None:
    asked = [q for q in everything(world) if q.question_type == "common_neighbours"]
    by_topics = {frozenset(q.topic_entities): {aliases[0] for aliases in q.gold} for q in asked}
    known = {
        frozenset({"Laos", "Mongolia"}): {"China"},
        frozenset({"Yemen", "Oman"}): {"Saudi Arabia"},
        frozenset({"Norway", "Estonia"}): {"Russia"},
        frozenset({"Bolivia", "Uruguay"}): {"Argentina", "Brazil"},
        frozenset({"Spain", "Belgium"}): {"France"},
        frozenset({"Germany", "Spain"}): {"France"},
        frozenset({"Jordan", "Kuwait"}): {"Iraq", "Saudi Arabia"},
        frozenset({"Peru", "Paraguay"}): {"Bolivia", "Brazil"},
    }
    found = known.keys() & by_topics.keys()
    assert len(found) >= 2
    assert {topics: by_topics[topics] for topics in found} == {topics: known[topics] for topics in found}


def test_another_seed_makes_other_questions_of_the_sizes_asked_for(world: World) -> None:
    made = make_questions(world.facts, world.graph, seed=1, sizes=Sizes(train=101, val=7, test=30))
    assert {split: len(questions) for split, questions in made.items()} == {
        "train": 101,
        "val": 7,
        "test": 30,
    }
    first = {question.question for question in world.questions["test"]}
    assert len(first & {question.question for question in made["test"]}) < 15


def test_splits_depend_on_the_seed_alone(world: World) -> None:
    splits = split_entities(world.facts, seed=5)
    assert splits == split_entities(world.facts, seed=5)
    assert splits != split_entities(world.facts, seed=6)
    assert set(splits) == set(world.facts.names)
    countries = Counter(split for entity, split in splits.items() if entity.startswith("country:"))
    assert countries["test"] == pytest.approx(0.20 * countries.total(), abs=4)
    assert countries["val"] == pytest.approx(0.12 * countries.total(), abs=4)
    assert splits["city:2988507"] == splits["airport:CDG"] == splits["country:FR"]
    assert {split_name(f"name {n}", seed=0) for n in range(100)} == set(SPLITS)


def test_shares_are_even_as_far_as_the_capacities_go() -> None:
    assert even_shares([10, 10, 10], 6) == [2, 2, 2]
    assert even_shares([1, 10, 10], 9) == [1, 4, 4]
    assert even_shares([1, 2, 3], 100) == [1, 2, 3]
    assert even_shares([0, 5], 3) == [0, 3]
    assert even_shares([], 3) == []
