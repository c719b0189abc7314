"""Does a model know when to stop? At each turn of walks that it has not learned: search on, or answer?

The mean loss over tokens hides it, since most tokens only repeat names: it can be near zero while stopping
is at chance. So the model is asked for the beginning of a turn, as far as its first tag of an action, with
everything before it as the oracle left it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from transformers.generation import StoppingCriteriaList, StopStringCriteria

TAGS = ("<search>", "<answer>")
MAX_NEW_TOKENS = 48  # a thought and the tag after it
BATCH_SIZE = 16


@dataclass(frozen=True)
class Decision:
    """A place in a walk where a turn begins: the ids before it, whether the oracle answers there, and the
    hop group of the question."""

    prompt_ids: list[int]
    is_answer: bool
    group: str


def decisions(
    input_ids: Sequence[int], is_learned: Sequence[bool], group: str, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Decision]:
    """The decisions of one walk, turns not learned passed over; both sequences have shape [num_tokens]."""
    start = None
    for position, learned in enumerate([*is_learned, False]):
        if learned and start is None:
            start = position
        elif not learned and start is not None:
            text = tokenizer.decode(list(input_ids[start:position]))
            yield Decision(list(input_ids[:start]), "<answer>" in text, group)
            start = None


@torch.inference_mode()
def stop_accuracy(
    model: Any, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Decision]
) -> dict[str, tuple[int, int]]:
    """For each hop group, how many decisions the model takes as the oracle did, and how many there are.

    A turn that comes to neither tag within `MAX_NEW_TOKENS` tokens is wrong. Decoding is greedy.
    """
    num_right: Counter[str] = Counter()
    criteria = StoppingCriteriaList([StopStringCriteria(tokenizer, list(TAGS))])
    by_length = sorted(asked, key=lambda one: len(one.prompt_ids))
    for first in range(0, len(by_length), BATCH_SIZE):
        batch = by_length[first : first + BATCH_SIZE]
        longest = max(len(one.prompt_ids) for one in batch)
        padding = [longest - len(one.prompt_ids) for one in batch]
        ids = [
            [tokenizer.pad_token_id] * pad + one.prompt_ids for pad, one in zip(padding, batch, strict=True)
        ]
        mask = [[0] * pad + [1] * (longest - pad) for pad in padding]
        output = model.generate(
            torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            stopping_criteria=criteria,
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
        )
        for one, text in zip(batch, tokenizer.batch_decode(output[:, longest:]), strict=True):
            num_right[one.group] += _first_tag(text) == ("<answer>" if one.is_answer else "<search>")
    total = Counter(one.group for one in asked)
    return {group: (num_right[group], total[group]) for group in sorted(total)}


def _first_tag(text: str) -> str | None:
    places = {text.find(tag): tag for tag in TAGS if tag in text}
    return places[min(places)] if places else None
