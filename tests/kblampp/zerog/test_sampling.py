"""A subgraph has its targets, what is near them, and no more than there is room for."""

from __future__ import annotations

import pytest
import torch

from kblampp.zerog.errors import OptionError
from kblampp.zerog.sampling import Sampler, shuffled_batches

PATH = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])  # 0 - 1 - 2 - 3 - 4 - 5, and 6 alone
STAR = torch.stack([torch.zeros(30, dtype=torch.int64), torch.arange(1, 31)])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("num_hops", "expected"), [(0, {2}), (1, {1, 2, 3}), (2, {0, 1, 2, 3, 4})])
def test_nodes_are_those_within_so_many_hops_in_either_direction(num_hops: int, expected: set[int]) -> None:
    part = Sampler(PATH, 7).sample(torch.tensor([2]), num_hops, 100, seeded())
    assert set(part.nodes.tolist()) == expected
    assert len(part.nodes) == len(expected)


def test_targets_come_first_in_their_order_and_edges_are_all_those_between_nodes() -> None:
    part = Sampler(PATH, 7).sample(torch.tensor([4, 6, 1]), 1, 100, seeded())
    assert part.nodes[: part.num_targets].tolist() == [4, 6, 1]
    assert set(part.nodes.tolist()) == {0, 1, 2, 3, 4, 5, 6}
    edges = {tuple(pair) for pair in part.nodes[part.edge_index].T.tolist()}
    both = {tuple(pair) for pair in torch.cat([PATH, PATH.flip(0)], dim=1).T.tolist()}
    assert edges == both


def test_a_full_hop_is_drawn_by_the_seed() -> None:
    sampler = Sampler(STAR, 31)
    drawn = [sampler.sample(torch.tensor([0]), 2, 11, seeded(seed)).nodes.tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) != set(drawn[2])
    assert all(len(nodes) == len(set(nodes)) == 11 and nodes[0] == 0 for nodes in drawn)


def test_the_limit_holds_on_a_dense_graph_and_keeps_all_targets() -> None:
    torch.manual_seed(0)
    sampler = Sampler(torch.randint(50, (2, 600)), 50)
    for max_nodes in (5, 8, 20):
        targets = torch.randperm(50)[:5]
        part = sampler.sample(targets, 3, max_nodes, seeded())
        assert len(part.nodes) == len(set(part.nodes.tolist())) == max_nodes
        assert part.nodes[:5].tolist() == targets.tolist()
        assert int(part.edge_index.max()) < max_nodes


def test_what_has_no_room_is_refused() -> None:
    with pytest.raises(OptionError, match=r"max_nodes is 2, and a batch has 3"):
        Sampler(PATH, 7).sample(torch.tensor([0, 1, 2]), 1, 2, seeded())
    with pytest.raises(OptionError, match="num_hops"):
        Sampler(PATH, 7).sample(torch.tensor([0]), -1, 2, seeded())


@pytest.mark.parametrize("num_nodes", [1, 8, 10])
def test_batches_leave_no_node_out(num_nodes: int) -> None:
    nodes = torch.arange(100, 100 + num_nodes)
    batches = shuffled_batches(nodes, 4, seeded())
    assert sorted(torch.cat(batches).tolist()) == nodes.tolist()
    assert all(len(batch) <= 4 for batch in batches)
    assert [b.tolist() for b in batches] == [b.tolist() for b in shuffled_batches(nodes, 4, seeded())]
