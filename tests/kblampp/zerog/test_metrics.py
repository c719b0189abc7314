"""Scores worked out by hand."""

from __future__ import annotations

import pytest
import torch

from kblampp.zerog.errors import GraphError
from kblampp.zerog.metrics import scores


def test_scores_of_five_nodes_by_hand() -> None:
    """Label 0: precision 2/3, recall 2/2, F1 .8; label 1: 1/1, 1/2, F1 2/3; label 2: never right."""
    found = scores(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 0, 3]))
    assert found.accuracy == found.micro_f1 == pytest.approx(3 / 5)
    assert found.macro_f1 == pytest.approx((0.8 + 2 / 3 + 0.0) / 3)  # label 3 is nobody's, and no fourth part
    assert found.num_nodes == 5


def test_one_label_for_all_has_a_low_macro_f1() -> None:
    found = scores(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]))
    assert found.micro_f1 == pytest.approx(0.75)
    assert found.macro_f1 == pytest.approx((6 / 7 + 0) / 2)


def test_no_nodes_is_an_error() -> None:
    with pytest.raises(GraphError, match="no nodes to score"):
        scores(torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64))
