"""A batch: each request stands alone, whatever is in it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg_r1.search.actions import (
    ACTION_REGISTRY,
    ActionHandler,
    ActionRegistry,
    BaseAction,
    GetRelationsAction,
)
from kg_r1.search.errors import CODES, KGError
from kg_r1.search.server import KnowledgeGraphRetriever

GOOD: dict[str, Any] = {
    "action_type": "get_tail_entities",
    "dataset_name": "world",
    "entity_id": "France",
    "relation": "capital",
}
SAMPLE: dict[str, Any] = {
    **GOOD,
    "dataset_name": "webqsp",
    "sample_id": "s1",
    "entity_id": "m.1",
    "relation": "type",
}


def without(request: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != field}


BAD: list[tuple[Any, str, str]] = [
    (None, "invalid_field", "not null"),
    (7, "invalid_field", "not a number"),
    (True, "invalid_field", "not a truth value"),
    ("get_relations", "invalid_field", "not text"),
    ([GOOD], "invalid_field", "not a list"),
    ({}, "missing_field", "'action_type' is missing"),
    ({"action_type": None}, "missing_field", "'action_type' is missing"),
    ({**GOOD, "action_type": ["get_relations"]}, "invalid_field", "'action_type' must be text"),
    ({**GOOD, "action_type": "get_everything"}, "unknown_action", "Actions: get_relations, "),
    ({**GOOD, "action_type": "GET_RELATIONS"}, "unknown_action", "'GET_RELATIONS'"),
    (without(GOOD, "relation"), "missing_field", "'relation' is missing"),
    ({**GOOD, "relation": None}, "missing_field", "'relation' is missing"),
    (without(without(GOOD, "relation"), "entity_id"), "missing_field", "'entity_id', 'relation' are missing"),
    (without(GOOD, "dataset_name"), "missing_field", "'sample_id', 'dataset_name' are missing"),
    (without(SAMPLE, "sample_id"), "missing_field", "'sample_id' is missing"),
    ({**GOOD, "relation": 5}, "invalid_field", "'relation' must be text"),
    ({**GOOD, "relation": ["capital"]}, "invalid_field", "'relation' must be text"),
    ({**GOOD, "entity_id": {"name": "France"}}, "invalid_field", "'entity_id' must be a name or a list"),
    ({**GOOD, "entity_id": ["France", 5]}, "invalid_field", "'entity_id' must be a name or a list"),
    ({**GOOD, "entity_id": 5}, "invalid_field", "'entity_id' must be a name or a list"),
    ({**SAMPLE, "sample_id": 1}, "invalid_field", "'sample_id' must be text"),
    ({**GOOD, "dataset_name": "nope"}, "unknown_dataset", "Data sets: 'webqsp', 'world'"),
    ({**GOOD, "dataset_name": "../data_kg/world"}, "unknown_dataset", "there is no data set"),
    ({**SAMPLE, "sample_id": "s2"}, "unknown_sample", "has no sample 's2'"),
    ({**SAMPLE, "sample_id": "../subgraphs/s1"}, "unknown_sample", "has no sample"),
    ({**SAMPLE, "sample_id": "broken"}, "data_error", "broken.json: triple 1"),
    ({**GOOD, "entity_id": "Fra\x00nce\n\ud800" * 10_000}, "unknown_entity", "unknown entity"),
    ({**GOOD, "relation": "capi'\"tal\n\r\x00\ud800"}, "unknown_relation", "unknown relation"),
    ({**GOOD, "dataset_name": "wor\x00ld\ud800"}, "unknown_dataset", "there is no data set"),
    ({**SAMPLE, "sample_id": "\ud800\n/" * 10_000}, "unknown_sample", "has no sample"),
    ({**GOOD, "action_type": "\ud800\n"}, "unknown_action", "there is no action"),
]


@pytest.mark.parametrize(("request_", "code", "words"), BAD)
def test_a_bad_request_is_one_error_item(
    retriever: KnowledgeGraphRetriever, request_: Any, code: str, words: str
) -> None:
    before, item, after = retriever.retrieve_batch([GOOD, request_, SAMPLE])
    assert before["results"] == [{"tail_entities": ["Paris [q2]"]}]
    assert after["results"] == [{"tail_entities": ["author", "person"]}]
    assert (before["total_results"], item["total_results"], after["total_results"]) == (1, 0, 2)
    (result,) = item["results"]
    assert set(result) == {"error", "code"}
    assert result["code"] == code
    assert words in result["error"]
    assert len(result["error"]) <= 1000
    assert result["error"].splitlines() == [result["error"]]
    result["error"].encode("utf-8")


def test_every_code_a_server_gives_is_listed() -> None:
    assert {code for _, code, _ in BAD} | {"no_results", "action_failed"} <= set(CODES)
    assert len(set(CODES)) == len(CODES)


def test_an_empty_batch_is_empty(retriever: KnowledgeGraphRetriever) -> None:
    assert retriever.retrieve_batch([]) == []


def test_the_sample_id_is_needed_only_where_graphs_differ(retriever: KnowledgeGraphRetriever) -> None:
    with_sample = retriever.retrieve({**GOOD, "sample_id": "anything"})
    assert with_sample["results"] == retriever.retrieve(GOOD)["results"]


def test_fields_an_action_does_not_know_are_let_pass(retriever: KnowledgeGraphRetriever) -> None:
    extra = {**GOOD, "topk": 3, "self": 1, "store": None, "model_config": {}, "": []}
    assert retriever.retrieve(extra)["results"] == [{"tail_entities": ["Paris [q2]"]}]


class Misbehaving(BaseAction):
    """Does what it is told."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def get_required_fields(self) -> list[str]:
        return ["dataset_name"]

    def execute(self, retriever: KnowledgeGraphRetriever, request_data: dict[str, Any]) -> dict[str, Any]:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (ZeroDivisionError("secret"), "broke with ZeroDivisionError"),
        (RecursionError(), "broke with RecursionError"),
        (KGError("out of order"), "out of order"),
        (None, "answered with NoneType"),
        (["x"], "answered with list"),
        ({"x": {1, 2}}, "what JSON cannot hold"),
        ({"x": float("nan")}, "what JSON cannot hold"),
        ({"x": CIRCLE}, "what JSON cannot hold"),
        ({"error": "no\nluck"}, "no luck"),
        ({"error": {"why": 1}}, "{'why': 1}"),
    ],
)
def test_an_action_that_fails_fails_alone(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry, outcome: Any, words: str
) -> None:
    registry["misbehave"] = Misbehaving(outcome)
    item, good = retriever.retrieve_batch([{"action_type": "misbehave", "dataset_name": "world"}, GOOD])
    assert item["results"][0]["code"] == "action_failed"
    assert words in item["results"][0]["error"]
    assert "secret" not in item["results"][0]["error"]
    assert good["total_results"] == 1


