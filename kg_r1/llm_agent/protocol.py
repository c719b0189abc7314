"""One turn's text to a `ParsedTurn`. The rules, in full, stand in docs/episodes.md.

The first closing tag of an action decides what the turn is, as it does for the engine that stops there;
what follows it (a few characters of the last token, at most) is not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kg_r1.llm_agent.query import Hint, Query, QueryProblem, parse_query, parse_tool_call
from kg_r1.search.specs import ActionSpec

__all__ = ["STOP_STRINGS", "TAGS", "ParsedTurn", "Query", "TurnKind", "parse_turn"]

STOP_STRINGS = ("</search>", "</answer>")
TAGS = ("think", "search", "information", "answer", "tool_call", "tool_response")

_ANY_TAG = re.compile(rf"</?(?:{'|'.join(TAGS)})>")
# By the tag of a search, which is another where searches are tool calls.
_CLOSING = {tag: re.compile(rf"</({tag}|answer)>") for tag in ("search", "tool_call")}
_PARSERS = {"search": parse_query, "tool_call": parse_tool_call}


class TurnKind(StrEnum):
    """What a turn turned out to be."""

    SEARCH = "search"
    ANSWER = "answer"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class ParsedTurn:
    """What a turn says. The turn is well formed exactly when `problem` is None.

    SEARCH has a query, ANSWER an answer (which may be empty), MALFORMED neither. A SEARCH or ANSWER with
    a problem is acted upon all the same: its action is clear, and only the text around it is not as asked.
    `hint` says what the model should be told beside a MALFORMED turn's problem.
    """

    kind: TurnKind
    think: str | None
    query: Query | None
    answer: str | None
    problem: str | None
    hint: Hint | None = None

    @property
    def is_well_formed(self) -> bool:
        return self.problem is None


def parse_turn(
    text: str, specs: Sequence[ActionSpec], *, think_required: bool = True, search_tag: str = "search"
) -> ParsedTurn:
    """Parse one turn.

    Args:
        text: the turn: how it was begun for the policy, then its decoded tokens.
        specs: the actions that exist.
        think_required: whether a turn without a think tag is a fault (off when thinking is switched off).
        search_tag: the tag of a search: 'search', or 'tool_call' where searches are tool calls.
    """
    closing = _CLOSING[search_tag].search(text)
    if closing is None:
        unclosed = f"the turn must end with a closing {search_tag} or answer tag"
        return _malformed(unclosed, _think_of(text), Hint.TURN)
    tag = closing.group(1)
    before = text[: closing.start()]
    opening = before.rfind(f"<{tag}>")
    if opening < 0:
        unopened = f"the closing {tag} tag has no opening one before it"
        return _malformed(unopened, _think_of(before), Hint.TURN)
    prefix, body = before[:opening], before[opening + len(tag) + 2 :]
    think = _think_of(prefix)
    if prefix.rfind("<think>") > prefix.rfind("</think>"):
        return _malformed(f"the think tag is not closed before the {tag}", think)
    problem = _prefix_problem(prefix, think, think_required)
    if tag == "answer":
        answer = body.strip()
        return ParsedTurn(TurnKind.ANSWER, think, None, answer, problem or _answer_problem(answer))
    try:
        query = _PARSERS[search_tag](body, specs)
    except QueryProblem as error:
        return _malformed(str(error), think, error.hint)
    return ParsedTurn(TurnKind.SEARCH, think, query, None, problem)


def _malformed(problem: str, think: str | None, hint: Hint | None = None) -> ParsedTurn:
    return ParsedTurn(TurnKind.MALFORMED, think, None, None, problem, hint)


def _think_of(text: str) -> str | None:
    """What stands between the first <think> and the </think> after it; None when there is no such pair."""
    start = text.find("<think>")
    end = text.find("</think>", start)
    return text[start + len("<think>") : end].strip() if 0 <= start < end else None


def _prefix_problem(prefix: str, think: str | None, think_required: bool) -> str | None:
    """What is wrong with the text before the action; None when it is one think tag, or nothing at all
    where none is required, with only white space around."""
    if think is None:
        if prefix.strip():
            return "there is text outside the tags"
        return "there is no think tag before the action" if think_required else None
    if prefix.count("<think>") > 1 or prefix.count("</think>") > 1:
        return "there is more than one think tag"
    if _ANY_TAG.search(think):
        return "there are tags inside the thought"
    outside = prefix[: prefix.find("<think>")] + prefix[prefix.find("</think>") + len("</think>") :]
    return "there is text outside the tags" if outside.strip() else None


def _answer_problem(answer: str) -> str | None:
    if not answer:
        return "the answer is empty"
    return "there are tags inside the answer" if _ANY_TAG.search(answer) else None
