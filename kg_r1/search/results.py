"""What server and client must agree on: the service's name, and what counts as a listed item of a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SERVICE_NAME = "kg_retrieval"

# These say how the question was understood; they are no finding.
NOTE_FIELDS = frozenset({"matched_entities", "unknown_entities"})
# Who is called something like a text that was given. Shown and referred to like any listing, and still no
# finding: whoever looks its guess up would have "retrieved" it.
LOOKUP_FIELDS = frozenset({"name_matches"})


def listed_items(result: Mapping[str, Any], left_out: frozenset[str] = NOTE_FIELDS) -> list[str]:
    """Every item that a successful result lists, in order, the fields `left_out` aside.

    A list gives its members, a single value itself; what is not text is given as JSON. None gives nothing.
    """
    items: list[str] = []
    for field, value in result.items():
        if field not in left_out and value is not None:
            items.extend(map(_as_text, value if isinstance(value, (list, tuple)) else [value]))
    return items


def found_items(result: Mapping[str, Any]) -> list[str]:
    """The items that a successful result found out, in order: those listed, without names looked up."""
    return listed_items(result, NOTE_FIELDS | LOOKUP_FIELDS)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
