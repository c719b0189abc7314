"""The injected attention: a token's state looks at the chosen facts and takes what it needs.

B questions, T tokens, K facts and the null fact, m value slots, D the backbone's width, d the encoder's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_KEY_SCALE = 0.1
_LOW_RANK = 64


@dataclass(frozen=True)
class Knowledge:
    """The facts of a batch as the layers see them; the null fact is the last of the K + 1."""

    keys: Tensor  # float [B, K + 1, d]
    log_alpha: Tensor  # float [B, K + 1]
    slots: Tensor  # float [B, K + 1, m, D]: the tails' tokens, root mean square about 1
    is_slot: Tensor  # bool [B, K + 1, m]
    tails: Tensor  # float [B, K + 1, d]: the tails' vectors
    slot_ids: Tensor  # int64 [B, K + 1, m]: those tokens; negative where there is none

    def for_batch(self, size: int) -> Knowledge:
        """Repeated for `size` rows, as a beam search has. Raises ValueError if that does not divide."""
        have = self.keys.shape[0]
        if size == have:
            return self
        if size % have:
            raise ValueError(f"a batch of {size} rows cannot share the facts of {have} questions")
        return Knowledge(
            *(getattr(self, name).repeat_interleave(size // have, 0) for name in self.__dataclass_fields__)
        )


@dataclass(frozen=True)
class Injected:
    """What one layer did."""

    hidden: Tensor  # [B, T, D], of the type that came in
    weights: Tensor  # float [B, T, K + 1, m']: a_ij; sums to 1 over facts and slots
    beta: Tensor  # float [B, T]: how far the gate is open
    state: Tensor  # float [B, T, D]: the states before, root mean square 1


def _reader(d_model: int, d_attention: int) -> nn.Sequential:
    """From state, early state and token to a query; what was said so far is not linear in them."""
    return nn.Sequential(
        nn.Linear(3 * d_model, 2 * d_attention, bias=False),
        nn.GELU(),
        nn.Linear(2 * d_attention, d_attention, bias=False),
    )


class KBAttention(nn.Module):
    """h <- h + beta * (g * rms(h) * o + U o), o the mean of the values by a_ij.

    a_ij is a softmax over facts i and slots j of three terms: how the token's state fits the fact's key, with
    log alpha_i as prior; how it fits the slot's position; and how it and the token just read fit the tail's
    token before the slot, so that a tail that was begun goes on. g and U start at 0: an untrained module adds
    0. rms(h) makes g mean the same for every backbone.

    Args:
        d_model: D.
        d_key: d.
        d_attention: width of queries and keys.
        num_slots: m.
        value_source: backbone (the tail's tokens), encoder (one slot, the tail's vector) or both.
    """

    def __init__(
        self, d_model: int, d_key: int, d_attention: int, num_slots: int, value_source: str = "backbone"
    ) -> None:
        super().__init__()
        self.value_source = value_source
        self.query = nn.Linear(d_model, d_attention, bias=False)
        self.key = nn.Linear(d_key, d_attention, bias=False)
        self.slot_query = _reader(d_model, d_attention)
        self.slot_places = nn.Parameter(torch.randn(num_slots + 1, d_attention) * 0.5)
        if value_source != "encoder":
            self.next_query = _reader(d_model, d_attention)
            self.next_key = nn.Linear(d_model, d_attention, bias=False)
            self.start = nn.Parameter(torch.randn(d_model) * 0.1)
        if value_source != "backbone":
            self.value = nn.Linear(d_key, d_model, bias=False)
        self.scale = nn.Parameter(torch.zeros(()))
        self.down = nn.Linear(d_model, _LOW_RANK, bias=False)
        self.up = nn.Linear(_LOW_RANK, d_model, bias=False)
        nn.init.zeros_(self.up.weight)
        self.gate = nn.Linear(2 * d_model, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, hidden: Tensor, early: Tensor, embedded: Tensor, knowledge: Knowledge) -> Injected:
        """Adds the facts to the states.

        Args:
            hidden: [B, T, D], the states that a layer is about to read.
            early: [B, T, D], the states some layers above the embeddings, where a token still knows those
                just before it: a tail with one token twice is said wrong without.
            embedded: [B, T, D], the embeddings of the tokens, root mean square about 1.
            knowledge: the facts of each row.
        """
        h = hidden.float()
        rms = h.square().mean(-1, keepdim=True).add(1e-5).sqrt()
        state = h / rms
        early = early.float()
        early = early / early.square().mean(-1, keepdim=True).add(1e-5).sqrt()
        seen = torch.cat([state, early, embedded.float()], -1)
        values, is_value = self._values(knowledge)
        weights = self._weights(state, seen, knowledge, is_value)
        o = torch.einsum("btkm,bkmd->btd", weights, values)
        beta = self.gate(torch.cat([state, o], -1)).sigmoid()
        change = beta * (self.scale * rms.detach() * o + self.up(self.down(o)))
        return Injected((h + change).to(hidden.dtype), weights, beta.squeeze(-1), state)

    def _values(self, knowledge: Knowledge) -> tuple[Tensor, Tensor]:
        """Values [B, K + 1, m', D] and which there are [B, K + 1, m']; the tail's vector is the last slot."""
        values, is_value = [], []
        if self.value_source != "encoder":
            values.append(knowledge.slots)
            is_value.append(knowledge.is_slot)
        if self.value_source != "backbone":
            root = knowledge.tails.shape[-1] ** 0.5
            values.append(self.value(knowledge.tails * root)[:, :, None])
            is_value.append(knowledge.is_slot.any(-1, keepdim=True))
        return torch.cat(values, 2), torch.cat(is_value, 2)

    def _weights(self, state: Tensor, seen: Tensor, knowledge: Knowledge, is_value: Tensor) -> Tensor:
        width = self.key.out_features**0.5
        keys = self.key(knowledge.keys * knowledge.keys.shape[-1] ** 0.5)
        fact = torch.einsum("bta,bka->btk", self.query(state), keys) / width * _KEY_SCALE
        fact = fact + knowledge.log_alpha[:, None]
        places = (
            self.slot_places[-is_value.shape[-1] :] if self.value_source == "encoder" else self.slot_places
        )
        place = self.slot_query(seen) @ places[: is_value.shape[-1]].T / width
        logits = fact[..., None] + place[:, :, None]
        if self.value_source != "encoder":
            logits = logits + self._continuing(seen, knowledge, is_value.shape[-1]) / width
        weights = logits.masked_fill(~is_value[:, None], float("-inf")).flatten(2).softmax(-1)
        return weights.view_as(logits)

    def _continuing(self, seen: Tensor, knowledge: Knowledge, num_slots: int) -> Tensor:
        """float [B, T, K + 1, m']: how what was just read fits the tail's token before each slot."""
        slots = knowledge.slots
        start = self.start.expand(*slots.shape[:2], 1, -1)
        before = self.next_key(torch.cat([start, slots[:, :, :-1]], 2))
        fits = torch.einsum("bta,bkma->btkm", self.next_query(seen), before)
        return nn.functional.pad(fits, (0, num_slots - fits.shape[-1]))
