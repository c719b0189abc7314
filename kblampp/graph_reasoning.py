"""Relational attention over the facts at hand: what one fact says of another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kblampp.kb_store import NO_ENTITY, FactTensors

EDGES = ("itself", "same head", "leads to", "comes from", "earlier", "later")
NUM_DEPTHS = 3
"""Depths told apart: candidates that were reached over two tails or more count alike."""
NUM_FITS = 15
"""Numbers that say how a fact fits a question."""


def edges_of(facts: FactTensors) -> Tensor:
    """bool [B, K, K, len(EDGES)]: which edges run from fact i to fact j.

    'leads to': the tail of i is the head of j. 'earlier': both have one head, and i ends before j starts.
    """
    heads, tails = facts.entities.unbind(-1)
    same_head = (heads[:, :, None] == heads[:, None]) & (heads != NO_ENTITY)[:, :, None]
    leads = (tails[:, :, None] == heads[:, None]) & (tails != NO_ENTITY)[:, :, None]
    earlier = same_head & (facts.times[:, :, None, 1] < facts.times[:, None, :, 0])
    itself = torch.eye(heads.shape[1], dtype=torch.bool, device=heads.device).expand_as(same_head)
    return torch.stack(
        [itself, same_head & ~itself, leads, leads.transpose(1, 2), earlier, earlier.transpose(1, 2)], -1
    )


class _Layer(nn.Module):
    """Attention along edges, each kind with a bias of its own and a vector that it adds to what it brings."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.edge_bias = nn.Parameter(torch.zeros(len(EDGES), num_heads))
        self.edge_vectors = nn.Parameter(torch.randn(len(EDGES), width) * 0.1)
        self.out = nn.Linear(width, width, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """float [B, K, width] of x [B, K, width] and edges [B, K, K, len(EDGES)] from i to j."""
        B, K, width = x.shape
        q, k, v = self.queries_keys_values(self.norm(x)).view(B, K, 3, self.num_heads, -1).unbind(2)
        # Fact j asks, fact i answers: i comes first in `edges`.
        kinds = edges.float()
        logits = torch.einsum("bjhd,bihd->bijh", q, k) / q.shape[-1] ** 0.5 + kinds @ self.edge_bias
        weights = logits.masked_fill(~edges.any(-1, keepdim=True), float("-inf")).softmax(1)
        brought = torch.einsum("bijh,bihd->bjhd", weights, v).reshape(B, K, width)
        along = torch.einsum("bijh,bije->bjhe", weights, kinds)
        told = torch.einsum(
            "bjhe,ehd->bjhd", along, self.edge_vectors.view(len(EDGES), self.num_heads, -1)
        ).reshape(B, K, width)
        x = x + self.out(brought + told)
        return x + self.feed_forward(x)


@dataclass(frozen=True)
class Reasoned:
    """What reasoning adds to K candidates of B questions."""

    to_score: Tensor  # float [B, K]
    to_key: Tensor  # float [B, K, d]
    to_value: Tensor  # float [B, K, d]
    to_null: Tensor  # float [B, K]: to the null fact's score, if that candidate is the best


class GraphReasoning(nn.Module):
    """Two layers over the candidates of a question; what they find is added to score, key and value.

    A fact comes in as how well it fits, not as what it says: from vectors of keys and relations the module
    learned the relations of training by heart, and found fewer facts of others than it would have untrained.
    Every output starts at 0, so that an untrained module changes nothing.

    Args:
        d: dimensions of keys and values.
        width: of a fact's state.
    """

    def __init__(self, d: int, width: int = 96, num_layers: int = 2, num_heads: int = 4) -> None:
        super().__init__()
        self.fits = nn.Sequential(nn.Linear(NUM_FITS, width), nn.GELU(), nn.Linear(width, width))
        self.depth = nn.Embedding(NUM_DEPTHS, width)
        self.layers = nn.ModuleList(_Layer(width, num_heads) for _ in range(num_layers))
        self.to_score = nn.Linear(width, 1)
        self.to_key = nn.Linear(width, d)
        self.to_value = nn.Linear(width, d)
        self.to_null = nn.Linear(width, 1)
        for out in (self.to_score, self.to_key, self.to_value, self.to_null):
            nn.init.zeros_(out.weight)
            nn.init.zeros_(out.bias)

    def forward(self, facts: FactTensors, fits: Tensor, depth: Tensor, is_real: Tensor) -> Reasoned:
        """What is added.

        Args:
            facts: the candidates, for their entities and times.
            fits: float [B, K, NUM_FITS]: how each fits the question, of `KBSelector`.
            depth: int [B, K]: how many tails were followed to find the fact.
            is_real: bool [B, K]; what is not is neither asked nor heard.
        """
        x = self.fits(fits) + self.depth(depth.clamp(max=NUM_DEPTHS - 1))
        edges = edges_of(facts)
        itself = edges[..., :1]
        heard = (is_real[:, :, None] & is_real[:, None])[..., None]
        edges = torch.cat([itself, edges[..., 1:] & heard], -1)
        for layer in self.layers:
            x = layer(x, edges)
        return Reasoned(
            self.to_score(x).squeeze(-1), self.to_key(x), self.to_value(x), self.to_null(x).squeeze(-1)
        )
