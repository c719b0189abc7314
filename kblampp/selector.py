"""From candidates to the facts that are injected, each with its weight alpha."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kblampp.graph_reasoning import GraphReasoning
from kblampp.kb_store import FactTensors
from kblampp.scorers import ContextScorer, NameScorer, QueryMap, SemanticScorer, TimeScorer

_UNTRAINED_MARGIN = 4.0
NO_SCORE = -1e4
"""Of what is no candidate. Not -inf: the gradient of a temperature would be 0 times infinity."""


@dataclass(frozen=True)
class QueryTensors:
    """B questions, encoded."""

    vectors: Tensor  # float32 [B, d], of length 1
    asked: Tensor  # int64 [B, 2]: the time that each asks about, in days
    words: Tensor  # int64 [B, W]: their words as numbers


@dataclass(frozen=True)
class Selection:
    """What was chosen for B questions: of C candidates K, and the null fact, which stands last.

    The null fact says that nothing known answers the question; its value is the refusal.
    """

    scores: Tensor  # float [B, C + 1]; NO_SCORE where there is no candidate
    places: Tensor  # int64 [B, K]: which candidates
    log_alpha: Tensor  # float [B, K + 1]
    facts: FactTensors  # [B, K]; keys and tails with what graph reasoning added

    @property
    def alpha(self) -> Tensor:
        """float [B, K + 1]; sums to 1."""
        return self.log_alpha.exp()


@dataclass(frozen=True)
class _Terms:
    """What scores are made of, float [B, C] each, and what graph reasoning reads, float [B, C, NUM_FITS]."""

    semantic: Tensor
    context: Tensor
    time: Tensor
    named: Tensor
    fits: Tensor


class KBSelector(nn.Module):
    """score = z . k / sqrt(d) + gamma * s_context + eta * s_time + delta * s_name, and what reasoning adds.

    Args:
        d: dimensions of keys and questions.
        gamma, eta, delta, temperature: to start with.
        is_learnable: whether those four learn.
        use_graph: relational attention over the candidates.
    """

    def __init__(
        self,
        d: int,
        *,
        gamma: float = 1.0,
        eta: float = 1.0,
        delta: float = 2.0,
        temperature: float = 1.0,
        is_learnable: bool = True,
        use_graph: bool = True,
    ) -> None:
        super().__init__()
        self.query_map = QueryMap(d)
        self.semantic = SemanticScorer()
        self.context = ContextScorer()
        self.time = TimeScorer()
        self.name = NameScorer()
        self.gamma = nn.Parameter(torch.tensor(gamma), requires_grad=is_learnable)
        self.eta = nn.Parameter(torch.tensor(eta), requires_grad=is_learnable)
        self.delta = nn.Parameter(torch.tensor(delta), requires_grad=is_learnable)
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log(), requires_grad=is_learnable)
        self.null = nn.Linear(4, 1)
        with torch.no_grad():
            self.null.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
            self.null.bias.fill_(-_UNTRAINED_MARGIN)
        self.graph = GraphReasoning(d) if use_graph else None

    def score(
        self, query: QueryTensors, facts: FactTensors, depth: Tensor, is_real: Tensor
    ) -> tuple[Tensor, FactTensors]:
        """Scores of all candidates and the null fact, float [B, C + 1], and the facts as reasoning left them.

        Args:
            query: B questions.
            facts: candidates [B, C].
            depth: int [B, C]: how many tails were followed.
            is_real: bool [B, C].
        """
        terms = self._terms(query, facts)
        scores = (
            terms.semantic + self.gamma * terms.context + self.eta * terms.time + self.delta * terms.named
        )
        null = torch.zeros_like(scores)
        if self.graph is not None:
            reasoned = self.graph(facts, terms.fits, depth, is_real)
            scores, null = scores + reasoned.to_score, reasoned.to_null
            facts = _added(facts, reasoned.to_key, reasoned.to_value)
        scores = scores.masked_fill(~is_real, NO_SCORE)
        of_null = self._null_score(scores, terms.named * is_real)
        of_null = of_null + null.gather(1, scores.argmax(-1, keepdim=True))
        return torch.cat([scores, of_null], -1), facts

    def _terms(self, query: QueryTensors, facts: FactTensors) -> _Terms:
        question = query.vectors
        semantic = self.semantic(self.query_map(question), facts.keys)
        context = self.context(question, facts.contexts)
        time = self.time(query.asked, facts.times)
        named = self.name(query.words, facts.name_words)
        raw = torch.einsum("bd,bkd->bk", question, facts.keys)
        relation = torch.einsum("bd,bkd->bk", question, facts.relation_vectors)
        mapped = semantic / facts.keys.shape[-1] ** 0.5
        fits = torch.stack([mapped, raw, relation, context, time, named], -1)
        return _Terms(semantic, context, time, named, fits)

    def forward(
        self,
        query: QueryTensors,
        facts: FactTensors,
        depth: Tensor,
        is_real: Tensor,
        k: int,
        must_have: Tensor | None = None,
    ) -> Selection:
        """Chooses k facts; arguments as `score`.

        Args:
            k: how many; all when there are fewer.
            must_have: bool [B, C]: candidates that are chosen whatever their score, for training.
        """
        scores, facts = self.score(query, facts, depth, is_real)
        k = min(k, facts.keys.shape[1])
        order = scores[:, :-1].detach()
        if must_have is not None:
            order = order.masked_fill(must_have, float("inf"))
        places = order.topk(k, dim=-1).indices
        chosen = torch.cat([scores[:, :-1].gather(1, places), scores[:, -1:]], -1)
        log_alpha = (chosen / self.log_temperature.exp()).log_softmax(-1)
        return Selection(scores, places, log_alpha, facts.pick(places))

    def _null_score(self, scores: Tensor, named: Tensor) -> Tensor:
        """float [B, 1] from the best score, its leads over second and mean, and the best name score."""
        best = scores.topk(min(8, scores.shape[1]), dim=-1).values
        best = torch.where(best <= NO_SCORE, best[:, :1], best)
        first, second = best[:, 0], best[:, min(1, best.shape[1] - 1)]
        features = torch.stack([first, first - second, first - best.mean(-1), named.amax(-1)], -1)
        # Without a single candidate there is nothing to lead.
        null: Tensor = self.null(features.masked_fill((first <= NO_SCORE)[:, None], 0.0))
        return null


def _added(facts: FactTensors, to_key: Tensor, to_value: Tensor) -> FactTensors:
    changed = {"keys": facts.keys + to_key, "tails": facts.tails + to_value}
    values = {name: getattr(facts, name) for name in facts.__dataclass_fields__}
    return FactTensors(**(values | changed))
