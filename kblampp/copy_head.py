"""The pointer form: the weights on the tails' tokens, mixed into the distribution over the vocabulary.

Another mechanism than the injection beside it (See et al. 2017, section 2.2): it says tokens of facts without
asking the backbone, so that it is reported on its own line.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kblampp.fusion import Injected, Knowledge

_FLOOR = 1e-9


class CopyHead(nn.Module):
    """p <- p + s * g * (copied - p), where copied has the attention's weights on the tails' tokens.

    g = sigmoid(w . h + b) of the token's state, and s is a share between 0 and 1 that starts at 0:
    untrained it changes no logit.

    Args:
        d_model: width of the states.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, logits: Tensor, done: Injected, knowledge: Knowledge) -> Tensor:
        """Logits [B, T, V] with what the last injected layer looked at.

        Args:
            logits: [B, T, V], of the last T tokens.
            done: of the last injected layer, for all tokens.
            knowledge: the facts of the batch's rows.
        """
        if not self.training and float(self.scale) <= 0:
            return logits
        num_tokens, num_slots = logits.shape[1], knowledge.slots.shape[2]
        weights = done.weights[:, -num_tokens:, :, :num_slots]
        ids = knowledge.slot_ids.clamp(min=0).flatten(1)[:, None].expand(-1, num_tokens, -1)
        share = self.scale.clamp(0, 1) * self.gate(done.state[:, -num_tokens:]).sigmoid()
        p = logits.float().softmax(-1)
        mixed = (p * (1 - share)).scatter_add(-1, ids, share * weights.flatten(2))
        return (mixed + _FLOOR).log().to(logits.dtype)
