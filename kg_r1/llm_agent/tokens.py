"""What the environment needs of a tokenizer, and one that needs no download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kg_r1.llm_agent.protocol import TAGS


class ChatTokenizer(Protocol):
    """The part of a Hugging Face tokenizer that the environment calls."""

    def encode(self, text: str, /, *, add_special_tokens: bool) -> Any: ...

    def decode(
        self, ids: list[int], /, *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> Any: ...

    def apply_chat_template(
        self,
        messages: list[dict[str, str]],
        /,
        *,
        tokenize: bool,
        add_generation_prompt: bool,
        enable_thinking: bool,
        tools: Any = None,
    ) -> Any: ...


def encode(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """The ids of `text` alone, with nothing put before or after."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def decode(tokenizer: ChatTokenizer, ids: Sequence[int]) -> str:
    """The text of `ids`, special tokens included: they are part of what was sampled."""
    return tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def chat_prompt_ids(
    tokenizer: ChatTokenizer,
    messages: list[dict[str, str]],
    no_think: bool,
    tools: Sequence[Mapping[str, Any]] | None = None,
    begin: str = "",
) -> list[int]:
    """The ids of the rendered chat, up to where the assistant's own text begins.

    Args:
        no_think: handed to the template as enable_thinking=False. Templates that know the switch close the
            thinking there and then; the others ignore it.
        tools: handed to the template, which lists them; None where queries are no tool calls.
        begin: how the first turn is begun for the policy; left out where the template begins it like that.
    """
    options: dict[str, Any] = {} if tools is None else {"tools": list(tools)}
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=not no_think, **options
    )
    if begin and not text.rstrip().endswith(begin):
        text += begin
    return encode(tokenizer, text)


def special_texts(tokenizer: ChatTokenizer) -> tuple[str, ...]:
    """The spellings that the tokenizer would read as special tokens, longest first, our own tags excepted."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {str(token.content) for token in added if token.special}
    texts.update(getattr(tokenizer, "all_special_tokens", ()))
    texts = {text for text in texts if len(text) > 1 and text.strip("</>") not in TAGS}
    return tuple(sorted(texts, key=lambda text: (-len(text), text)))


class ByteTokenizer:
    """One token per UTF-8 byte and a plain chat layout: for scripted play, where no model is at hand."""

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        return list(text.encode("utf-8", errors="surrogatepass"))

    def decode(
        self,
        ids: Sequence[int],
        *,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool = False,
    ) -> str:
        return bytes(ids).decode("utf-8", errors="replace")

    def apply_chat_template(self, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        turns = "".join(f"[{message['role']}]\n{message['content']}\n" for message in messages)
        return turns + ("[assistant]\n" if options.get("add_generation_prompt") else "")
