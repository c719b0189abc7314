"""Aggregation gives what the definition gives, written out with dense matrices and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from kblampp.zerog.errors import OptionError
from kblampp.zerog.model import GraphVectors, ModelConfig, logits
from kblampp.zerog.propagation import normalised_adjacency, propagate


def test_three_nodes_and_a_prompt_by_hand() -> None:
    """Nodes 0 - 1, node 2 alone, the prompt (3) joined to all; with itself, degrees are 3, 3, 2, 4."""
    found = normalised_adjacency(torch.tensor([[0], [1]]), 3, has_prompt=True).to_dense()
    a, b = 1 / math.sqrt(12), 1 / math.sqrt(8)
    expected = torch.tensor(
        [[1 / 3, 1 / 3, 0, a], [1 / 3, 1 / 3, 0, a], [0, 0, 1 / 2, b], [a, a, b, 1 / 4]], dtype=torch.float32
    )
    torch.testing.assert_close(found, expected)


def test_without_a_prompt_a_lonely_node_keeps_its_vector() -> None:
    adjacency = normalised_adjacency(torch.tensor([[0], [1]]), 3, has_prompt=False)
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    found = propagate(adjacency, vectors, 1)
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.3, 0.7]]))


@pytest.mark.parametrize("has_prompt", [True, False])
@pytest.mark.parametrize("num_rounds", [0, 1, 3])
def test_rounds_on_a_random_graph_are_powers_of_the_dense_matrix(has_prompt: bool, num_rounds: int) -> None:
    torch.manual_seed(0)
    num_nodes, edges = 9, torch.randint(9, (2, 20))
    size = num_nodes + has_prompt
    dense = torch.eye(size)
    for source, target in edges.T.tolist():
        dense[source, target] = dense[target, source] = 1.0
    if has_prompt:
        dense[-1, :] = dense[:, -1] = 1.0
    root = torch.diag(dense.sum(dim=1) ** -0.5)
    vectors = torch.randn(size, 4)
    expected = torch.linalg.matrix_power(root @ dense @ root, num_rounds) @ vectors
    found = propagate(normalised_adjacency(edges, num_nodes, has_prompt=has_prompt), vectors, num_rounds)
    torch.testing.assert_close(found, expected)


def test_repeated_and_reversed_edges_and_loops_count_once() -> None:
    once = normalised_adjacency(torch.tensor([[0, 1], [1, 2]]), 3, has_prompt=True)
    often = normalised_adjacency(torch.tensor([[0, 1, 1, 2, 0, 2], [1, 0, 2, 1, 1, 2]]), 3, has_prompt=True)
    torch.testing.assert_close(once.to_dense(), often.to_dense())


def test_a_graph_without_edges_has_loops_alone() -> None:
    empty = torch.zeros(2, 0, dtype=torch.int64)
    torch.testing.assert_close(normalised_adjacency(empty, 2, has_prompt=False).to_dense(), torch.eye(2))


def test_a_negative_number_of_rounds_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 0, not -1"):
        propagate(torch.eye(2).to_sparse(), torch.eye(2), -1)


def test_the_prompt_reaches_every_node_and_can_be_left_out() -> None:
    edges = torch.tensor([[0], [1]])
    nodes, labels = torch.eye(4)[:3], torch.eye(4)
    scores = []
    for prompt in (torch.eye(4)[3:], -torch.eye(4)[3:]):
        vectors = GraphVectors(nodes, prompt, labels)
        scores.append(logits(vectors, edges, ModelConfig(num_rounds=1, scale=1.0)))
        assert logits(vectors, edges, ModelConfig(num_rounds=1, use_prompt=False)).shape == (3, 4)
        torch.testing.assert_close(logits(vectors, edges, ModelConfig(num_rounds=0, scale=1.0)), nodes)
    # Weight of the prompt: 1 / sqrt(12) for nodes of degree 3, 1 / sqrt(8) for node 2 of degree 2.
    expected = torch.tensor([12**-0.5, 12**-0.5, 8**-0.5])
    torch.testing.assert_close(scores[0][:, 3], expected)
    torch.testing.assert_close(scores[1][:, 3], -expected)
    without = [
        logits(GraphVectors(nodes, sign * torch.eye(4)[3:], labels), edges, ModelConfig(1, use_prompt=False))
        for sign in (1, -1)
    ]
    torch.testing.assert_close(without[0], without[1])
