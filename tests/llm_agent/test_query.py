"""Search bodies: what is read, what is refused and with which words, and when two queries are one."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.llm_agent.query import (
    MAX_QUERY_CHARS,
    Hint,
    Query,
    QueryProblem,
    call_form,
    parse_query,
    parse_tool_call,
)
from kg_r1.search.actions import ACTION_REGISTRY, ActionSpec, ArgumentSpec

SPECS = ACTION_REGISTRY.specs()
CAPITAL = Query("get_tail_entities", {"entity_id": "France", "relation": "capital"})


@pytest.mark.parametrize(
    "body",
    [
        'get_tail_entities("France", "capital")',
        "get_tail_entities('France', 'capital')",
        '  get_tail_entities( " France ",\n "capital" )  ',
        "get_tail_entities(“France”, “capital”)",
        "get_tail_entities(‘France’, ‘capital’)",
        'get_tail_entities("France", relation="capital")',
        'get_tail_entities(relation="capital", entity_id="France")',
        '{"action_type": "get_tail_entities", "entity_id": "France", "relation": "capital"}',
        '{"action_type": "get_tail_entities", "sample_id": "7", "dataset_name": "webqsp", '
        '"entity_id": " France ", "relation": "capital", "concept": null}',
        'get_tail_entities("France", "capital", sample_id="7")',
    ],
)
def test_one_query_in_many_spellings(body: str) -> None:
    assert parse_query(body, SPECS) == CAPITAL


@pytest.mark.parametrize(
    "body",
    [
        'get_tail_entities(["France", " Spain "], "capital")',
        '{"action_type": "get_tail_entities", "entity_id": ["France", "Spain"], "relation": "capital"}',
    ],
)
def test_a_list_of_entities(body: str) -> None:
    assert parse_query(body, SPECS).arguments == {"entity_id": ["France", "Spain"], "relation": "capital"}


@pytest.mark.parametrize(
    "body",
    [
        'get_tail_relations("Côte d’Ivoire")',
        "get_tail_relations(“Côte d’Ivoire”)",
        '{"action_type": "get_tail_relations", "entity_id": "Côte d’Ivoire"}',
    ],
)
def test_a_typographic_apostrophe_in_a_name_survives(body: str) -> None:
    assert parse_query(body, SPECS).arguments == {"entity_id": "Côte d’Ivoire"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "empty"),
        ("France capital", "not one call"),
        ("get_relations", "not one call"),
        ('get_relations("France"', "not one call"),
        ('get_relations("a"); get_relations("b")', "not one call"),
        ('print(get_relations("a"))', "no action print"),
        ('os.system("ls")', "not one call"),
        ('(lambda: 1)("x")', "not one call"),
        ('__import__("os")', "no action __import__"),
        ('get_relations("a" + "b")', "quoted names"),
        ("get_relations(France)", "quoted names"),
        ("get_relations(1994)", "quoted names"),
        ('get_relations(b"x")', "quoted names"),
        ('get_relations(f"{x}")', "quoted names"),
        ('get_relations(["a", 1])', "quoted names"),
        ('get_relations([x for x in "ab"])', "quoted names"),
        ('get_relations(*["a"])', "quoted names"),
        ('get_relations(**{"entity_id": "a"})', r"'\*\*'"),
        ('get_relations("a", "b")', "too many arguments"),
        ('get_relations("a", entity_id="b")', "given twice"),
        ('get_relations("a", colour="b")', "no argument colour"),
        ('get_tail_entities("France")', "lacks relation"),
        ('get_tail_entities("France", "  ")', "lacks relation"),
        ('get_tail_entities([], "capital")', "lacks entity_id"),
        ('get_tail_entities("France", ["capital", "borders"])', "relation takes one name"),
        ('fly_to("France")', "no action fly_to"),
        ("{", "not valid JSON"),
        ("[" * 1900, "not valid JSON"),
        ('[{"action_type": "get_relations"}]', "one object"),
        ('{"entity_id": "France"}', "no action_type"),
        ('{"action_type": 3}', "no action_type"),
        ('{"action_type": "get_relations", "entity_id": 3}', "entity_id must be a name"),
        ('{"action_type": "get_relations", "entity_id": "France", "depth": "2"}', "no argument depth"),
        ('{"action_type": "get_relations", "entity_id": "\\ud800"}', "not valid text"),
        ('get_relations("\\udfff")', "not valid text"),
        ('get_relations("a\x00b")', "not one call"),
        ("(" * 1900, "not one call"),
        ("-" * 1900 + "1", "not one call"),
        ('get_relations("' + "x" * MAX_QUERY_CHARS + '")', "longer than 2000"),
    ],
)
def test_what_is_refused_and_why(body: str, words: str) -> None:
    with pytest.raises(QueryProblem, match=words):
        parse_query(body, SPECS)


def test_an_unknown_action_is_told_what_exists() -> None:
    with pytest.raises(QueryProblem) as caught:
        parse_query('fly("x")', SPECS)
    assert caught.value.hint is Hint.CALLS


@pytest.mark.parametrize("body", ["", "The capital of France is Paris.", "France", "{", '{"entity_id": "a"}'])
def test_what_is_no_call_is_to_be_told_what_a_call_looks_like(body: str) -> None:
    with pytest.raises(QueryProblem) as caught:
        parse_query(body, SPECS)
    assert caught.value.hint is Hint.CALL


@pytest.mark.parametrize(
    "body",
    [f'{"x" * 1000}("a")', json.dumps({"action_type": "get_relations", "entity_id": "a", "x" * 999: "b"})],
)
def test_a_problem_repeats_little_of_what_was_written(body: str) -> None:
    with pytest.raises(QueryProblem) as caught:
        parse_query(body, SPECS)
    assert "xxx" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "get_tail_entities", "arguments": {"entity_id": "France", "relation": "capital"}}',
        '\n{"arguments": {"relation": "capital", "entity_id": " France "}, "name": " get_tail_entities "}\n',
        '{"name": "get_tail_entities", "arguments": {"entity_id": "France", "relation": "capital", '
        '"sample_id": "7", "concept": null}}',
    ],
)
def test_a_tool_call_is_a_query(body: str) -> None:
    assert parse_tool_call(body, SPECS) == CAPITAL


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not valid JSON"),
        ('get_tail_entities("France", "capital")', "not valid JSON"),
        ('["get_relations"]', "one JSON object"),
        ('{"arguments": {}}', "no name"),
        ('{"name": "get_relations"}', "lacks entity_id"),
        ('{"name": "get_relations", "arguments": "France"}', "arguments of a tool call"),
        ('{"name": "fly", "arguments": {}}', "no action fly"),
        ('{"name": "get_relations", "arguments": {"entity_id": "a", "depth": 2}}', "no argument depth"),
        (
            '{"name": "get_relations", "arguments": {"entity_id": "' + "x" * MAX_QUERY_CHARS + '"}}',
            "longer than",
        ),
    ],
)
def test_what_is_refused_of_tool_calls(body: str, words: str) -> None:
    with pytest.raises(QueryProblem, match=words):
        parse_tool_call(body, SPECS)


def test_wrong_arguments_are_told_the_form() -> None:
    with pytest.raises(QueryProblem, match=r"expected get_tail_entities\(entity_id, relation\)"):
        parse_query('get_tail_entities("France")', SPECS)


def test_a_backslash_in_a_name_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_query(r'get_relations("AC\DC")', SPECS).arguments == {"entity_id": "AC\\DC"}


def test_an_action_of_its_own_fields_is_parsed_in_their_order() -> None:
    spec = ActionSpec(
        name="get_path",
        arguments=(
            ArgumentSpec("start", True, False, ""),
            ArgumentSpec("goal", True, False, ""),
            ArgumentSpec("via", False, True, ""),
        ),
        required_fields=("sample_id", "dataset_name", "start", "goal"),
        description="",
        example="",
    )
    assert call_form(spec) == "get_path(start, goal, via?)"
    assert parse_query('get_path("a", "b")', [spec]).arguments == {"start": "a", "goal": "b"}
    assert parse_query('get_path("a", "b", ["c"])', [spec]).arguments["via"] == ["c"]
    with pytest.raises(QueryProblem, match="no argument entity_id"):
        parse_query('{"action_type": "get_path", "start": "a", "goal": "b", "entity_id": "c"}', [spec])


@given(st.text(max_size=200))
def test_any_text_is_a_query_or_a_problem(body: str) -> None:
    for text in (body, f"get_relations({body})", f'get_relations("{body}")'):
        try:
            query = parse_query(text, SPECS)
        except QueryProblem as problem:
            assert str(problem)
        else:
            assert query.action in {spec.name for spec in SPECS}


@given(st.text(min_size=1, max_size=40).filter(lambda name: name.strip() and name.isprintable()))
def test_any_printable_name_comes_through_both_forms(name: str) -> None:
    in_json = json.dumps({"action_type": "get_relations", "entity_id": name})
    assert parse_query(in_json, SPECS).arguments == {"entity_id": name.strip()}
    assert parse_query(f"get_relations({name!r})", SPECS).arguments == {"entity_id": name.strip()}


def entity_key(entity: str | list[str], relation: str = "capital") -> object:
    return Query("get_tail_entities", {"entity_id": entity, "relation": relation}).key()


def test_key_takes_spellings_of_one_question_together() -> None:
    assert entity_key("France") == entity_key("  FRANCE ")
    assert entity_key(["Spain", "France", "France"]) == entity_key(["France", "Spain"])
    assert entity_key(["France"]) == entity_key("France")
    assert entity_key("Co\u0302te") == entity_key("C\u00f4te")


def test_key_tells_different_questions_apart() -> None:
    assert entity_key("France") != entity_key("Spain")
    assert entity_key("France", "Capital") != entity_key("France", "capital")
    assert (
        Query("get_relations", {"entity_id": "France"}).key()
        != Query("get_tail_relations", {"entity_id": "France"}).key()
    )
