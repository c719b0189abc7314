"""The body of a `<search>`: text in, a checked `Query` out.

Two forms are read: JSON, ``{"action_type": "get_tail_entities", "entity_id": "France", ...}``, and the call
form, ``get_tail_entities("France", "capital")``, whose arguments may be lists of strings and keywords.
A tool call, ``{"name": "get_tail_entities", "arguments": {...}}``, is read by `parse_tool_call`.
Nothing is evaluated: the call form is parsed to a syntax tree of which only constants are taken.
"""

from __future__ import annotations

import ast
import json
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kg_r1.search.specs import ROW_FIELDS, ActionSpec

MAX_QUERY_CHARS = 2000
MAX_NAMED_CHARS = 60  # of a name that the model made up, in a message

_DOUBLE_QUOTES = str.maketrans(dict.fromkeys("“”„‟″", '"'))
_ALL_QUOTES = str.maketrans(dict.fromkeys("“”„‟″", '"') | dict.fromkeys("‘’‚‛′", "'"))

Argument = str | list[str]


class Hint(StrEnum):
    """What a model should be told beside what was wrong with its turn; the words are in hints.py."""

    TURN = "turn"
    """How a turn is written, and which calls there are."""
    CALL = "call"
    """How a call is written, and which there are."""
    CALLS = "calls"
    """Which calls there are."""


class QueryProblem(ValueError):
    """The body is not a query that the registry knows; the text says what is wrong, `hint` what to add."""

    def __init__(self, text: str, hint: Hint | None = None) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True)
class Query:
    """One search: an action's name and its arguments, never the sample or the data set."""

    action: str
    arguments: dict[str, Argument]

    def key(self) -> tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]:
        """What makes two queries the same question to the KG.

        Letter case, white space, and the order and repetition within a list make no difference; only a
        relation keeps its case, since relations are matched exactly and a corrected spelling is a new query.
        """
        return self.action, tuple(
            (name, tuple(sorted({_fold(name, item) for item in _as_list(value)})))
            for name, value in sorted(self.arguments.items())
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"action": self.action, "arguments": dict(self.arguments)}


def parse_query(body: str, specs: Sequence[ActionSpec]) -> Query:
    """The query that `body` states, checked against `specs`. Raises QueryProblem."""
    body = body.strip()
    if not body:
        raise QueryProblem("the search is empty", Hint.CALL)
    if len(body) > MAX_QUERY_CHARS:
        raise QueryProblem(f"the search is longer than {MAX_QUERY_CHARS} characters", Hint.CALL)
    if body.startswith(("{", "[")):
        return _parse_json(body, specs)
    return _parse_call(body, specs)


def parse_tool_call(body: str, specs: Sequence[ActionSpec]) -> Query:
    """The query that the body of a tool call states, ``{"name": ..., "arguments": {...}}``.

    Raises QueryProblem.
    """
    if len(body) > MAX_QUERY_CHARS:
        raise QueryProblem(f"the tool call is longer than {MAX_QUERY_CHARS} characters", Hint.CALL)
    call = _json_object(body, "the tool call is not valid JSON", "a tool call must be one JSON object")
    name, arguments = call.get("name"), call.get("arguments", {})
    if not isinstance(name, str):
        raise QueryProblem("the tool call has no name", Hint.CALL)
    if not isinstance(arguments, dict):
        raise QueryProblem("the arguments of a tool call must be one JSON object", Hint.CALL)
    spec = _find(name.strip(), specs)
    return _checked(spec, {name: value for name, value in arguments.items() if value is not None})


def call_form(spec: ActionSpec) -> str:
    """How an action is called, as in ``get_tail_entities(entity_id, relation)``; optional ones end in '?'."""
    arguments = (argument.name + ("" if argument.required else "?") for argument in spec.arguments)
    return f"{spec.name}({', '.join(arguments)})"


def _parse_json(body: str, specs: Sequence[ActionSpec]) -> Query:
    request = _json_object(
        body, "the search is not valid JSON", "a JSON search must be one object with an action_type"
    )
    action = request.pop("action_type", None)
    if not isinstance(action, str):
        raise QueryProblem("the search has no action_type", Hint.CALL)
    spec = _find(action.strip(), specs)
    return _checked(spec, {name: value for name, value in request.items() if value is not None})


