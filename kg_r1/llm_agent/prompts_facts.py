"""Facts shown in the prompt, for baselines that are given facts and do not search.

The ordinary prompt is made by prompts.py and stays as it is; the facts stand in front of the user's
message, which is where the chat template sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kg_r1.kg.knowledge_graph import Triple
from kg_r1.llm_agent.observation import SEPARATOR, break_special, harmless
from kg_r1.llm_agent.tokens import ChatTokenizer, encode, special_texts

FACTS_LINE = f"Facts (head{SEPARATOR}relation{SEPARATOR}tail):"


def facts_text(facts: Sequence[Triple], count_tokens: Callable[[str], int], max_tokens: int) -> str:
    """The facts, one a line under a heading, cut after a whole one; '' when none fits.

    Args:
        facts: (head, relation, tail) as labels, the most useful first.
        count_tokens: of a text, in the model's tokens.
        max_tokens: most tokens of what is returned, which ends with a line end. Facts left out are
            counted in a last line.
    """
    lines = [SEPARATOR.join(map(harmless, fact)) for fact in facts]

    def text_of(num_shown: int) -> str:
        more = [f"(+{len(lines) - num_shown} more)"] if num_shown < len(lines) else []
        return "\n".join([FACTS_LINE, *lines[:num_shown], *more]) + "\n"

    # A fact is at least one token, which bounds how many can fit; then the largest number that does.
    fitting, too_many = 0, min(len(lines), max_tokens) + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if count_tokens(text_of(middle)) <= max_tokens:
            fitting = middle
        else:
            too_many = middle
    return text_of(fitting) if fitting else ""


class FactsInPrompt:
    """A tokenizer whose chat template puts facts in front of the user's message.

    Everything else is the tokenizer's own, so that an episode played with it obeys the same rules as any.
    """

    def __init__(self, tokenizer: ChatTokenizer, facts: Sequence[Triple], max_tokens: int) -> None:
        self._tokenizer = tokenizer
        special = special_texts(tokenizer)
        safe = [tuple(break_special(harmless(part), special) for part in fact) for fact in facts]
        self.text = facts_text(
            [(head, relation, tail) for head, relation, tail in safe],
            lambda text: len(encode(tokenizer, text)),
            max_tokens,
        )

    def encode(self, text: str, /, *, add_special_tokens: bool) -> Any:
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens)

    def decode(
        self, ids: list[int], /, *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> Any:
        return self._tokenizer.decode(
            ids,
            skip_special_tokens=skip_special_tokens,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
        )

    def apply_chat_template(self, messages: list[dict[str, str]], /, **options: Any) -> Any:
        shown = [
            {**message, "content": self.text + message["content"]} if message["role"] == "user" else message
            for message in messages
        ]
        return self._tokenizer.apply_chat_template(shown, **options)

    def __getattr__(self, name: str) -> Any:
        # Whatever else a caller looks for, such as the special tokens.
        return getattr(self._tokenizer, name)
