"""From candidates to the facts that are injected, each with its weight alpha."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kblampp.graph_reasoning import NUM_DEPTHS, NUM_FITS, GraphReasoning, Reasoned
from kblampp.kb_store import FactTensors
from kblampp.query_tensors import QueryTensors
from kblampp.retrieved import Retrieved
from kblampp.scorers import ContextScorer, NameScorer, QueryMap, SemanticScorer, TimeScorer

_UNTRAINED_MARGIN = 4.0
MAX_REASONED = 96
"""Candidates that are reasoned over: the attention grows with the square of their number."""
_SPREAD = 10.0
"""Cosines of a question with facts differ by about a tenth: brought to the size of the other numbers."""
NO_SCORE = -1e4
"""Of what is no candidate. Not -inf: the gradient of a temperature would be 0 times infinity."""


@dataclass(frozen=True)
class Selection:
    """What was chosen for B questions: of C candidates K, and the null fact, which stands last.

    The null fact says that nothing known answers the question; its value is the refusal.
    """

    scores: Tensor  # float [B, C + 1]; NO_SCORE where there is no candidate
    places: Tensor  # int64 [B, K]: which candidates
    log_alpha: Tensor  # float [B, K + 1]
    facts: FactTensors  # [B, K]; keys and tails with what graph reasoning added
    ways: Tensor  # int64 [B, K, num_hops], of `Retrieved`

    @property
    def alpha(self) -> Tensor:
        """float [B, K + 1]; sums to 1."""
        return self.log_alpha.exp()


@dataclass(frozen=True)
class _Terms:
    """What scores are made of, float [B, C] each, and what graph reasoning reads, float [B, C, NUM_FITS]."""

    semantic: Tensor
    path: Tensor
    parts: Tensor
    context: Tensor
    time: Tensor
    named: Tensor
    fits: Tensor


class KBSelector(nn.Module):
    """score = z . k / sqrt(d) + rho * s_path + mu * s_parts + gamma * s_context + eta * s_time
    + delta * s_name, and beside these what each of them and of the frozen vectors' own cosines is worth at a
    candidate's depth, and what reasoning adds.

    Args:
        d: dimensions of keys and questions.
        rho, mu, gamma, eta, delta, temperature: to start with.
        sharpness: the temperature is divided by it where nothing is trained: of a fact that comes close
            second, words are said in place of the first's.
        is_learnable: whether these learn.
        use_graph: relational attention over the candidates.
    """

    def __init__(
        self,
        d: int,
        *,
        rho: float = 1.0,
        mu: float = 1.0,
        gamma: float = 1.0,
        eta: float = 1.0,
        delta: float = 2.0,
        temperature: float = 1.0,
        sharpness: float = 1.0,
        is_learnable: bool = True,
        use_graph: bool = True,
    ) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.query_map = QueryMap(d)
        self.path_map = QueryMap(d)
        self.semantic = SemanticScorer()
        self.context = ContextScorer()
        self.time = TimeScorer()
        self.name = NameScorer()
        self.rho = nn.Parameter(torch.tensor(rho), requires_grad=is_learnable)
        self.mu = nn.Parameter(torch.tensor(mu), requires_grad=is_learnable)
        self.gamma = nn.Parameter(torch.tensor(gamma), requires_grad=is_learnable)
        self.eta = nn.Parameter(torch.tensor(eta), requires_grad=is_learnable)
        self.delta = nn.Parameter(torch.tensor(delta), requires_grad=is_learnable)
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log(), requires_grad=is_learnable)
        self.by_depth = nn.Embedding(NUM_DEPTHS, NUM_FITS + 1)
        self.null = nn.Linear(4, 1)
        with torch.no_grad():
            self.by_depth.weight.zero_()
            self.null.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
            self.null.bias.fill_(-_UNTRAINED_MARGIN)
        self.graph = GraphReasoning(d) if use_graph else None

    def score(self, query: QueryTensors, found: Retrieved) -> tuple[Tensor, FactTensors]:
        """Scores of all candidates and the null fact, float [B, C + 1], and the facts as reasoning left them.

        Args:
            query: B questions.
            found: their candidates.
        """
        terms, facts = self._terms(query, found), found.facts
        scores = terms.semantic + self.rho * terms.path + self.mu * terms.parts
        scores = scores + self.gamma * terms.context + self.eta * terms.time + self.delta * terms.named
        worth = self.by_depth(found.depth.clamp(max=NUM_DEPTHS - 1))
        scores = scores + (worth[..., :-1] * terms.fits).sum(-1) + worth[..., -1]
        null = torch.zeros_like(scores)
        if self.graph is not None:
            scores, null, facts = self._reason(found, scores, terms.fits)
        scores = scores.masked_fill(~found.is_real, NO_SCORE)
        of_null = self._null_score(scores, terms.named * found.is_real)
        of_null = of_null + null.gather(1, scores.argmax(-1, keepdim=True))
        return torch.cat([scores, of_null], -1), facts

    def _reason(self, found: Retrieved, scores: Tensor, fits: Tensor) -> tuple[Tensor, Tensor, FactTensors]:
        """Scores of candidates, what each adds to the null fact's as the best, and facts, after reasoning."""
        assert self.graph is not None
        order = scores.detach().masked_fill(~found.is_real, NO_SCORE)
        places = order.topk(min(MAX_REASONED, scores.shape[1]), dim=-1).indices
        reasoned = self.graph(
            found.facts.pick(places),
            _picked(fits, places),
            *(it.gather(1, places) for it in (found.depth, found.is_real)),
        )
        to_score = torch.zeros_like(scores).scatter(1, places, reasoned.to_score)
        to_null = torch.zeros_like(scores).scatter(1, places, reasoned.to_null)
        return scores + to_score, to_null, _added(found.facts, places, reasoned)

    def _terms(self, query: QueryTensors, found: Retrieved) -> _Terms:
        facts, question, masked = found.facts, query.vectors, query.masked
        root_d = facts.keys.shape[-1] ** 0.5
        semantic = self.semantic(self.query_map(question), facts.keys)
        to_paths = torch.einsum("bd,bkvd->bkv", masked, found.paths)
        path = self.semantic(self.path_map(masked), whole_path(found.paths))
        context = self.context(question, facts.contexts)
        time = self.time(query.asked, facts.times)
        named = self.name(query.words, found.root_words)
        cosines = [
            semantic / root_d,
            path / root_d,
            _cosines(question, facts.keys),
            *to_paths.unbind(-1),
            _cosines(masked, facts.relation_vectors),
            _cosines(masked, facts.tails),
            context,
            *found.fits.unbind(-1),
        ]
        fits = [*(_SPREAD * it for it in cosines), time, named]
        return _Terms(
            semantic, path, found.fits[..., 0] * root_d, context, time, named, torch.stack(fits, -1)
        )

    def forward(
        self, query: QueryTensors, found: Retrieved, k: int, must_have: Tensor | None = None
    ) -> Selection:
        """Chooses k facts.

        Args:
            query: B questions.
            found: their candidates.
            k: how many; all when there are fewer.
            must_have: bool [B, C]: candidates that are chosen whatever their score, for training.
        """
        scores, facts = self.score(query, found)
        k = min(k, facts.keys.shape[1])
        order = scores[:, :-1].detach()
        if must_have is not None:
            order = order.masked_fill(must_have, float("inf"))
        places = order.topk(k, dim=-1).indices
        chosen = torch.cat([scores[:, :-1].gather(1, places), scores[:, -1:]], -1)
        temperature = self.log_temperature.exp() / (1.0 if self.training else self.sharpness)
        log_alpha = (chosen / temperature).log_softmax(-1)
        return Selection(scores, places, log_alpha, facts.pick(places), _picked(found.ways, places))

    def _null_score(self, scores: Tensor, named: Tensor) -> Tensor:
        """float [B, 1] from the best score, its leads over second and mean, and the best name score."""
        best = scores.topk(min(8, scores.shape[1]), dim=-1).values
        best = torch.where(best <= NO_SCORE, best[:, :1], best)
        first, second = best[:, 0], best[:, min(1, best.shape[1] - 1)]
        features = torch.stack([first, first - second, first - best.mean(-1), named.amax(-1)], -1)
        # Without a single candidate there is nothing to lead.
        null: Tensor = self.null(features.masked_fill((first <= NO_SCORE)[:, None], 0.0))
        return null


def whole_path(views: Tensor) -> Tensor:
    """float [B, C, d]: the mean of a path's two texts, of length 1."""
    return nn.functional.normalize(views[..., :2, :].sum(-2), dim=-1)


def _cosines(questions: Tensor, vectors: Tensor) -> Tensor:
    return torch.einsum("bd,bkd->bk", questions, vectors)


def _picked(values: Tensor, places: Tensor) -> Tensor:
    return values.gather(1, places[..., None].expand(*places.shape, values.shape[-1]))


def _added(facts: FactTensors, places: Tensor, reasoned: Reasoned) -> FactTensors:
    index = places[..., None].expand_as(reasoned.to_key)
    keys = facts.keys.scatter_add(1, index, reasoned.to_key)
    return replace(facts, keys=keys, tails=facts.tails.scatter_add(1, index, reasoned.to_value))
