"""What is told beside an error of a turn: how a turn or a call is written, and which calls there are.

The words are the environment's and the specs' own, so that tags may stand in them; nothing that a model wrote
is in a hint.
"""

from __future__ import annotations

from collections.abc import Sequence

from kg_r1.kg.errors import listed
from kg_r1.llm_agent.query import Hint, call_form
from kg_r1.llm_agent.tools import example_tool_call
from kg_r1.llm_agent.turn_form import QueryForm
from kg_r1.search.specs import ActionSpec

MAX_CALLS_CHARS = 200


def hint_text(
    hint: Hint | None, specs: Sequence[ActionSpec], query_form: QueryForm, *, with_think: bool = False
) -> str:
    """The words of a hint; '' for none, or where no action is on offer.

    Args:
        hint: what is to be told.
        specs: the actions on offer; the example is that of the first.
        query_form: how searches are written.
        with_think: whether the example of a turn begins with a thought.
    """
    if hint is None or not specs:
        return ""
    calls = f"Calls: {calls_on_offer(specs)}"
    if hint is Hint.CALLS:
        return calls
    is_tool = query_form == "tools"
    if hint is Hint.CALL and not is_tool:
        return f"Write one call, such as {specs[0].example}. {calls}"
    example = example_tool_call(specs[0]) if is_tool else f"<search>{specs[0].example}</search>"
    example = example.replace("\n", "")
    if hint is Hint.CALL:
        return f"Write {example}. {calls}"
    think = "<think>plan</think>" if with_think else ""
    return f"Write {think}{example}, or <answer>name</answer> at the end. {calls}"


def calls_on_offer(specs: Sequence[ActionSpec]) -> str:
    """Every action in call form, or by name alone where that takes too many characters."""
    forms = ", ".join(map(call_form, specs))
    return forms if len(forms) <= MAX_CALLS_CHARS else listed((spec.name for spec in specs), max_items=8)
