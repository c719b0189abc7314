"""The synthetic world: how many facts, which names, what changes with time."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from string import Formatter

import pytest

from kblampp.errors import ConfigError
from kblampp.offline.gen_synth_world import main
from kblampp.offline.grammar import ENTITY_KINDS, UNSEEN_RELATIONS
from kblampp.offline.synth_world import RELATIONS, world_facts
from tests.kblampp.offline.conftest import Place


@pytest.mark.parametrize("num_facts", [200, 201, 999, 5000])
@pytest.mark.parametrize("is_confusable", [False, True])
def test_a_world_has_exactly_the_facts_asked_for(num_facts: int, is_confusable: bool) -> None:
    for seed in range(3):
        facts = list(world_facts(num_facts, seed, is_confusable))
        assert [fact.id for fact in facts] == [f"f{number:06d}" for number in range(num_facts)]


@pytest.mark.parametrize("num_facts", [199, 1_000_001])
def test_other_sizes_are_refused(num_facts: int, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="200 to 1,000,000"):
        world_facts(num_facts, 0)
    assert main(place.arguments(f"pipeline.num_facts={num_facts}")) == 2
    assert capsys.readouterr().err == (
        f"error [config_error]: pipeline.num_facts is {num_facts}; it can be 200 to 1,000,000\n"
    )
    assert not place.facts_path.exists()


def test_a_million_facts_start_at_once() -> None:
    first = next(iter(world_facts(1_000_000, 0)))
    assert first.id == "f000000"


def test_every_fact_stands_in_its_sentence(world: Place) -> None:
    for fact in world.facts():
        assert fact.head in fact.context or fact.head.lower() in fact.context.lower()
        assert fact.tail.lower() in fact.context.lower()
        for side in (fact.time_window.start, fact.time_window.end):
            assert side is None or str(side.year) in fact.context


def test_values_of_one_head_follow_each_other_without_overlap(world: Place) -> None:
    values = defaultdict(list)
    for fact in world.facts():
        assert fact.time_window.is_timeless != RELATIONS[fact.relation].is_temporal
        values[fact.head, fact.relation].append(fact)
    assert max(map(len, values.values())) == 3
    for facts in values.values():
        for one, other in combinations(facts, 2):
            assert not one.time_window.overlaps(other.time_window)
            assert one.tail != other.tail


def test_tails_lead_on_to_heads(world: Place) -> None:
    heads = {fact.head for fact in world.facts()}
    leading = [fact for fact in world.facts() if RELATIONS[fact.relation].leads_on]
    assert sum(fact.tail in heads for fact in leading) > 0.75 * len(leading)


def test_the_grammar_keeps_its_promises() -> None:
    assert len(RELATIONS) >= 14
    assert set(RELATIONS) >= UNSEEN_RELATIONS
    assert len({relation.tail_kind for relation in RELATIONS.values()} - set(ENTITY_KINDS)) == 6
    asked: Counter[str] = Counter()
    for relation in RELATIONS.values():
        assert len(relation.contexts) >= 3
        assert len(relation.train.questions) >= 4
        assert len(relation.held_out.questions) >= 2
        assert bool(relation.train.phrases) == bool(relation.held_out.phrases) == relation.leads_on
        own = {*relation.train.questions} if relation.name not in UNSEEN_RELATIONS else set()
        asked.update(own | {*relation.held_out.questions})
        wanted = {"h", "w"} if relation.is_temporal else {"h"}
        for question in (*relation.train.questions, *relation.held_out.questions):
            assert {name for _, name, _, _ in Formatter().parse(question) if name} == wanted, question
            assert question.endswith("?")
    assert asked.most_common(1)[0][1] == 1, "two relations share a wording"


def test_confusable_names_share_their_words() -> None:
    def words(is_confusable: bool) -> tuple[int, int]:
        facts = list(world_facts(3000, 0, is_confusable))
        people = {fact.head for fact in facts if RELATIONS[fact.relation].head_kind == "person"}
        return len(people), len({name.split()[0] for name in people})

    num, num_firsts = words(False)
    assert num == num_firsts
    num, num_firsts = words(True)
    assert num > 150
    assert num_firsts <= 20


def test_the_same_seed_gives_the_same_bytes(place: Place) -> None:
    written = []
    for seed in (1, 1, 2):
        assert main(place.arguments("pipeline.num_facts=300", f"pipeline.seed={seed}")) == 0
        written.append(place.facts_path.read_bytes())
    assert written[0] == written[1] != written[2]
