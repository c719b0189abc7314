"""How sure the selector must be before an answer is given, set on validation questions."""

from __future__ import annotations

import torch
from torch import Tensor

from kblampp.answer_format import AnswerFormat
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.train.batches import Collator, QuestionDataset
from kblampp.train.objective import Objective


@torch.no_grad()
def calibrate_refusal(
    model: KBInjectedModel,
    objective: Objective,
    questions: QuestionDataset,
    batch_size: int,
    answers: AnswerFormat,
) -> float:
    """Moves the null fact's score so that refusals are right most often; returns by how much.

    The score was learned on wordings of training, which lie nearer to their facts than others do, so that it
    refuses too often. The share of the questions that are refused or not as they should be is made largest,
    in the mixture that the validation questions are. Nothing is moved when they are of one kind alone.
    """
    device = str(model.device)
    collate = Collator(answers.tokenizer.pad_token_id, device)
    leads, is_unanswerable = [], []
    for start in range(0, len(questions), batch_size):
        batch = collate(questions.examples[start : start + batch_size])["batch"]
        found = objective.retriever.retrieve(model.selector, batch.query)
        scores, _ = model.selector.score(batch.query, found)
        leads.append(scores[:, :-1].amax(-1) - scores[:, -1])
        is_unanswerable.append(batch.is_unanswerable)
    shift = best_shift(torch.cat(leads), torch.cat(is_unanswerable))
    model.selector.null.bias.add_(shift)
    return shift


def best_shift(leads: Tensor, is_unanswerable: Tensor) -> float:
    """The threshold of leads that tells both kinds apart best; 0 for one kind alone.

    Args:
        leads: float [N]: how far the best fact is above the null fact.
        is_unanswerable: bool [N].
    """
    if is_unanswerable.all() or not is_unanswerable.any():
        return 0.0
    ordered = leads.sort().values
    thresholds = torch.cat([ordered[:1] - 1, (ordered[:-1] + ordered[1:]) / 2, ordered[-1:] + 1])
    refused = leads[None] < thresholds[:, None]
    return float(thresholds[(refused == is_unanswerable).sum(-1).argmax()])