def test_a_broken_action_is_logged_with_its_traceback(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry["misbehave"] = Misbehaving(ZeroDivisionError("secret"))
    with caplog.at_level(logging.ERROR):
        retriever.retrieve({"action_type": "misbehave", "dataset_name": "world"})
    assert "ZeroDivisionError: secret" in caplog.text


def test_an_action_may_name_its_own_code(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry
) -> None:
    registry["misbehave"] = Misbehaving({"error": "nothing", "code": "no_results"})
    item = retriever.retrieve({"action_type": "misbehave", "dataset_name": "world"})
    assert item["results"] == [{"error": "nothing", "code": "no_results"}]


@pytest.mark.parametrize(
    ("outcome", "total"),
    [
        ({"a": ["x", "y"], "b": ["z"]}, 3),
        ({"a": "x"}, 1),
        ({"a": []}, 0),
        ({"a": None, "unknown_entities": ["x"]}, 0),
    ],
)
def test_totals_count_listed_items(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry, outcome: dict[str, Any], total: int
) -> None:
    registry["misbehave"] = Misbehaving(outcome)
    item = retriever.retrieve({"action_type": "misbehave", "dataset_name": "world"})
    assert (item["results"], item["total_results"]) == ([outcome], total)


def test_an_action_that_cannot_be_made_fails_alone(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry
) -> None:
    class Unmakeable(GetRelationsAction):
        def __init__(self, store: Any) -> None:
            raise OSError("no disk")

    registry["unmakeable"] = Unmakeable
    item = retriever.retrieve({**GOOD, "action_type": "unmakeable"})
    assert item["results"][0]["code"] == "action_failed"


def test_a_replaced_action_answers_at_once(
    retriever: KnowledgeGraphRetriever, registry: ActionRegistry
) -> None:
    class Fixed(ActionHandler):
        def execute(self, sample_id: str, dataset_name: str, entity_id: str) -> dict[str, Any]:
            return {"relations": [entity_id]}

    request = {**GOOD, "action_type": "get_relations"}
    assert retriever.retrieve(request)["total_results"] == 5
    registry["get_relations"] = Fixed
    # Found by id or in another case, the entity reaches the action as the label that load_subgraph shows.
    assert retriever.retrieve({**request, "entity_id": "q1"})["results"] == [{"relations": ["France"]}]
    listed = retriever.retrieve({**request, "entity_id": ["France"]})["results"][0]
    assert (listed["code"], "takes one name" in listed["error"]) == ("invalid_field", True)


def test_a_plain_mapping_serves_as_registry(retriever: KnowledgeGraphRetriever) -> None:
    plain = KnowledgeGraphRetriever(retriever.store, {"get_relations": GetRelationsAction})
    assert list(plain.registry) == ["get_relations"]
    assert plain.retrieve(GOOD)["results"][0]["code"] == "unknown_action"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["action_type", "dataset_name", "sample_id", "entity_id", "relation", "concept", "self"]
REQUESTS = st.dictionaries(
    st.sampled_from(FIELDS),
    JSON_VALUES | st.sampled_from([*ACTION_REGISTRY, "world", "webqsp", "s1", "France", "capital"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(requests=st.lists(JSON_VALUES | REQUESTS, max_size=5))
def test_any_batch_gives_one_documented_item_each(
    retriever: KnowledgeGraphRetriever, requests: list[Any]
) -> None:
    items = retriever.retrieve_batch(requests)
    assert len(items) == len(requests)
    assert json.loads(json.dumps(items)) == items
    for item in items:
        assert set(item) == {"results", "query_time", "total_results"}
        (result,) = item["results"]
        assert result.get("code", "no_results") in CODES
        assert "action_failed" not in result.values()
