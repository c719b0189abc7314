"""What server and client must agree on: the service's name, and what counts as a listed item of a result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SERVICE_NAME = "kg_retrieval"

# These say how the question was understood; they are no finding.
NOTE_FIELDS = frozenset({"matched_entities", "unknown_entities"})


def listed_items(result: Mapping[str, Any]) -> list[str]:
    """Every item that a successful result lists, in order, notes left out.

    A list gives its members, a single value itself; what is not text is given as JSON. None gives nothing.
    """
    items: list[str] = []
    for field, value in result.items():
        if field not in NOTE_FIELDS and value is not None:
            items.extend(map(_as_text, value if isinstance(value, (list, tuple)) else [value]))
    return items


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
