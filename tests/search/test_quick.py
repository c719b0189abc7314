"""Quick answers: the same as the general way, and only where nothing needs judging."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import QUICK_ACTIONS, GetTailEntitiesAction, action_registry
from kg_r1.search.answer_cache import BYTES_BESIDE, AnswerCache, Key
from kg_r1.search.registry import ActionRegistry
from kg_r1.search.retriever import KnowledgeGraphRetriever

LETTERS = ["a", "A", "b", 'q"', "back\\slash", "é", "N [a]", "😀", "new\nline", "hub"]
NUM_LEAVES = 40
RELATIONS = ["r", "s", 't"u']


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeGraphRetriever:
    """Graphs of entities with hostile ids, shared names and one hub with a long listing."""
    base = tmp_path_factory.mktemp("quick")
    (base / "samples" / "subgraphs").mkdir(parents=True)
    for sample in range(3):
        draw = random.Random(sample)
        triples = [[draw.choice(LETTERS), draw.choice(RELATIONS), draw.choice(LETTERS)] for _ in range(25)]
        triples += [["hub", "r", f"leaf {number}"] for number in range(NUM_LEAVES)]
        path = base / "samples" / "subgraphs" / f"s{sample}.json"
        path.write_text(json.dumps({"triples": triples}))
    (base / "samples" / "names.tsv").write_text("a\tN\nb\tN\nhub\tThe Hub\nleaf 1\tThe Leaf\n")
    (base / "shared").mkdir()
    (base / "shared" / "triples.tsv").write_text("a\tr\tb\nhub\tr\ta\n")
    return KnowledgeGraphRetriever(GraphStore(base, max_cache_size=2), ActionRegistry(action_registry))


def without_time(item: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in item.items() if field != "query_time"}


def field_values() -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    odd = st.sampled_from([None, 5, "", "\ud800", ["a", "hub"], {"a": 1}])
    texts = st.sampled_from([*LETTERS, "N", "The Hub", "the hub", "N [b]", "leaf 3", "nobody"])
    yield "action_type", st.sampled_from([*QUICK_ACTIONS, "get_conditional_relations", "no_action"])
    yield "dataset_name", st.sampled_from(["samples", "samples", "shared", "nothing"])
    yield "sample_id", st.sampled_from(["s0", "s1", "s2", "s9"]) | odd
    yield "entity_id", texts | texts | odd
    yield "relation", st.sampled_from([*RELATIONS, *RELATIONS, "no relation"]) | odd


FIELDS = dict(field_values())
REQUESTS = st.fixed_dictionaries(
    {name: FIELDS[name] for name in ("action_type", "dataset_name", "entity_id")},
    optional={
        "sample_id": FIELDS["sample_id"],
        "relation": FIELDS["relation"],
        "concept": st.sampled_from(["r", 7]),
        "limit": st.sampled_from([1, 0, "2"]),
        "own": st.none(),
    },
)


@settings(max_examples=600, deadline=None)
@given(REQUESTS)
def test_quick_or_not_the_answer_is_the_same(
    retriever: KnowledgeGraphRetriever, request_: dict[str, Any]
) -> None:
    general = without_time(retriever.retrieve(request_))
    quick = retriever.quick(request_)
    if quick is not None:
        item = json.loads(quick)
        assert 0 <= item["query_time"] < 60
        assert without_time(item) == general
    assert retriever.quick(request_) is None or "error" not in general["results"][0]


@pytest.mark.parametrize(
    ("action", "entity", "relation", "count"),
    [
        ("get_tail_entities", "hub", "r", NUM_LEAVES),
        ("get_tail_entities", "The Hub", "r", NUM_LEAVES),
        ("get_head_entities", "leaf 3", "r", 1),
        ("get_tail_relations", "hub", None, None),
        ("get_head_relations", "The Leaf", None, 1),
        ("get_relations", "hub", None, None),
        ("get_relations", "N", None, None),
        ("get_tail_entities", "N", "s", None),
    ],
)
def test_plain_requests_are_quick(
    retriever: KnowledgeGraphRetriever, action: str, entity: str, relation: str | None, count: int | None
) -> None:
    request = {"action_type": action, "dataset_name": "samples", "sample_id": "s0", "entity_id": entity}
    if relation is not None:
        request["relation"] = relation
    general = without_time(retriever.retrieve(request))
    for _ in range(3):  # the third time from what was kept
        quick = retriever.quick(request)
        assert quick is not None
        assert without_time(json.loads(quick)) == general
    assert count is None or general["total_results"] == count


@pytest.mark.parametrize("request_", [None, 5, "text", [], {}, {"action_type": ["a"]}, {"action_type": {}}])
def test_what_is_no_request_is_left_to_the_general_way(
    retriever: KnowledgeGraphRetriever, request_: object
) -> None:
    assert retriever.quick(request_) is None


def test_a_replaced_action_is_never_answered_for(retriever: KnowledgeGraphRetriever) -> None:
    class Own(GetTailEntitiesAction):
        """Answers otherwise."""

        def execute(self, sample_id: str, dataset_name: str, **kwargs: Any) -> dict[str, Any]:
            return {"own": ["answer"]}

    request = {
        "action_type": "get_tail_entities",
        "dataset_name": "shared",
        "entity_id": "a",
        "relation": "r",
    }
    own = KnowledgeGraphRetriever(retriever.store, ActionRegistry(retriever.registry))
    assert own.retrieve(request)["total_results"] == 1
    assert own.quick(request) is not None
    own.registry["get_tail_entities"] = Own
    assert own.quick(request) is None
    assert own.retrieve(request)["results"] == [{"own": ["answer"]}]
    del own.registry["get_tail_entities"]
    assert own.quick(request) is None


def test_after_a_clear_the_files_are_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "kg").mkdir()
    (tmp_path / "kg" / "triples.tsv").write_text("a\tr\tb\n")
    retriever = KnowledgeGraphRetriever(GraphStore(tmp_path))
    request = {"action_type": "get_tail_entities", "dataset_name": "kg", "entity_id": "a", "relation": "r"}
    assert retriever.quick(request) is None, "nothing is mapped yet"
    retriever.retrieve(request)
    assert b'["b"]' in (retriever.quick(request) or b"")
    (tmp_path / "kg" / "triples.tsv").write_text("a\tr\tsomething else\n")
    assert b'["b"]' in (retriever.quick(request) or b"")
    retriever.store.clear_cache()
    assert retriever.quick(request) is None
    assert retriever.retrieve(request)["results"] == [{"tail_entities": ["something else"]}]
    assert b'["something else"]' in (retriever.quick(request) or b"")


def test_limit_and_offset_cut_the_list_and_tell_the_total(retriever: KnowledgeGraphRetriever) -> None:
    request = {
        "action_type": "get_tail_entities",
        "dataset_name": "samples",
        "sample_id": "s0",
        "entity_id": "hub",
        "relation": "r",
    }
    everything = retriever.retrieve(request)["results"][0]["tail_entities"]
    total = len(everything)
    for limit, offset in ((3, None), (3, 2), (None, 5), (100_000, 0), (2, 100_000)):
        page = retriever.retrieve({**request, "limit": limit, "offset": offset})
        start = offset or 0
        assert page["results"][0]["tail_entities"] == everything[start:][:limit]
        assert page["total_results"] == total
    for field, value in (("limit", 0), ("limit", True), ("limit", "3"), ("offset", -1), ("offset", 1.5)):
        item = retriever.retrieve({**request, field: value})["results"][0]
        assert item["code"] == "invalid_field" and field in item["error"], item


def test_a_cache_of_answers_keeps_what_is_asked_for_again() -> None:
    cache = AnswerCache(max_bytes=20 * (BYTES_BESIDE + 10))
    keys: list[Key] = [("action", "kg", None, f"entity {number}", None) for number in range(40)]
    cache.offer(keys[0], (b"x" * 10, b"0"))
    assert cache.get(keys[0]) is None, "asked for once"
    for number, key in enumerate(keys):
        for _ in range(2):
            cache.offer(key, (b"x" * 10, b"%d" % number))
        assert cache.get(keys[0]) == (b"x" * 10, b"0")
    assert cache.get(keys[39]) == (b"x" * 10, b"39")
    assert cache.get(keys[5]) is None
    for _ in range(3):
        cache.offer(keys[5], (b"y" * 10_000, b"5"))
    assert cache.get(keys[5]) is None, "too long to take others' place"
    cache.clear()
    assert cache.get(keys[39]) is None
