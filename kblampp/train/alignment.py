"""Which token of which fact each token of an answer is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from kblampp.kb_store import NO_TOKEN, KBStore
from kblampp.selector import Selection
from kblampp.train.batches import Batch, Example


@dataclass(frozen=True)
class Alignment:
    """Of B answers of A tokens, right-aligned."""

    place: Tensor  # int64 [B]: which of the K + 1 facts has the answer; -1 where none has it word for word
    slots: Tensor  # int64 [B, A]: the token of its tail; 0 where there is none
    is_copied: Tensor  # bool [B, A]: the token stands in the tail


def align(batch: Batch, selection: Selection) -> Alignment:
    """Finds the tail of the gold fact in the answer, alone or inside a sentence.

    Alone, the token that ends the answer is the tail's as well; inside a sentence the words around the tail
    are the backbone's own. An answer without the tail, such as "yes", must not be copied from its slots.
    """
    rows = selection.facts.rows.tolist()
    targets = batch.targets.tolist()
    num_null = len(rows[0])
    places, slots, copied = [], torch.zeros_like(batch.targets), torch.zeros_like(batch.is_target)
    for number, gold in enumerate(batch.gold_rows):
        first = int((~batch.is_target[number]).sum())
        answer = targets[number][first:]
        place, start, length = -1, 0, 0
        if bool(batch.is_unanswerable[number]):
            place, length = num_null, len(answer)
        elif gold and gold[-1] in rows[number]:
            at = rows[number].index(gold[-1])
            tail = [token for token in selection.facts.tail_ids[number, at].tolist() if token != NO_TOKEN]
            start, length = _run(answer, tail)
            place = at if length else -1
        places.append(place)
        slots[number, first + start : first + start + length] = torch.arange(length, device=slots.device)
        copied[number, first + start : first + start + length] = True
    return Alignment(torch.tensor(places, device=slots.device), slots, copied)


def num_not_copied(examples: Iterable[Example], store: KBStore) -> int:
    """How many answers do not hold the tokens that the store keeps of their fact: these are not copied."""
    tail_ids = store.array("tail_ids")
    total = 0
    for example in examples:
        if example.gold_rows:
            tail = [int(token) for token in tail_ids[example.gold_rows[-1]] if token != NO_TOKEN]
            total += _run(example.answer_ids, tail) == (0, 0)
    return total


def _run(answer: list[int], tail: list[int]) -> tuple[int, int]:
    """Where the tail stands in the answer, and how many of its tokens; (0, 0) when it does not."""
    if answer == tail:
        return 0, len(tail)
    inside = tail[:-1]
    for start in range(len(answer) - len(inside)):
        if inside and answer[start : start + len(inside)] == inside:
            return start, len(inside)
    return 0, 0
