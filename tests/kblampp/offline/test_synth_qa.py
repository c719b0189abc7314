"""Questions about the synthetic world: who may ask what, and that one answer alone is right."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise, product
from pathlib import Path

import pytest

from kblampp.name_words import words_of
from kblampp.offline.gen_synth_qa import main
from kblampp.offline.gen_synth_world import main as make_world
from kblampp.offline.grammar import UNSEEN_RELATIONS, without_time
from kblampp.offline.grammar_more import MORE
from kblampp.offline.synth_world import RELATIONS
from kblampp.questions import REFUSAL
from kblampp.quintuples import Quintuple
from tests.kblampp.offline.conftest import Place, place_in

FUNCTION_WORDS = {"the", "of", "a", "an", "in", "is", "was", "did", "does", "which", "what", "who"}


def by_head_and_relation(facts: list[Quintuple]) -> dict[tuple[str, str], list[Quintuple]]:
    table = defaultdict(list)
    for fact in facts:
        table[fact.head, fact.relation].append(fact)
    return table


def test_shares_of_the_types_are_those_of_the_config(world: Place) -> None:
    kinds = [question.type for question in world.questions()["train"]]
    numbers = {kind: kinds.count(kind) for kind in set(kinds)}
    assert numbers == {"multi-hop": 240, "temporal": 90, "unanswerable": 60, "single-hop": 210}
    hops = [question.num_hops for question in world.questions()["train"] if question.type == "multi-hop"]
    assert (hops.count(2), hops.count(3)) == (144, 96)


def test_neither_heads_nor_facts_nor_wordings_are_shared(world: Place) -> None:
    facts = {fact.id: fact for fact in world.facts()}
    questions = world.questions()
    used = {name: {id_ for one in asked for id_ in one.supporting_facts} for name, asked in questions.items()}
    assert not used["train"] & (used["dev"] | used["test"])
    assert not used["dev"] & used["test"]
    train_heads = {facts[id_].head for id_ in used["train"]}
    for split in ("dev", "test"):
        firsts = {facts[one.supporting_facts[0]].head for one in questions[split] if one.supporting_facts}
        assert not firsts & train_heads
    texts = [{one.question for one in asked} for asked in questions.values()]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert sum(map(len, texts)) == sum(map(len, questions.values()))


def test_more_wordings_of_training_are_not_nearly_those_held_out() -> None:
    def words(template: str) -> set[str]:
        return set(words_of(template.format(h="", w=""))) - FUNCTION_WORDS

    assert set(MORE) == set(RELATIONS) - UNSEEN_RELATIONS
    for name, more in MORE.items():
        for ours, held_out in (
            (more.questions, RELATIONS[name].held_out.questions),
            (more.phrases, RELATIONS[name].held_out.phrases),
        ):
            for one, other in product(ours, held_out):
                shared = words(one) & words(other)
                assert len(shared) <= len(words(one) | words(other)) / 2, (one, other)


def test_held_out_questions_are_tagged(world: Place) -> None:
    facts = {fact.id: fact for fact in world.facts()}
    for split, asked in world.questions().items():
        for one in asked:
            relations = {facts[id_].relation for id_ in one.supporting_facts}
            assert ("unseen-relation" in one.tags) == bool(relations & UNSEEN_RELATIONS)
            is_held_out = {"unseen-head", "unseen-phrasing"} <= set(one.tags)
            assert is_held_out == (split != "train")
            assert split != "train" or not one.tags


def test_one_fact_alone_answers(world: Place) -> None:
    facts = {fact.id: fact for fact in world.facts()}
    table = by_head_and_relation(world.facts())
    for asked in world.questions().values():
        for one in asked:
            chain = [facts[id_] for id_ in one.supporting_facts]
            assert all(before.tail == after.head for before, after in pairwise(chain))
            if chain:
                assert chain[-1].tail == one.answer
                assert chain[0].head in one.question and one.answer not in one.question
            for fact in chain:
                rivals = [
                    other
                    for other in table[fact.head, fact.relation]
                    if other.time_window.overlaps(one.question_time)
                ]
                assert rivals == [fact], one


def test_a_temporal_question_names_its_time_among_several_values(world: Place) -> None:
    facts = {fact.id: fact for fact in world.facts()}
    table = by_head_and_relation(world.facts())
    temporal = [one for one in world.questions()["test"] if one.type == "temporal"]
    assert len(temporal) == 18
    for one in temporal:
        (fact,) = (facts[id_] for id_ in one.supporting_facts)
        assert len(table[fact.head, fact.relation]) > 1
        start, end = one.question_time.start, one.question_time.end
        assert start is not None and end is not None
        assert str(start.year) in one.question and str(end.year) in one.question


def test_what_is_unanswerable_has_no_fact(world: Place) -> None:
    facts = world.facts()
    heads = {fact.head for fact in facts}
    table = by_head_and_relation(facts)
    married = {fact.tail for fact in facts if fact.relation == "spouse"}
    templates = {
        without_time(template): relation.name
        for relation in RELATIONS.values()
        for template in relation.train.questions
    }
    num_known = 0
    for one in world.questions()["train"]:
        if one.type != "unanswerable":
            continue
        assert one.answer == REFUSAL
        for head in (head for head in heads if head in one.question):
            for form, relation in templates.items():
                if one.question.startswith(form.format(h=head).rstrip("?")):
                    num_known += 1
                    assert (head, relation) not in table
                    assert relation != "spouse" or head not in married
    assert 20 <= num_known <= 40


def test_answers_may_stand_in_sentences(place: Place) -> None:
    arguments = place.arguments("pipeline.num_facts=600", "pipeline.answer_form=sentence")
    assert make_world(arguments) == 0
    assert main(arguments) == 0
    facts = {fact.id: fact for fact in place.facts()}
    for one in place.questions()["test"]:
        last = facts[one.supporting_facts[-1]] if one.supporting_facts else None
        assert one.answer == (f"The {last.relation} is {last.tail}." if last else REFUSAL)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        place = place_in(tmp_path / name)
        arguments = place.arguments(
            "pipeline.num_facts=600", "pipeline.num_train_questions=100", f"pipeline.seed={seed}"
        )
        assert make_world(arguments) == 0
        assert main(arguments) == 0
        made.append(place.bytes())
    assert made[0] == made[1] != made[2]


def test_few_facts_give_few_questions_and_one_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = place.arguments("pipeline.num_facts=200")
    assert make_world(arguments) == 0
    capsys.readouterr()
    assert main(arguments) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: the facts give only ")
    assert all(place.questions().values())


def test_a_foreign_relation_is_refused_with_its_line(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {"id": "a", "head": "Ana", "relation": "spouse", "tail": "Bo"},
        {"id": "b", "head": "Ana", "relation": "shoe size", "tail": "40"},
    ]
    place.facts_path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert main(place.arguments()) == 2
    assert capsys.readouterr().err == (
        f"error [data_error]: {place.facts_path}:2: the synthetic world has no relation 'shoe size'\n"
    )
