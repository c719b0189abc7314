"""A handle stands for a topic entity or a whole result, shown or not, and nothing else does."""

from __future__ import annotations

import pytest

from kg_r1.llm_agent.handles import MAX_HANDLE_ITEMS, ResultSets
from kg_r1.llm_agent.prompts import build_messages
from kg_r1.llm_agent.protocol import TurnKind
from kg_r1.llm_agent.query import Query, QueryProblem
from kg_r1.llm_agent.question import Question
from kg_r1.search.actions import ACTION_REGISTRY
from kg_r1.search.client import Retrieval
from kg_r1.search.specs import with_entity_form
from tests.llm_agent.playing import ANSWER, BORDERS, DOWN, MakeManager, RecordingClient, scripted

(TAILS,) = with_entity_form([ACTION_REGISTRY.spec("get_tail_entities")], "handle")
COUNTRIES = Retrieval(({"tail_entities": ["Spain", "Italy", "Cuba"]},), 0.0, 3)
LONG_NAME = "The Republic of the Islands of the Far and the Near Seas"
CAPITALS = '<think>now capital</think>\n<search>get_tail_entities("{}", "capital")</search>'


def resolved(results: ResultSets, entity: str | list[str]) -> str | list[str]:
    query = Query("get_tail_entities", {"entity_id": entity, "relation": "#1"})
    assert results.resolve(query, TAILS).arguments["relation"] == "#1"
    return results.resolve(query, TAILS).arguments["entity_id"]


def test_a_handle_is_every_item_of_its_result() -> None:
    results = ResultSets()
    assert results.add(["Spain", "Italy"]) == "#1"
    assert results.add(["Madrid"]) == "#2"
    assert resolved(results, "#1") == ["Spain", "Italy"]
    assert resolved(results, "# 2") == ["Madrid"]
    assert resolved(results, "#1 except  spain") == ["Italy"]
    assert resolved(results, "#1 except Atlantis") == ["Spain", "Italy"]


def test_topic_entities_have_the_first_numbers() -> None:
    results = ResultSets(["Spain", "Cuba"])
    assert results.add(["Italy", "cuba", "Malta"]) == "#3"
    assert resolved(results, "#2") == ["Cuba"]
    assert resolved(results, "#3 except #2") == ["Italy", "Malta"]
    assert resolved(results, "#3 except #3") == []


def test_what_is_excepted_may_look_like_a_handle_only_as_a_whole() -> None:
    results = ResultSets(["#1 Crush"])
    results.add(["#1 Crush", "#1 except Spain", "Spain"])
    assert resolved(results, "#2 except #1 Crush") == ["#1 except Spain", "Spain"]
    assert resolved(results, "#2 except #1 except Spain") == ["#1 Crush", "Spain"]
    with pytest.raises(QueryProblem, match="there is no #7; so far there is #1 to #2"):
        resolved(results, "#2 except #7")


@pytest.mark.parametrize("name", ["Spain", "#one", "1", "#1 Crush", ["#1", "Spain"]])
def test_whatever_is_no_handle_stays_as_it_is(name: str | list[str]) -> None:
    results = ResultSets()
    results.add(["Spain"])
    assert resolved(results, name) == name


@pytest.mark.parametrize(
    ("num_results", "handle", "told"),
    [(0, "#1", "there is no result yet"), (1, "#2", "so far there is #1"), (3, "#0", "#1 to #3")],
)
def test_a_result_that_there_is_not_is_named(num_results: int, handle: str, told: str) -> None:
    results = ResultSets()
    for _ in range(num_results):
        results.add(["Spain"])
    with pytest.raises(QueryProblem, match=told):
        resolved(results, handle)


def test_a_result_too_large_to_search_from_is_refused() -> None:
    results = ResultSets()
    results.add([str(number) for number in range(MAX_HANDLE_ITEMS + 1)])
    with pytest.raises(QueryProblem, match="name some of them"):
        resolved(results, "#1")


