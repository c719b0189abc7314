"""The surroundings of some nodes: all within k hops, or as many of them as there is room for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kblampp.zerog.errors import OptionError


@dataclass(frozen=True)
class Subgraph:
    """Part of a graph; nodes in it are numbered from 0, the targets first.

    Attributes:
        nodes: int64 [n], their numbers in the whole graph, each once.
        num_targets: how many of them, from the first, are the targets, in the order asked for.
        edge_index: int64 [2, e], every edge between them, in the numbers of this part.
    """

    nodes: Tensor
    num_targets: int
    edge_index: Tensor


class Sampler:
    """Draws subgraphs of one graph. Args: edge_index, int64 [2, E]."""

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        both = torch.cat([edge_index, edge_index.flip(0)], dim=1)
        self._pairs = torch.unique(both, dim=1)  # sorted by source
        counts = torch.bincount(self._pairs[0], minlength=num_nodes)
        self._ends = torch.cumsum(counts, dim=0)
        self._starts = self._ends - counts
        self.num_nodes = num_nodes

    def sample(self, targets: Tensor, num_hops: int, max_nodes: int, generator: torch.Generator) -> Subgraph:
        """The targets and what is within `num_hops` of them, nearer nodes first, at most `max_nodes` in all.

        Where a hop has more nodes than there is room for, the generator says which are kept.

        Args:
            targets: int64 [t], different nodes.

        Raises OptionError when there is no room for the targets themselves, or `num_hops` is negative.
        """
        if num_hops < 0:
            raise OptionError(f"num_hops must be at least 0, not {num_hops}")
        if len(targets) > max_nodes:
            raise OptionError(
                f"max_nodes is {max_nodes}, and a batch has {len(targets)} nodes already; raise --max-nodes "
                "or lower --nodes-per-batch"
            )
        place = torch.full((self.num_nodes,), -1, dtype=torch.int64)
        place[targets] = torch.arange(len(targets))
        nodes, frontier = targets, targets
        for _ in range(num_hops):
            found = self._neighbours(frontier)
            frontier = found[place[found] < 0]
            room = max_nodes - len(nodes)
            if len(frontier) > room:
                frontier = frontier[torch.randperm(len(frontier), generator=generator)[:room]]
            if not len(frontier):
                break
            place[frontier] = torch.arange(len(nodes), len(nodes) + len(frontier))
            nodes = torch.cat([nodes, frontier])
        return Subgraph(nodes, len(targets), self._edges_between(nodes, place))

    def _neighbours(self, nodes: Tensor) -> Tensor:
        """int64 [m], sorted, each once."""
        parts = [self._pairs[1, self._starts[node] : self._ends[node]] for node in nodes.tolist()]
        return torch.unique(torch.cat(parts))

    def _edges_between(self, nodes: Tensor, place: Tensor) -> Tensor:
        parts = [self._pairs[:, self._starts[node] : self._ends[node]] for node in nodes.tolist()]
        local = place[torch.cat(parts, dim=1)]
        return local[:, local[1] >= 0]


def shuffled_batches(nodes: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """All of `nodes` ([n]) in random order, in parts of `size`; the last may be smaller, none is left out."""
    return list(torch.split(nodes[torch.randperm(len(nodes), generator=generator)], size))
