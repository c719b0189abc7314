"""How good predicted labels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor

from kblampp.zerog.errors import GraphError


@dataclass(frozen=True)
class Scores:
    """Of one label a node, micro F1 is the accuracy; both are given, since papers name either."""

    accuracy: float
    micro_f1: float
    macro_f1: float
    """The mean over the labels that occur among the true ones: the same for every system."""
    num_nodes: int


def scores(true: Tensor, predicted: Tensor) -> Scores:
    """Args: label numbers (int64 [n] each). Raises GraphError when there are none."""
    if not len(true):
        raise GraphError(
            "there are no nodes to score; choose other nodes, or a graph with labels in that split"
        )
    truth, guess = true.numpy(), predicted.numpy()
    occurring = np.unique(truth)
    return Scores(
        accuracy=float(accuracy_score(truth, guess)),
        micro_f1=float(f1_score(truth, guess, average="micro", zero_division=0.0)),
        macro_f1=float(f1_score(truth, guess, average="macro", labels=occurring, zero_division=0.0)),
        num_nodes=len(truth),
    )
