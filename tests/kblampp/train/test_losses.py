"""Losses by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kblampp.fusion import Injected
from kblampp.kb_store import FactTensors
from kblampp.readings import NUM_FITS
from kblampp.relation_paths import NUM_VIEWS
from kblampp.retrieved import Retrieved
from kblampp.train import losses
from kblampp.train.alignment import Alignment
from kblampp.train.calibration import best_shift

YEAR = 365


def retrieved(
    rows: list[list[int]], heads: list[list[int]] | None = None, times: Tensor | None = None
) -> Retrieved:
    B, C = len(rows), len(rows[0])
    nothing = torch.zeros(B, C, 2)
    facts = FactTensors(
        rows=torch.tensor(rows),
        keys=nothing,
        contexts=nothing,
        tails=nothing,
        tail_ids=torch.zeros(B, C, 2, dtype=torch.long),
        times=torch.zeros(B, C, 2, dtype=torch.long) if times is None else times,
        name_words=torch.zeros(B, C, 1, dtype=torch.long),
        entities=torch.tensor([[[head, -1] for head in row] for row in (heads or rows)]),
        relation_vectors=nothing,
    )
    return Retrieved(
        facts=facts,
        depth=torch.zeros(B, C, dtype=torch.long),
        is_real=torch.ones(B, C, dtype=torch.bool),
        ways=torch.zeros(B, C, 1, dtype=torch.long),
        root_words=facts.name_words,
        paths=torch.zeros(B, C, NUM_VIEWS, 2),
        fits=torch.zeros(B, C, NUM_FITS),
    )


def test_answer_loss_is_a_mean_over_answer_tokens() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.5], [0.25, 0.75]], [[0.1, 0.9], [0.5, 0.5]]]))
    targets = torch.tensor([[0, 1], [1, 0]])
    counted = torch.tensor([[True, True], [False, True]])
    wanted = -(math.log(0.5) + math.log(0.75) + math.log(0.5)) / 3
    assert float(losses.answer_loss(logits, targets, counted)) == pytest.approx(wanted)


def test_the_selectors_target() -> None:
    found = retrieved([[7, 8, 9], [7, 8, 9], [7, 8, 9], [7, 8, 9]])
    gold: list[tuple[int, ...]] = [(8,), (9, 7), (), ()]
    unanswerable = torch.tensor([False, False, True, False])
    share = losses.ANSWER_SHARE
    wanted = [[0, 1, 0, 0], [share, 0, 1 - share, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    torch.testing.assert_close(losses.selector_target(found, gold, unanswerable), torch.tensor(wanted))


def test_selector_loss_passes_over_what_teaches_nothing() -> None:
    scores = torch.log(torch.tensor([[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]]))
    target = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(losses.selector_loss(scores, target, torch.tensor(0.0))) == pytest.approx(-math.log(0.3))
    squares = [it**2 for it in (0.2, 0.3, 0.5)]
    warmer = losses.selector_loss(scores, target, torch.tensor(0.5).log())
    assert float(warmer) == pytest.approx(-math.log(squares[1] / sum(squares)))


def test_attention_loss_looks_at_the_next_slot_of_the_gold_fact() -> None:
    weights = torch.full((1, 4, 2, 3), 0.05)  # four tokens; the last but one and the one before choose
    weights[0, 1, 1, 0], weights[0, 2, 1, 1] = 0.4, 0.2
    injected = {3: Injected(torch.zeros(1, 4, 1), weights, torch.zeros(1, 4), torch.zeros(1, 4, 1))}
    slots, copied = torch.tensor([[0, 1]]), torch.tensor([[True, True]])
    found = losses.attention_loss(injected, Alignment(torch.tensor([1]), slots, copied))
    assert float(found) == pytest.approx(-(math.log(0.4) + math.log(0.2)) / 2, abs=1e-4)
    assert float(losses.attention_loss(injected, Alignment(torch.tensor([-1]), slots, copied))) == 0
    only_first = Alignment(torch.tensor([1]), slots, torch.tensor([[True, False]]))
    assert float(losses.attention_loss(injected, only_first)) == pytest.approx(-math.log(0.4), abs=1e-4)


def test_time_loss_counts_rivals_of_one_head_that_do_not_hold() -> None:
    times = torch.tensor([[[10, 20], [30, 40], [30, 40], [12, 13]]]) * YEAR
    found = retrieved([[0, 1, 2, 3]], [[5, 5, 6, 5]], times)
    target = torch.tensor([[1.0, 0, 0, 0, 0]])
    scores = torch.tensor([[2.0, 1.5, 9.0, 9.0, 0.0]])
    asked = torch.tensor([[12, 13]]) * YEAR
    # Fact 1 alone: fact 2 has another head, fact 3 holds at the time.
    assert float(losses.time_loss(scores, found, target, asked)) == pytest.approx(1 + 1.5 - 2.0)
    timeless = torch.tensor([[0, 99999999]])
    assert float(losses.time_loss(scores, found, target, timeless)) == 0
    assert float(losses.time_loss(scores, found, torch.zeros(1, 5), asked)) == 0


def test_path_loss_compares_a_path_with_a_corrupted_one() -> None:
    target = torch.tensor([[0.2, 0.8, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    log_alpha = torch.tensor([[-1.0, -2.0, -3.0, -9.0], [-1.0, -2.0, -3.0, -9.0]])
    corrupted = torch.tensor([[1, 2], [0, 1]])
    wanted = math.log(1 + math.exp(-1.0))  # the second question has no path
    assert float(losses.path_loss(log_alpha, target, corrupted)) == pytest.approx(wanted)
    drawn = losses.corrupt_paths(target, torch.ones(2, 3, dtype=torch.bool), torch.Generator().manual_seed(0))
    assert drawn[0, 0] in (0, 1) and drawn[0, 1] == 2
    assert drawn[1, 0] == 0 and drawn[1, 1] in (1, 2)


def test_the_refusals_threshold() -> None:
    leads = torch.tensor([-3.0, -1.0, 2.0, 5.0, 6.0])
    unanswerable = torch.tensor([True, True, True, False, False])
    assert best_shift(leads, unanswerable) == pytest.approx(3.5)
    mixed = torch.tensor([True, False, True, False, False])
    assert best_shift(leads, mixed) in (pytest.approx(-2.0), pytest.approx(3.5))
    assert best_shift(leads, torch.zeros(5, dtype=torch.bool)) == 0
    assert best_shift(leads, torch.ones(5, dtype=torch.bool)) == 0