async def test_a_query_by_handle_asks_for_what_was_not_shown_too(
    make_manager: MakeManager, question: Question
) -> None:
    client = RecordingClient(Retrieval(({"tail_entities": ["Spain", "Italy", LONG_NAME]},), 0.0, 3))
    policy = scripted(BORDERS, CAPITALS.format("#2 except Italy"), ANSWER)
    manager = make_manager(policy, client=client, entity_form="handle", max_obs_length=85)
    episode, _ = await manager.run_episode(question)
    assert episode.turns[0].observation == "\n<information>#2: Spain | Italy (+1 more)</information>\n"
    assert client.requests[1]["entity_id"] == ["Spain", LONG_NAME]
    assert episode.turns[1].query == {
        "action": "get_tail_entities",
        "arguments": {"entity_id": "#2 except Italy", "relation": "capital"},
    }
    assert (episode.turns[1].observation or "").startswith("\n<information>#3: ")


async def test_the_same_set_by_handle_and_by_name_is_one_question(
    make_manager: MakeManager, question: Question
) -> None:
    by_name = '<think>x</think><search>get_tail_entities(["Italy", "Cuba", "Spain"], "capital")</search>'
    manager = make_manager(
        scripted(BORDERS, by_name, CAPITALS.format("#2"), ANSWER),
        client=RecordingClient(COUNTRIES),
        entity_form="handle",
    )
    episode, _ = await manager.run_episode(question)
    assert [turn.is_repeated for turn in episode.turns] == [False, False, True, False]


async def test_a_handle_of_nothing_is_a_fault_of_the_turn(
    make_manager: MakeManager, question: Question
) -> None:
    client = RecordingClient(DOWN, COUNTRIES)
    manager = make_manager(
        scripted(BORDERS, CAPITALS.format("#2"), ANSWER), client=client, entity_form="handle"
    )
    episode, _ = await manager.run_episode(question)
    assert episode.turns[1].kind is TurnKind.MALFORMED
    assert episode.turns[1].problem == "there is no #2; so far there is #1"
    assert len(client.requests) == 1


async def test_a_topic_is_asked_for_by_its_number(make_manager: MakeManager, question: Question) -> None:
    client = RecordingClient(COUNTRIES)
    manager = make_manager(scripted(CAPITALS.format("#1"), ANSWER), client=client, entity_form="handle")
    episode, buffer = await manager.run_episode(question)
    assert client.requests[0]["entity_id"] == list(question.topic_entities)
    assert f"Topic: #1: {question.topic_entities[0]}" in manager.tokenizer.decode(buffer.prompt_ids)
    assert (episode.turns[0].observation or "").startswith("\n<information>#2: ")


async def test_without_handles_a_number_is_a_name(make_manager: MakeManager, question: Question) -> None:
    client = RecordingClient(COUNTRIES)
    manager = make_manager(scripted(BORDERS, CAPITALS.format("#1"), ANSWER), client=client)
    episode, _ = await manager.run_episode(question)
    assert client.requests[1]["entity_id"] == "#1"
    assert "#" not in (episode.turns[0].observation or "")


async def test_where_one_name_is_the_form_a_list_is_a_fault(
    make_manager: MakeManager, question: Question
) -> None:
    listed = '<think>x</think><search>get_tail_entities(["France", "Spain"], "capital")</search>'
    manager = make_manager(scripted(listed, ANSWER), client=RecordingClient(COUNTRIES), entity_form="name")
    episode, _ = await manager.run_episode(question)
    assert episode.turns[0].problem == "argument entity_id takes one name, not a list"


def test_the_prompt_offers_the_forms_that_there_are(question: Question) -> None:
    specs = [ACTION_REGISTRY.spec("get_tail_entities")]
    told = {
        form: build_messages(question, with_entity_form(specs, form))[0]["content"]
        for form in ("name", "list", "handle")
    }
    assert "list" not in told["name"]
    assert told["list"].endswith("May be a list: entity_id")
    assert told["handle"].endswith(
        'May be a list, "#1" for all that is listed as #1, "#1 except NAME" or "#2 except #1": entity_id'
    )
    full = build_messages(question, with_entity_form(specs, "handle"), "full")[0]["content"]
    assert 'or "#1" for all that is listed as #1, or "#1 except NAME" or "#2 except #1"' in full