def _json_object(body: str, no_json: str, no_object: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise QueryProblem(no_json, Hint.CALL) from None
    if not isinstance(value, dict):
        raise QueryProblem(no_object, Hint.CALL)
    return value


def _parse_call(body: str, specs: Sequence[ActionSpec]) -> Query:
    call = _call_node(body)
    if call is None or not isinstance(call.func, ast.Name):
        raise QueryProblem("the search is not one call", Hint.CALL)
    spec = _find(call.func.id, specs)
    if len(call.args) > len(spec.arguments):
        raise QueryProblem(f"too many arguments; expected {call_form(spec)}")
    given: dict[str, Any] = {}
    for argument, node in zip(spec.arguments, call.args, strict=False):
        given[argument.name] = _constant(node, spec)
    for keyword in call.keywords:
        if keyword.arg is None:
            raise QueryProblem(f"'**' is not allowed; expected {call_form(spec)}")
        if keyword.arg in given:
            raise QueryProblem(f"argument {keyword.arg} is given twice; expected {call_form(spec)}")
        given[keyword.arg] = _constant(keyword.value, spec)
    return _checked(spec, given)


def _call_node(body: str) -> ast.Call | None:
    """The single call that `body` is, or None.

    Typographic quotes are tried only after the text as it stands, doubles before singles, so that the
    apostrophe of a name such as Côte d’Ivoire survives whenever the string around it can be read without it.
    """
    for text in (body, body.translate(_DOUBLE_QUOTES), body.translate(_ALL_QUOTES)):
        try:
            with warnings.catch_warnings():
                # A backslash in a name draws a warning about an invalid escape, which is the model's matter.
                warnings.simplefilter("ignore")
                node = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return node if isinstance(node, ast.Call) else None
    return None


def _constant(node: ast.expr, spec: ActionSpec) -> Argument:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.List):
        constants = (item.value for item in node.elts if isinstance(item, ast.Constant))
        values = [value for value in constants if isinstance(value, str)]
        if len(values) == len(node.elts):
            return values
    raise QueryProblem(f"arguments must be quoted names or lists of them; expected {call_form(spec)}")


def _checked(spec: ActionSpec, given: Mapping[str, Any]) -> Query:
    """`given` in the spec's order with every value stripped; refuses unknown, missing and mistyped ones."""
    known = {argument.name for argument in spec.arguments}
    # A model that writes the row's fields is not refused, and not believed.
    if unknown := sorted(set(given) - known - set(ROW_FIELDS)):
        named = ", ".join(unknown)[:MAX_NAMED_CHARS]
        raise QueryProblem(f"{spec.name} has no argument {named}; expected {call_form(spec)}")
    arguments: dict[str, Argument] = {}
    for argument in spec.arguments:
        value = _clean(argument.name, given.get(argument.name, ""), argument.many)
        if value:
            arguments[argument.name] = value
        elif argument.required:
            raise QueryProblem(f"{spec.name} lacks {argument.name}; expected {call_form(spec)}")
    return Query(spec.name, arguments)


def _clean(name: str, value: Any, many: bool) -> Argument:
    if isinstance(value, str):
        return _sound(name, value).strip()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise QueryProblem(f"argument {name} must be a name" + (" or a list of names" if many else ""))
    items = [item.strip() for item in value if _sound(name, item).strip()]
    if many:
        return items
    if len(items) > 1:
        raise QueryProblem(f"argument {name} takes one name, not a list")
    return items[0] if items else ""


def _sound(name: str, text: str) -> str:
    """`text` itself; refuses half a surrogate pair, which an escape can spell and no request can carry."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise QueryProblem(f"argument {name} is not valid text")
    return text


def _find(action: str, specs: Sequence[ActionSpec]) -> ActionSpec:
    for spec in specs:
        if spec.name == action:
            return spec
    raise QueryProblem(f"there is no action {action[:MAX_NAMED_CHARS]}", Hint.CALLS)


def _as_list(value: Argument) -> list[str]:
    return [value] if isinstance(value, str) else value


def _fold(name: str, text: str) -> str:
    folded = " ".join(unicodedata.normalize("NFC", text).split())
    return folded if name == "relation" else folded.casefold()
