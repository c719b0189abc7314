"""Causal-delta: what the removal of a fact does."""

from __future__ import annotations

import numpy as np
import pytest

from kblampp.answering import Query, QuestionAnswerer
from kblampp.candidates import Asked, CandidateFinder
from kblampp.config import Config
from kblampp.eval.causal import causal_deltas
from tests.kblampp.injection import make_answerer, years

QUERY = Query("Who was the employer of Ada Brook in 1992?", years(1992, 1992))


def test_it_is_the_difference_of_two_log_probabilities(answerer: QuestionAnswerer) -> None:
    [answer] = answerer.answer([QUERY])
    rows = [it.row for it in answer.evidence[:2]]
    causal = causal_deltas(answerer, QUERY, "Lumen Mills", [*rows, rows[0]])
    [before] = answerer.log_probability([QUERY], ["Lumen Mills"])
    assert causal.log_probability == pytest.approx(before, abs=0.05)
    assert [it.row for it in causal.deltas] == rows
    for it in causal.deltas:
        [after] = answerer.log_probability([QUERY], ["Lumen Mills"], without=[[it.row]])
        assert it.delta == pytest.approx(after - before, abs=0.05)
        assert it.delta != 0


def test_an_injection_that_adds_nothing_has_no_effect(tiny_config: Config) -> None:
    untrained = make_answerer(tiny_config, is_stirred=False)
    causal = causal_deltas(untrained, QUERY, "Lumen Mills", [0, 1, 2])
    assert [it.delta for it in causal.deltas] == [0, 0, 0]


def test_a_fact_that_was_not_chosen_has_no_effect(answerer: QuestionAnswerer) -> None:
    found = answerer.select([QUERY], k=len(answerer.retriever.store)).facts.rows[0].tolist()
    rest = next(row for row in range(len(answerer.retriever.store)) if row not in found)
    [it] = causal_deltas(answerer, QUERY, "Lumen Mills", [rest]).deltas
    assert it.delta == 0


def test_what_only_a_removed_fact_leads_to_is_not_found(answerer: QuestionAnswerer) -> None:
    retriever = answerer.retriever
    row_of = retriever.store.row_of
    first, then = row_of["theo-lund/birthplace"], row_of["bexley/country"]
    query = np.array(retriever.store.array("K")[first], dtype=np.float32)
    finder = CandidateFinder(
        retriever.store, retriever.index, retriever.finder.paths, num_candidates=1, num_hops=2
    )
    found = finder.find([Asked(query, query, query), Asked(query, query, query, without=frozenset([first]))])
    assert first in found[0] and then in found[0]
    assert found[0][then].rows == (first, then)
    assert first not in found[1] and then not in found[1]
    assert found[1]


def test_a_store_without_any_fact_left_still_answers(answerer: QuestionAnswerer) -> None:
    every = list(range(len(answerer.retriever.store)))
    selection = answerer.select([QUERY], without=[every])
    assert float(selection.alpha[0, -1]) == pytest.approx(1, abs=1e-3)
