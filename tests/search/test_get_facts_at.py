"""`get_facts_at` over a small data set with timed facts, and over the real facts beside TempQA-WD."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from kg_r1.data.tempqa import DATASET, SOURCE_FILE, build_tempqa
from kg_r1.kg.store import GraphStore
from kg_r1.search.actions import ActionRegistry
from kg_r1.search.optional_actions import enable
from kg_r1.search.server import KnowledgeGraphRetriever

TIMED = """\
q1\thead_of_state\tq2\t1981-05-21\t1995-05-17
q1\thead_of_state\tq4\t1995-05-17\t2007
q1\tcapital\tq2\t0987\t
q8\trival_of\tq1\t-0052-09\t-0050
q1\ttwin\tq1\t1900\t1900
"""


@pytest.fixture
def timed(retriever: KnowledgeGraphRetriever, registry: ActionRegistry) -> KnowledgeGraphRetriever:
    enable(registry, ["get_facts_at"])
    (retriever.store.base_data_path / "world" / "facts_timed.tsv").write_text(TIMED, encoding="utf-8")
    return retriever


def facts_at(retriever: KnowledgeGraphRetriever, entity: Any, time: Any, **fields: Any) -> dict[str, Any]:
    request = {"action_type": "get_facts_at", "dataset_name": "world", "entity_id": entity, "time": time}
    (result,) = retriever.retrieve({**request, **fields})["results"]
    return result


FIRST = "France | head_of_state | Paris [q2] | 1981-05-21 - 1995-05-17"
SECOND = "France | head_of_state | Paris [q4] | 1995-05-17 - 2007"
CAPITAL = "France | capital | Paris [q2] | 0987 - open"


@pytest.mark.parametrize(
    ("entity", "time", "fields", "facts", "others"),
    [
        ("France", "1990", {}, [CAPITAL, FIRST], ["Paris [q2]"]),
        ("France", "1995", {"relation": "head_of_state"}, [FIRST, SECOND], ["Paris [q2]", "Paris [q4]"]),
        (
            "France",
            "1995-05-17",
            {"relation": "head_of_state"},
            [FIRST, SECOND],
            ["Paris [q2]", "Paris [q4]"],
        ),
        ("France", "1995-05-18", {"relation": "head_of_state"}, [SECOND], ["Paris [q4]"]),
        ("France", "2007-12-31", {"relation": "head_of_state"}, [SECOND], ["Paris [q4]"]),
        ("Paris [q4]", "2000", {}, [SECOND], ["France"]),
        ("Madrid", "-0050", {}, ["Madrid | rival_of | France | -0052-09 - -0050"], ["France"]),
        ("France", "1900", {"relation": "twin"}, ["France | twin | France | 1900"], []),
        (["Paris [q4]", "France"], "2000", {}, [CAPITAL, SECOND], ["Paris [q2]"]),
    ],
)
def test_what_holds(
    timed: KnowledgeGraphRetriever,
    entity: Any,
    time: str,
    fields: dict[str, str],
    facts: list[str],
    others: list[str],
) -> None:
    assert facts_at(timed, entity, time, **fields) == {"facts": facts, "other_ends": others}


@pytest.mark.parametrize(
    ("entity", "time", "fields", "code", "words"),
    [
        ("France", "now", {}, "invalid_field", "another day each day. Give a date: 1994"),
        ("France", "Today", {}, "invalid_field", "another day each day"),
        ("France", "95", {}, "invalid_field", "'95' is no date such as 1994"),
        ("France", "44 BC", {}, "invalid_field", "-0043 is 44 BCE"),
        ("France", 1995, {}, "invalid_field", "'time' must be text"),
        ("France", None, {}, "missing_field", "'time' is missing"),
        ("Frnace", "1995", {}, "unknown_entity", "'France'"),
        (
            "France",
            "1995",
            {"relation": "king"},
            "unknown_relation",
            "capital, head_of_state, rival_of, twin",
        ),
        (
            "France",
            "2010",
            {"relation": "head_of_state"},
            "no_results",
            "It has 2, with dates from 1981-05-21",
        ),
        ("France", "1995", {"relation": "borders"}, "no_results", "None of its facts says when it holds"),
        ("Texas", "1995", {}, "no_results", "no fact of 'Texas' holds at 1995"),
        (
            "m.1",
            "1995",
            {"dataset_name": "webqsp", "sample_id": "s1"},
            "no_results",
            "has no facts_timed.tsv",
        ),
        ("France", "1995", {"dataset_name": ".."}, "unknown_dataset", "'..'"),
    ],
)
def test_errors_are_typed(
    timed: KnowledgeGraphRetriever, entity: Any, time: Any, fields: dict[str, Any], code: str, words: str
) -> None:
    result = facts_at(timed, entity, time, **fields)
    assert result["code"] == code
    assert words in result["error"]


def test_a_bad_file_is_named_with_its_line(timed: KnowledgeGraphRetriever) -> None:
    path = timed.store.base_data_path / "world" / "facts_timed.tsv"
    path.write_text(f"{TIMED}q1\tr\tq2\t1995-02-30\t\n", encoding="utf-8")
    result = facts_at(timed, "France", "1995")
    assert result["code"] == "data_error"
    assert "facts_timed.tsv:6: '1995-02-30' has no day 30" in result["error"]


def test_an_entity_that_the_graph_lacks_is_an_error_of_the_data(timed: KnowledgeGraphRetriever) -> None:
    path = timed.store.base_data_path / "world" / "facts_timed.tsv"
    # "Texas" is a name here, and no id.
    path.write_text(f"{TIMED}q1\tr\tTexas\t1995\t\n", encoding="utf-8")
    result = facts_at(timed, "France", "1995")
    assert result["code"] == "data_error"
    assert "facts_timed.tsv:6: 'Texas' stands in no triple of the data set" in result["error"]
    assert "facts" in facts_at(timed, "Madrid", "-0050")


def test_a_part_of_a_graph_shows_what_lies_inside_it(timed: KnowledgeGraphRetriever) -> None:
    folder = timed.store.base_data_path / "webqsp"
    lines = "m.1\ttype\tauthor\t1995\t\nm.1\twrote\tm.99\t1995\t\n"
    (folder / "facts_timed.tsv").write_text(lines, encoding="utf-8")
    result = facts_at(timed, "m.1", "1996", dataset_name="webqsp", sample_id="s1")
    assert result == {"facts": ["m.1 | type | author | 1995 - open"], "other_ends": ["author"]}


@pytest.fixture(scope="module")
def tempqa(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> GraphStore:
    out = tmp_path_factory.mktemp("data_kg")
    text = build_tempqa(shared_data / "tempqa_wd", out)
    assert "20,131 triples, 22,703 timed facts, 13,345 entities, 234 relations" in text
    return GraphStore(out)


@pytest.fixture
def real(tempqa: GraphStore, registry: ActionRegistry) -> KnowledgeGraphRetriever:
    enable(registry, ["get_facts_at"])
    return KnowledgeGraphRetriever(tempqa, registry)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("entity", "time", "relation", "answer"),
    [
        # test-1090: which contest did the ballerina enter in 1999?
        ("Karina Sarkissova", "1999", "participant_in", "Prix de Lausanne"),
        # test-937: whom did the manager work for in 2006?
        ("Thomas Rabe", "2006", "employer", "Bertelsmann"),
        # test-1549: which acts were repealed in Australia in 1955?
        ("Salaries Adjustment Act 1955", "1955", "repealed_by", "Public Service Act 1951"),
        # test-1031: for which team did he play until 1960?
        ("Oscar Robertson", "1960", "member_of_sports_team", "Cincinnati Bearcats men's basketball"),
        ("Rome", "-0752", "country", "Roman Kingdom"),
    ],
)
def test_gold_facts_of_real_questions(
    real: KnowledgeGraphRetriever, entity: str, time: str, relation: str, answer: str
) -> None:
    result = facts_at(real, entity, time, relation=relation, dataset_name=DATASET)
    assert answer in result["other_ends"]
    assert any(answer in fact and time in fact for fact in result["facts"])


@pytest.mark.shared_data
def test_every_line_of_the_source_is_found_at_its_year(
    real: KnowledgeGraphRetriever, shared_data: Path
) -> None:
    lines = (shared_data / "tempqa_wd" / SOURCE_FILE).read_text(encoding="utf-8").splitlines()
    for line in random.Random(3).sample(lines, 200):
        head, relation, tail, time = line.split("\t")
        year = time.removeprefix('"')[: 5 if time.startswith('"-') else 4]
        result = facts_at(real, head, year, relation=relation, dataset_name=DATASET)
        name = tail.replace("_", " ")
        assert any(f" | {relation} | {name}" in fact for fact in result["facts"]), line
