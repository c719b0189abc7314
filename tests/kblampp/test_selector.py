"""Scores by hand, and what is chosen by them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import pytest
import torch
from torch import Tensor

from kblampp.graph_reasoning import EDGES, NUM_FITS, GraphReasoning, edges_of
from kblampp.kb_store import NO_ENTITY, FactTensors
from kblampp.name_words import hashed_words, words_of
from kblampp.query_tensors import QueryTensors
from kblampp.readings import MAX_READINGS
from kblampp.readings import NUM_FITS as NUM_PART_FITS
from kblampp.relation_paths import NUM_VIEWS
from kblampp.retrieved import Retrieved
from kblampp.scorers import NameScorer, QueryMap, TimeScorer, holds_at
from kblampp.selector import MAX_REASONED, KBSelector
from kblampp.time_features import NUM_FEATURES, as_days, is_timeless, time_features
from kblampp.time_window import TIMELESS, TimeWindow

d = 4


def years(first: int | None, last: int | None) -> TimeWindow:
    return TimeWindow(first and date(first, 1, 1), last and date(last, 12, 31))


def days(*windows: TimeWindow) -> Tensor:
    return torch.from_numpy(as_days(windows)).long()


def some_facts(keys: list[list[float]], windows: list[TimeWindow], entities: list[list[int]]) -> FactTensors:
    K = len(keys)
    vectors = torch.tensor(keys)[None]
    return FactTensors(
        rows=torch.arange(K)[None],
        keys=vectors,
        contexts=torch.zeros(1, K, d),
        tails=torch.zeros(1, K, d),
        tail_ids=torch.zeros(1, K, 3, dtype=torch.long),
        times=days(*windows)[None],
        name_words=torch.from_numpy(hashed_words(NAMES[:K])).long()[None],
        entities=torch.tensor(entities)[None],
        relation_vectors=vectors,
    )


def found(
    facts: FactTensors,
    is_real: Tensor | None = None,
    paths: Tensor | None = None,
    fits: Tensor | None = None,
) -> Retrieved:
    B, K = facts.rows.shape
    return Retrieved(
        facts=facts,
        depth=torch.zeros(B, K, dtype=torch.long),
        is_real=torch.ones(B, K, dtype=torch.bool) if is_real is None else is_real,
        ways=torch.zeros(B, K, 1, dtype=torch.long),
        root_words=facts.name_words,
        paths=torch.zeros(B, K, NUM_VIEWS, d) if paths is None else paths,
        fits=torch.zeros(B, K, NUM_PART_FITS) if fits is None else fits,
    )


def plain() -> KBSelector:
    return KBSelector(d, use_graph=False)


NAMES = ["Ada Brook", "Ada Lund", "Otto Lund"]
KEYS = [[1.0, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 1, 0, 0]]
QUESTION = torch.tensor([[1.0, 0, 0, 0]])
ALL = torch.ones(1, 3, dtype=torch.bool)
DEPTH = torch.zeros(1, 3, dtype=torch.long)


def asking(window: TimeWindow = TIMELESS, words: str = "who is it") -> QueryTensors:
    return QueryTensors(
        vectors=QUESTION,
        masked=QUESTION,
        readings=torch.zeros(1, MAX_READINGS, 2, d),
        asked=days(window),
        words=torch.from_numpy(hashed_words([words], None)).long(),
        entities=torch.full((1, 4), NO_ENTITY),
    )


def test_a_score_is_the_root_of_d_times_the_cosine_with_context_and_time_added() -> None:
    facts = some_facts(KEYS, [years(1990, 1999), TIMELESS, years(2005, 2005)], [[0, -1]] * 3)
    facts.contexts[0, 1] = QUESTION[0]
    scores, _ = plain().score(asking(years(1995, 1995)), found(facts))
    apart = (date(2005, 1, 1).toordinal() - date(1995, 12, 31).toordinal()) / 3652.5
    assert scores[0, :3].tolist() == pytest.approx([2 * 1 + 1, 2 * 0.8 + 1, -apart], abs=1e-4)


def test_a_name_counts_by_the_share_of_its_words() -> None:
    facts = some_facts(KEYS, [TIMELESS] * 3, [[0, -1]] * 3)
    question = torch.from_numpy(hashed_words(["Where does ADA Brook's employer sit?"], None)).long()
    assert NameScorer()(question, facts.name_words).tolist() == [[1.0, 0.5, 0.0]]
    asked = asking(words="Where does Ada Brook live?")
    scores, _ = KBSelector(d, use_graph=False, delta=3.0).score(asked, found(facts))
    assert scores[0, :3].tolist() == pytest.approx([2 + 3, 1.6 + 1.5, 0])
    assert words_of("O\u2019Neil\u2019s Zo\u00eb-Ann") == ["o", "neil", "zo\u00eb", "ann"]


def test_a_path_counts_by_the_mean_of_its_two_texts() -> None:
    facts = some_facts([[0.0, 0, 0, 1]] * 3, [TIMELESS] * 3, [[0, -1]] * 3)
    paths = torch.zeros(1, 3, NUM_VIEWS, d)
    paths[0, 0, :2] = QUESTION
    paths[0, 1, 0], paths[0, 1, 1, 1] = QUESTION[0], 1.0
    paths[0, 2, 2] = QUESTION
    scores, _ = KBSelector(d, use_graph=False, rho=3.0).score(asking(), found(facts, paths=paths))
    assert scores[0, :3].tolist() == pytest.approx([3 * 2, 3 * 2 * math.sqrt(0.5), 0], abs=1e-5)


def test_parts_count_by_the_mean_of_their_cosines() -> None:
    facts = some_facts([[0.0, 0, 0, 1]] * 3, [TIMELESS] * 3, [[0, -1]] * 3)
    fits = torch.tensor([[[0.9, 0.8, 0.1, 0.0], [0.5, 0.1, 0.9, -0.2], [0.0, 0.0, 0.9, 0.0]]])
    scores, _ = KBSelector(d, use_graph=False, mu=3.0).score(asking(), found(facts, fits=fits))
    assert scores[0, :3].tolist() == pytest.approx([3 * 2 * 0.9, 3 * 2 * 0.5, 0], abs=1e-5)


def test_depths_are_told_apart_once_trained() -> None:
    facts = some_facts(KEYS, [TIMELESS] * 3, [[0, -1]] * 3)
    selector, candidates = plain(), found(facts)
    with torch.no_grad():
        selector.by_depth.weight[1, -1] = 0.5
    before, _ = selector.score(asking(), candidates)
    candidates.depth[0, 1] = 1
    after, _ = selector.score(asking(), candidates)
    assert (after - before)[0, :3].tolist() == pytest.approx([0, 0.5, 0])


def test_the_best_candidates_alone_are_reasoned_over() -> None:
    torch.manual_seed(0)
    K = MAX_REASONED + 2
    keys = torch.nn.functional.normalize(torch.randn(K, d), dim=-1)
    order = (keys @ QUESTION[0]).argsort()
    facts = replace(
        some_facts(keys.tolist(), [TIMELESS] * K, [[0, -1]] * K), name_words=torch.zeros(1, K, 2).long()
    )
    selector = KBSelector(d)
    with torch.no_grad():
        plain_scores, _ = selector.score(asking(), found(facts))
        assert selector.graph is not None
        selector.graph.to_score.bias.fill_(0.25)
        scores, changed = selector.score(asking(), found(facts))
    added = (scores - plain_scores)[0, :-1]
    assert added[order[:2]].abs().max() == 0
    assert added[order[2:]].tolist() == pytest.approx([0.25] * MAX_REASONED, abs=1e-5)
    torch.testing.assert_close(changed.keys, facts.keys)


def test_a_question_without_a_time_does_not_look_at_times() -> None:
    facts = some_facts(KEYS, [years(1990, 1999), TIMELESS, years(2005, None)], [[0, -1]] * 3)
    selector = plain()
    torch.nn.init.normal_(selector.time.form)
    scores, _ = selector.score(asking(), found(facts))
    assert scores[0, :3].tolist() == pytest.approx([2.0, 1.6, 0.0])


@pytest.mark.parametrize(
    ("asked", "fact", "score"),
    [
        (years(1995, 1995), years(1990, 1999), 1.0),
        (years(1990, 1999), years(1990, 1994), 1826 / 3652),
        (years(1990, None), years(1995, 1996), 1.0),
        (years(1990, None), years(1980, 1985), -(1462 / 3652.5)),
        (years(1990, 1990), years(1900, 1901), -1.0),
        (years(1990, 1990), years(None, 1995), 1.0),
        (years(1990, 1990), TIMELESS, 0.0),
        (TIMELESS, years(1990, 1990), 0.0),
    ],
)
def test_time_by_hand(asked: TimeWindow, fact: TimeWindow, score: float) -> None:
    score_found = TimeScorer()(days(asked), days(fact)[None])
    assert float(score_found) == pytest.approx(score, abs=1e-3)
    assert bool(holds_at(days(asked), days(fact)[None])) == asked.overlaps(fact)


def test_time_features_of_open_sides_are_zero() -> None:
    found = time_features(days(TIMELESS, years(1990, None), years(1990, 1999)))
    assert found.shape == (3, NUM_FEATURES)
    assert not found[0, :-2].any()
    assert found[:, -2:].tolist() == [[1, 1], [0, 1], [0, 0]]
    assert found[1, :16].tolist() == found[2, :16].tolist()
    assert is_timeless(days(TIMELESS, years(None, 1990))).tolist() == [True, False]


def test_alpha_is_a_softmax_over_the_chosen_and_the_null_fact() -> None:
    facts = some_facts(KEYS, [TIMELESS] * 3, [[0, -1]] * 3)
    selector = KBSelector(d, use_graph=False, temperature=2.0)
    chosen = selector(asking(), found(facts), k=2)
    assert chosen.places.tolist() == [[0, 1]]
    null = 2.0 - 4.0  # the best score less the margin of an untrained selector
    raw = [math.exp(score / 2) for score in (2.0, 1.6, null)]
    assert chosen.alpha[0].tolist() == pytest.approx([it / sum(raw) for it in raw], abs=1e-5)
    assert chosen.facts.keys[0].tolist() == torch.tensor(KEYS[:2]).tolist()


def test_alpha_is_sharper_where_nothing_is_trained() -> None:
    facts = some_facts(KEYS, [TIMELESS] * 3, [[0, -1]] * 3)
    selector = KBSelector(d, use_graph=False, sharpness=2.0)
    as_trained = selector.train()(asking(), found(facts), k=2).log_alpha
    sharper = selector.eval()(asking(), found(facts), k=2).log_alpha
    torch.testing.assert_close(sharper, (2 * as_trained).log_softmax(-1))


def test_what_is_no_candidate_has_no_weight_and_what_must_be_there_is() -> None:
    facts = some_facts(KEYS, [TIMELESS] * 3, [[0, -1]] * 3)
    real = torch.tensor([[True, False, True]])
    chosen = plain()(asking(), found(facts, real), k=3)
    weights = dict(zip(chosen.places[0].tolist(), chosen.alpha[0].tolist(), strict=False))
    assert weights[1] == 0
    assert float(chosen.alpha.sum()) == pytest.approx(1)
    must = torch.tensor([[False, False, True]])
    assert plain()(asking(), found(facts), k=1, must_have=must).places.tolist() == [[2]]
    nothing = plain()(asking(), found(facts, torch.zeros_like(real)), k=3)
    assert float(nothing.alpha[0, -1]) == pytest.approx(1)


def test_gradients_are_finite_with_padding() -> None:
    facts = some_facts(KEYS, [years(1990, 1999), TIMELESS, years(2005, None)], [[0, 1], [1, 2], [2, -1]])
    selector = KBSelector(d)
    real = torch.tensor([[True, True, False]])
    selector(asking(years(1995, 1996)), found(facts, real), k=2).log_alpha[:, 0].sum().backward()
    for name, parameter in selector.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    assert selector.query_map.change.grad is not None and selector.query_map.change.grad.any()


def test_the_query_map_starts_as_the_identity() -> None:
    query_map = QueryMap(d)
    vectors = torch.nn.functional.normalize(torch.randn(5, d), dim=-1)
    torch.testing.assert_close(query_map(vectors), vectors)
    assert float(query_map.distance_from_identity()) == 0
    with torch.no_grad():
        query_map.change.fill_(0.5)
    assert float(query_map.distance_from_identity()) == pytest.approx(16 * 0.25 / 4)


def test_edges_by_hand() -> None:
    facts = some_facts(
        KEYS, [years(1980, 1985), years(1990, 1995), TIMELESS], [[0, 7], [0, NO_ENTITY], [7, NO_ENTITY]]
    )
    edges = edges_of(facts)[0]
    found = {
        (i, j): [EDGES[kind] for kind in range(len(EDGES)) if edges[i, j, kind]]
        for i in range(3)
        for j in range(3)
    }
    assert found[0, 0] == ["itself"]
    assert found[0, 1] == ["same head", "earlier"]
    assert found[1, 0] == ["same head", "later"]
    assert found[0, 2] == ["leads to"]
    assert found[2, 0] == ["comes from"]
    assert found[1, 2] == found[2, 1] == []


def test_reasoning_adds_nothing_untrained_and_reaches_two_hops_trained() -> None:
    torch.manual_seed(0)
    reasoning = GraphReasoning(d, width=8)
    facts = some_facts(KEYS, [TIMELESS] * 3, [[0, 1], [1, 2], [2, NO_ENTITY]])
    fits = torch.rand(1, 3, NUM_FITS, requires_grad=True)
    reasoned = reasoning(facts, fits, DEPTH, ALL)
    for added in (reasoned.to_score, reasoned.to_key, reasoned.to_value, reasoned.to_null):
        assert not added.any()
    torch.nn.init.normal_(reasoning.to_score.weight)
    unheard = torch.tensor([[True, False, True]])
    for real, reached in ((ALL, [True, True, True]), (unheard, [False, False, True])):
        fits.grad = None
        reasoning(facts, fits, DEPTH, real).to_score[0, 2].backward()
        assert fits.grad is not None
        assert fits.grad[0].abs().sum(-1).gt(0).tolist() == reached
