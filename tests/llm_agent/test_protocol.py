"""One turn's text to its kind, its parts and its fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg_r1.llm_agent.protocol import ParsedTurn, Query, TurnKind, parse_turn
from kg_r1.search.actions import ACTION_REGISTRY

SPECS = ACTION_REGISTRY.specs()
CALL = 'get_tail_entities("France", "capital")'
CAPITAL = Query("get_tail_entities", {"entity_id": "France", "relation": "capital"})


def parse(text: str, think_required: bool = True) -> ParsedTurn:
    return parse_turn(text, SPECS, think_required=think_required)


def test_a_well_formed_search() -> None:
    turn = parse(f"<think>capital of France</think>\n<search>{CALL}</search>")
    assert turn == ParsedTurn(TurnKind.SEARCH, "capital of France", CAPITAL, None, None)


def test_a_well_formed_answer() -> None:
    turn = parse("\n <think> done </think><answer> Paris | Lyon </answer>")
    assert turn == ParsedTurn(TurnKind.ANSWER, "done", None, "Paris | Lyon", None)


@pytest.mark.parametrize("rest", ["\n", ".\n\n", "<", " and more <answer>Lyon</answer>"])
def test_what_follows_the_closing_tag_is_not_read(rest: str) -> None:
    assert parse(f"<think>t</think><answer>Paris</answer>{rest}") == ParsedTurn(
        TurnKind.ANSWER, "t", None, "Paris", None
    )


def test_the_first_closing_tag_decides() -> None:
    search_first = f"<think>t</think><search>{CALL}</search><answer>Paris</answer>"
    answer_first = f"<think>t</think><answer>Paris</answer><search>{CALL}</search>"
    assert parse(search_first).kind is TurnKind.SEARCH
    assert parse(answer_first).kind is TurnKind.ANSWER


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (f"<search>{CALL}</search>", TurnKind.SEARCH, "no think tag"),
        ("<answer>Paris</answer>", TurnKind.ANSWER, "no think tag"),
        (f"Well, <think>t</think><search>{CALL}</search>", TurnKind.SEARCH, "outside"),
        (f"<think>t</think> so <search>{CALL}</search>", TurnKind.SEARCH, "outside"),
        (f"t</think><search>{CALL}</search>", TurnKind.SEARCH, "outside"),
        (f"<think>a</think><think>b</think><search>{CALL}</search>", TurnKind.SEARCH, "more than one"),
        (f"<think>a<think>b</think><search>{CALL}</search>", TurnKind.SEARCH, "more than one"),
        (f"<think>try <search> now</think><search>{CALL}</search>", TurnKind.SEARCH, "inside the thought"),
        (f"<think>t</think><search><search>{CALL}</search>", TurnKind.SEARCH, "outside"),
        (f"<think>t</think><answer>x<search>{CALL}</search>", TurnKind.SEARCH, "outside"),
        (
            "<think>t</think><information>Paris</information><answer>Paris</answer>",
            TurnKind.ANSWER,
            "outside",
        ),
        ("<think>t</think><answer></answer>", TurnKind.ANSWER, "empty"),
        ("<think>t</think><answer> \n </answer>", TurnKind.ANSWER, "empty"),
        ("<think>t</think><answer>a<think>b</answer>", TurnKind.ANSWER, "inside the answer"),
    ],
)
def test_a_clear_action_in_faulty_text_is_kept_with_its_fault(text: str, kind: TurnKind, words: str) -> None:
    turn = parse(text)
    assert turn.kind is kind
    assert turn.problem is not None and words in turn.problem
    assert not turn.is_well_formed
    assert turn.query == (CAPITAL if kind is TurnKind.SEARCH else None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must end with a closing"),
        ("Paris", "must end with a closing"),
        ("<think>t</think><answer>Paris", "must end with a closing"),
        ("<think>t</think><answer>Paris</ answer>", "must end with a closing"),
        ("<think>t</think></answer>", "no opening"),
        ("<think>t</think><answer>Paris</search>", "no opening"),
        ("<think>is it <answer>Paris</answer>", "not closed"),
        ("<think>is it <answer>Paris</answer> yes</think><answer>Rome</answer>", "not closed"),
        (f"<think>a</think><think>b<search>{CALL}</search>", "not closed"),
        ("<think>t</think><search>France</search>", "not one call"),
        ("<think>t</think><search></search>", "empty"),
    ],
)
def test_malformed_turns_have_no_action(text: str, words: str) -> None:
    turn = parse(text)
    assert (turn.kind, turn.query, turn.answer) == (TurnKind.MALFORMED, None, None)
    assert turn.problem is not None and words in turn.problem


def test_a_malformed_turn_keeps_its_thought() -> None:
    assert parse("<think>plan</think><search>x</search>").think == "plan"
    assert parse("<think>plan</think> and then").think == "plan"


def test_without_thinking_a_bare_action_is_well_formed() -> None:
    assert parse(f"<search>{CALL}</search>", think_required=False).is_well_formed
    assert parse(f"<think>t</think><search>{CALL}</search>", think_required=False).is_well_formed
    assert not parse(f"so <search>{CALL}</search>", think_required=False).is_well_formed


PIECES = [f"<{slash}{tag}>" for tag in ("think", "search", "information", "answer") for slash in ("", "/")]


@given(st.lists(st.sampled_from([*PIECES, CALL, "Paris", " ", "\n", "<", "{"]), max_size=12).map("".join))
def test_every_text_is_one_kind_with_its_own_parts(text: str) -> None:
    turn = parse(text)
    assert (turn.query is not None) == (turn.kind is TurnKind.SEARCH)
    assert (turn.answer is not None) == (turn.kind is TurnKind.ANSWER)
    if turn.kind is TurnKind.MALFORMED:
        assert turn.problem
    if turn.is_well_formed:
        end = f"</{turn.kind.value}>"
        assert text.lstrip().startswith("<think>") and text.count(end) >= 1
