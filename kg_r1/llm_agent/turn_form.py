"""How the turns of an episode stand in the conversation: what closes a search, and what lies around a result.

Two forms. With 'tags' an episode is one message of the assistant, and results stand in it between information
tags. With 'tools' a search is a tool call as the model's own chat template has them, and each result is a
message of its own, laid out by that template. The texts are found once; ids are never made from a rendered
conversation, so that what was sampled stays as it was sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from kg_r1.llm_agent.tokens import ChatTokenizer, decode, encode, special_texts

QueryForm = Literal["tags", "tools"]
"""How a search is written: a query between search tags, or a tool call of the chat template."""
QUERY_FORMS: tuple[QueryForm, ...] = get_args(QueryForm)

THINK = "<think>"
TOOL_CALL_TAG = "tool_call"

_CALL_MARK, _RESULT_MARK = "a call stands here", "a result stands here"


@dataclass(frozen=True)
class TurnForm:
    """The texts that the environment and the policy put around what they say.

    Attributes:
        search_tag: the tag of a search.
        before: what stands before the text of a result.
        after: what stands behind it, and before the line about the last turn.
        closing: what stands behind that line.
        end: how `before` begins where it closes the policy's message; left out where the policy closed it.
        begin: how each turn is begun for the policy; '' leaves it to the policy.
    """

    search_tag: str = "search"
    before: str = "\n<information>"
    after: str = "</information>\n"
    closing: str = ""
    end: str = ""
    begin: str = ""

    @property
    def stop(self) -> tuple[str, str]:
        """The strings at which a turn ends."""
        return f"</{self.search_tag}>", "</answer>"


def form_of_tags(*, begin_with_think: bool = False) -> TurnForm:
    """The form of search and information tags."""
    return TurnForm(begin=THINK if begin_with_think else "")


def form_of_tools(
    tokenizer: ChatTokenizer, tools: Sequence[dict[str, Any]], *, begin_with_think: bool = False
) -> TurnForm:
    """The form that a tokenizer's chat template gives to tool calls and their results.

    Args:
        tokenizer: of the policy, with its template.
        tools: as `tools.tool_schemas` makes them, at least one.

    Raises ValueError, saying what to use instead, for a template that does not list tools, does not tell
    the model to write them as ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>`` (Hermes, Qwen2.5),
    or has no place for a result.
    """
    messages = [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": _CALL_MARK},
        {"role": "tool", "content": _RESULT_MARK},
    ]
    text = str(
        tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=True, tools=list(tools)
        )
    )
    prompt, _, rest = text.partition(_CALL_MARK)
    before, is_there, behind = rest.partition(_RESULT_MARK)
    names = [tool["function"]["name"] for tool in tools]
    if not is_there or f"<{TOOL_CALL_TAG}>" not in prompt or any(name not in prompt for name in names):
        raise ValueError(
            "query_form tools needs a chat template that lists tools and has them called between "
            f"<{TOOL_CALL_TAG}> tags, and this tokenizer's has none: use query_form tags"
        )
    first = decode(tokenizer, encode(tokenizer, before)[:1])
    after = "\n" if behind.startswith("\n") else ""
    has_begun = behind.rstrip().endswith(THINK)
    return TurnForm(
        search_tag=TOOL_CALL_TAG,
        before=before,
        after=after,
        closing=behind[len(after) :],
        end=first if first in special_texts(tokenizer) else "",
        begin=THINK if begin_with_think and not has_begun else "",
    )
