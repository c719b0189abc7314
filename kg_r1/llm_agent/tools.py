"""The registry's actions as tools of a chat template: JSON schemas, and calls as a model writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kg_r1.llm_agent.query import Query, QueryProblem, parse_query
from kg_r1.llm_agent.turn_form import TOOL_CALL_TAG
from kg_r1.search.specs import ActionSpec, ArgumentSpec, argument_help


def tool_schemas(specs: Sequence[ActionSpec]) -> list[dict[str, Any]]:
    """One function per action, in the form that chat templates take as `tools`."""
    return [
        {
            "type": "function",
            "function": {
                "name": spec.name,
                "description": spec.description,
                "parameters": {
                    "type": "object",
                    "properties": {one.name: _schema(one) for one in spec.arguments},
                    "required": [one.name for one in spec.arguments if one.required],
                },
            },
        }
        for spec in specs
    ]


def tool_call(query: Query) -> str:
    """A query as the text of a tool call, tags included."""
    call = json.dumps({"name": query.action, "arguments": query.arguments}, ensure_ascii=False)
    return f"<{TOOL_CALL_TAG}>\n{call}\n</{TOOL_CALL_TAG}>"


def example_tool_call(spec: ActionSpec) -> str:
    """The example of a spec as a tool call; of an example that cannot be read, the arguments' names."""
    try:
        return tool_call(parse_query(spec.example, [spec]))
    except QueryProblem:
        return tool_call(Query(spec.name, {one.name: "..." for one in spec.arguments if one.required}))


def _schema(argument: ArgumentSpec) -> dict[str, Any]:
    # A list of types and not anyOf: it is a third of the tokens, and small models read it as well.
    kind: Any = ["string", "array"] if argument.many else "string"
    items = {"items": {"type": "string"}} if argument.many else {}
    return {"type": kind, **items, "description": argument_help(argument)}
