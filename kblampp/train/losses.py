"""What KB modules are trained for, each loss a pure function; docs/kblampp.md has the equations."""

from __future__ import annotations

import torch
from torch import Tensor

from kblampp.fusion import Injected
from kblampp.retrieved import Retrieved
from kblampp.scorers import holds_at
from kblampp.train.alignment import Alignment

ANSWER_SHARE = 0.8
"""Of the selector's target: what the fact with the answer gets where a question takes several."""
TIME_MARGIN = 1.0
_FLOOR = 1e-8


def answer_loss(logits: Tensor, targets: Tensor, is_target: Tensor) -> Tensor:
    """Cross-entropy of the answers' tokens, in nats a token.

    Args:
        logits: [B, A, V], at the places that choose the targets.
        targets: int [B, A].
        is_target: bool [B, A].
    """
    scores = logits.float().log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
    return -(scores * is_target).sum() / is_target.sum()


def selector_target(
    retrieved: Retrieved, gold_rows: list[tuple[int, ...]], is_unanswerable: Tensor
) -> Tensor:
    """The distribution that alpha should be, float [B, C + 1]: the null fact if unanswerable.

    The last supporting fact, which has the answer, gets `ANSWER_SHARE` and the others share the rest; all of
    a row is 0 where a question has neither facts nor is unanswerable, and such a row teaches nothing.
    """
    last = retrieved.is_among([rows[-1:] for rows in gold_rows]).float()
    others = retrieved.is_among([rows[:-1] for rows in gold_rows]).float()
    num_others = others.sum(-1, keepdim=True)
    share = torch.where(num_others > 0, ANSWER_SHARE, 1.0)
    target = share * last + (1 - share) * others / num_others.clamp(min=1)
    return torch.cat([target, is_unanswerable[:, None].float()], -1)


def selector_loss(scores: Tensor, target: Tensor, log_temperature: Tensor) -> Tensor:
    """InfoNCE (van den Oord et al. 2018, eq. 4) against the candidates of the index, the hardest negatives.

    Args:
        scores: [B, C + 1], of the selector.
        target: [B, C + 1], of `selector_target`.
        log_temperature: of alpha.
    """
    log_alpha = (scores / log_temperature.exp()).log_softmax(-1)
    teaches = target.sum(-1) > 0
    each = -(target * log_alpha).sum(-1)
    return (each * teaches).sum() / teaches.sum().clamp(min=1)


def attention_loss(injected: dict[int, Injected], alignment: Alignment) -> Tensor:
    """-log of the weight on the gold fact's next token, averaged over layers and copied tokens.

    Args:
        injected: what the layers did; the last A + 1 tokens choose the targets and end the sequence.
        alignment: of the answers' A tokens.
    """
    slots = alignment.slots
    counts = alignment.is_copied & (alignment.place >= 0)[:, None]
    total = torch.zeros((), device=slots.device)
    for done in injected.values():
        num_slots = done.weights.shape[-1]
        counts = counts & (slots < num_slots)
        choosing = done.weights[:, -slots.shape[1] - 1 : -1]
        place = alignment.place.clamp(min=0)[:, None, None, None].expand(-1, slots.shape[1], 1, num_slots)
        of_gold = choosing.gather(2, place).squeeze(2)
        weight = of_gold.gather(-1, slots.clamp(max=num_slots - 1)[..., None]).squeeze(-1)
        total = total - ((weight + _FLOOR).log() * counts).sum() / counts.sum().clamp(min=1)
    return total / max(len(injected), 1)


def time_loss(scores: Tensor, retrieved: Retrieved, target: Tensor, asked: Tensor) -> Tensor:
    """Hinge: facts about the gold fact's head that do not hold at the question's time score lower than it.

    Args:
        scores: [B, C + 1].
        retrieved: the candidates.
        target: [B, C + 1], of `selector_target`; its largest is the gold fact.
        asked: int [B, 2], in days.
    """
    gold = target[:, :-1].argmax(-1, keepdim=True)
    has_gold = target[:, :-1].amax(-1) > 0
    heads = retrieved.facts.entities[..., 0]
    rivals = (
        (heads == heads.gather(1, gold))
        & ~holds_at(asked, retrieved.facts.times)
        & retrieved.is_real
        & has_gold[:, None]
    )
    rivals.scatter_(1, gold, False)
    gap = TIME_MARGIN + scores[:, :-1] - scores.gather(1, gold)
    hinge = gap.clamp(min=0) * rivals
    return hinge.sum() / rivals.sum().clamp(min=1)


def path_loss(log_alpha: Tensor, target: Tensor, corrupted: Tensor) -> Tensor:
    """-log sigmoid of how much better the gold path is than one with a fact exchanged.

    Args:
        log_alpha: [B, C + 1].
        target: [B, C + 1]; a path is the candidates with a target, two at least.
        corrupted: int [B, 2]: a place of the path, and the place that stands in for it.
    """
    on_path = target[:, :-1] > 0
    has_path = on_path.sum(-1) > 1
    better = log_alpha.gather(1, corrupted[:, :1]) - log_alpha.gather(1, corrupted[:, 1:])
    each = -torch.nn.functional.logsigmoid(better.squeeze(1))
    return (each * has_path).sum() / has_path.sum().clamp(min=1)


def corrupt_paths(target: Tensor, is_real: Tensor, generator: torch.Generator) -> Tensor:
    """int [B, 2]: one fact of each path, and a candidate that is not on it, both drawn at random."""
    on_path = target[:, :-1] > 0
    fallback = torch.ones_like(on_path, dtype=torch.float)
    inside = torch.where(on_path.any(-1, keepdim=True), on_path.float(), fallback)
    off = is_real & ~on_path
    outside = torch.where(off.any(-1, keepdim=True), off.float(), fallback)
    drawn = [torch.multinomial(some.cpu(), 1, generator=generator) for some in (inside, outside)]
    return torch.cat(drawn, -1).to(target.device)
