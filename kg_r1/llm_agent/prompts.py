"""What a model is told before its first turn, made from the registry's specs and the question alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kg_r1.llm_agent.observation import MUST_ANSWER_LINE, SEPARATOR, harmless
from kg_r1.llm_agent.query import call_form
from kg_r1.llm_agent.question import Question
from kg_r1.llm_agent.turn_form import QueryForm
from kg_r1.search.specs import ActionSpec, argument_help

PromptStyle = Literal["names", "compact", "full"]


@dataclass(frozen=True)
class WorkedEpisode:
    """An episode to follow: the question that was asked, and its turns and observations as one text."""

    question: Question
    text: str


def build_messages(
    question: Question,
    specs: Sequence[ActionSpec],
    style: PromptStyle = "compact",
    no_think: bool = False,
    must_answer: bool = False,
    query_form: QueryForm = "tags",
    worked: WorkedEpisode | None = None,
) -> list[dict[str, str]]:
    """The chat messages of an episode: the rules and actions as system, the question as user.

    Args:
        question: its text and topic entities are shown; nothing else of it is. Where actions take handles,
            the topic entities are numbered (handles.py).
        specs: the actions on offer, in the order in which they are listed.
        style: 'names' gives the actions' names alone, to a policy that has learned the rest in a cold start;
            'compact' lists call forms on one line; 'full' explains every action and both query forms.
        no_think: leave thinking out of the rules.
        must_answer: the first turn is already the last one.
        query_form: how a search is written. As a tool call it is the chat template that lists the actions.
        worked: an episode to follow, shown after the rules.
    """
    rules = _rules(specs, style, no_think, query_form)
    if worked is not None:
        shown = [*_asked(worked.question, specs), worked.text]
        rules += "\n\nExample, on another graph:\n" + "\n".join(shown)
    lines = _asked(question, specs)
    if must_answer:
        lines.append(MUST_ANSWER_LINE.strip())
    return [{"role": "system", "content": rules}, {"role": "user", "content": "\n".join(lines)}]


def _asked(question: Question, specs: Sequence[ActionSpec]) -> list[str]:
    """The lines that state a question and where its walk begins."""
    lines = [f"Question: {harmless(question.question)}"]
    if question.topic_entities:
        names = [harmless(name) for name in question.topic_entities]
        if _take_handles(specs):
            names = [f"#{number}: {name}" for number, name in enumerate(names, start=1)]
        lines.append(f"Topic: {SEPARATOR.join(names)}")
    return lines


def _take_handles(specs: Sequence[ActionSpec]) -> bool:
    return any(argument.takes_handle for spec in specs for argument in spec.arguments)


def _rules(specs: Sequence[ActionSpec], style: PromptStyle, no_think: bool, query_form: QueryForm) -> str:
    if query_form == "tools":
        return _compact_tool_rules(no_think) if style == "compact" else _full_tool_rules(no_think)
    if style == "names":
        return ", ".join(spec.name for spec in specs)
    return _compact_rules(specs, no_think) if style == "compact" else _full_rules(specs, no_think)


def _compact_rules(specs: Sequence[ActionSpec], no_think: bool) -> str:
    think = "" if no_think else "<think>plan</think> then "
    lists = list(dict.fromkeys(one.name for spec in specs for one in spec.arguments if one.many))
    handles = 'a list, "#1" for all that is listed as #1, "#1 except NAME" or "#2 except #1"'
    forms = handles if _take_handles(specs) else "a list"
    note = f"\nMay be {forms}: {', '.join(lists)}" if lists else ""
    return (
        f"Answer by searching a knowledge graph. Each turn: {think}<search>one call</search> "
        f"or <answer>name{SEPARATOR}name</answer>.\n"
        f"Calls: {', '.join(call_form(spec) for spec in specs)}{note}"
    )


def _compact_tool_rules(no_think: bool) -> str:
    think = "" if no_think else "<think>plan</think> then "
    return (
        f"Answer by searching a knowledge graph. Each turn: {think}one function call or "
        f"<answer>name{SEPARATOR}name</answer>."
    )


def _full_rules(specs: Sequence[ActionSpec], no_think: bool) -> str:
    lines = [
        *_first_lines(no_think),
        "Search: <search>one query</search>. "
        "What is found comes back between <information> and </information>.",
        _ANSWER_LINE,
        "",
        "Actions:",
    ]
    for spec in specs:
        lines.append(f"- {call_form(spec)}: {spec.description} Example: {spec.example}")
    # One line for each argument, unless two actions mean different things by one name.
    notes = [f"- {one.name}: {argument_help(one)}" for spec in specs for one in spec.arguments if one.help]
    lines += ["", "Arguments:", *dict.fromkeys(notes)] if notes else []
    if specs:
        names = ["action_type", *(argument.name for argument in specs[0].arguments)]
        form = json.dumps(dict(zip(names, [specs[0].name, *("..." for _ in names[1:])], strict=True)))
        lines += ["", f"A query may also be written as JSON: {form}"]
    return "\n".join(lines)


def _full_tool_rules(no_think: bool) -> str:
    lines = [
        *_first_lines(no_think),
        "Search: one function call. What is found comes back as its response.",
        _ANSWER_LINE,
    ]
    return "\n".join(lines)


_ANSWER_LINE = (
    f"Answer: <answer>name</answer>, several names as <answer>name{SEPARATOR}name</answer>. "
    "It ends the episode; use the names as the graph spells them."
)


def _first_lines(no_think: bool) -> list[str]:
    first = "" if no_think else "First think: <think>what is known and what to look up next</think>. Then, "
    return [
        "Answer the question by searching a knowledge graph of (head, relation, tail) facts, turn by turn.",
        f"{first}{'In' if no_think else 'in'} each turn, give exactly one search or the answer.",
        "Look at the relations of an entity before you follow one, and copy names and relations as listed.",
    ]
