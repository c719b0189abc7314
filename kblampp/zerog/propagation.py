"""Aggregation without parameters: rounds of a symmetrically normalised adjacency, with the prompt node in it.

After Li et al., "ZeroG: Investigating Cross-dataset Zero-shot Transferability in Graphs" (KDD 2024); S is
that of Wu et al., "Simplifying Graph Convolutional Networks" (ICML 2019): S = D^-1/2 (A + I) D^-1/2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kblampp.zerog.errors import OptionError


def normalised_adjacency(edge_index: Tensor, num_nodes: int, *, has_prompt: bool) -> Tensor:
    """S as a sparse matrix, float32 [M, M]; M is `num_nodes`, or one more with the prompt node, the last.

    Edges count in both directions and once; every node is joined to itself, and the prompt node to all.

    Args:
        edge_index: int64 [2, E].
    """
    every = torch.arange(num_nodes + has_prompt, device=edge_index.device)
    parts = [edge_index, edge_index.flip(0), torch.stack([every, every])]
    if has_prompt:
        nodes = every[:-1]
        prompt = torch.full_like(nodes, num_nodes)
        parts += [torch.stack([nodes, prompt]), torch.stack([prompt, nodes])]
    pairs = torch.unique(torch.cat(parts, dim=1), dim=1)
    degrees = torch.bincount(pairs[0], minlength=len(every)).float()
    weights = (degrees[pairs[0]] * degrees[pairs[1]]).rsqrt()
    size = (len(every), len(every))
    # Sorted and unique by construction; torch warns unless it is told whether to check.
    return torch.sparse_coo_tensor(pairs, weights, size, is_coalesced=True, check_invariants=False)


def propagate(adjacency: Tensor, vectors: Tensor, num_rounds: int) -> Tensor:
    """S^R X.

    Args:
        adjacency: sparse [M, M].
        vectors: [M, d], X; has the gradients it came with.
        num_rounds: R; 0 leaves the vectors as they are.

    Returns:
        [M, d].

    Raises OptionError for a negative number of rounds.
    """
    if num_rounds < 0:
        raise OptionError(f"num_rounds must be at least 0, not {num_rounds}")
    for _ in range(num_rounds):
        vectors = torch.sparse.mm(adjacency, vectors)
    return vectors
