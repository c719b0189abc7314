"""How a question is put to the backbone, and the tokens that an answer is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from kblampp.errors import ConfigError

Style = Literal["plain", "chat"]
_MARK = "ANSWERGOESHERE"


class AnswerFormat:
    """Prompt and answer for one tokenizer.

    Plain: 'Question: ...', a line 'Answer:', and the answer up to the end of its line. Chat: the tokenizer's
    own chat template, the answer up to the token that ends the assistant's turn.

    Raises:
        ConfigError: the chat template is asked for and the tokenizer has none.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, style: Style) -> None:
        self.tokenizer: Any = tokenizer
        self.style = style
        if style == "chat" and not getattr(tokenizer, "chat_template", None):
            raise ConfigError(
                "use_chat_template: the backbone's tokenizer has no chat template; set it false"
            )
        self._before = self.prompt("x") if style == "chat" else "Answer:"
        self._before_ids = self.encode(self._before)
        self.end_id = self._end_id()

    def prompt(self, question: str, *, information: str = "", demonstrations: Sequence[str] = ()) -> str:
        """The text before an answer.

        Args:
            question: as it was asked.
            information: facts in words, put before the question; '' puts none.
            demonstrations: whole earlier prompts with their answers, of `demonstration`.
        """
        asked = f"{information}\n{question}" if information else question
        if self.style == "chat":
            messages = [{"role": "user", "content": "\n".join([*demonstrations, asked])}]
            written: str = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            return written
        facts = f"{information}\n" if information else ""
        return "".join([*demonstrations, f"{facts}Question: {question}\nAnswer:"])

    def demonstration(self, question: str, answer: str, information: str = "") -> str:
        """A question answered, to stand before another."""
        facts = f"{information}\n" if information else ""
        return f"{facts}Question: {question}\nAnswer: {answer}\n\n"

    def encode(self, text: str) -> list[int]:
        """Token ids; the text brings its own special tokens where a chat template wrote them."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=self.style == "plain")
        return ids

    def answer_ids(self, answer: str) -> list[int]:
        """The tokens of an answer as they follow a prompt, without the one that ends it.

        Tokenizers differ in what a leading space is; so the tokens are taken from where they stand.
        """
        space = " " if self.style == "plain" else ""
        ids = self.encode(f"{self._before}{space}{answer}")
        start = len(self._before_ids)
        if ids[:start] != self._before_ids:
            raise ConfigError(
                f"the backbone's tokenizer joins the prompt's end with the answer {answer!r}; "
                "set use_chat_template the other way"
            )
        return ids[start:]

    def text_of(self, ids: Sequence[int]) -> str:
        """The answer in generated tokens: up to the end token, white space stripped."""
        ids = list(ids)
        if self.end_id in ids:
            ids = ids[: ids.index(self.end_id)]
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.split("\n", 1)[0].strip() if self.style == "plain" else text.strip()

    @cached_property
    def digest(self) -> str:
        """Changes when the tokens of an answer would: for stores that keep them."""
        sample = [self.style, self.end_id, self.answer_ids("Zelda Ümlaut, 12 Baker Street (1998)")]
        return hashlib.sha256(repr((len(self.tokenizer), sample)).encode()).hexdigest()

    def _end_id(self) -> int:
        if self.style == "chat":
            messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": _MARK}]
            written = self.tokenizer.apply_chat_template(messages, tokenize=False)
            after = self.encode(written.split(_MARK, 1)[1])
            if not after:
                raise ConfigError("use_chat_template: the template writes nothing after an answer")
            return after[0]
        return self.encode("Answer: x\n")[-1]
