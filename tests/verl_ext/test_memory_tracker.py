"""The tracker counts what is alive: bytes worked out by hand, with fake and with real tensors."""

from __future__ import annotations

import pytest
import torch

from verl_ext.memory.tracker import SizeTracker


def test_nothing_is_allocated_and_every_byte_is_counted() -> None:
    with SizeTracker() as tracker:
        # 400 GB: no machine of ours has it.
        matrix = torch.empty(100_000, 1_000_000)
        assert matrix.shape == (100_000, 1_000_000)
        assert tracker.total == 4 * 10**11
        half = matrix.to(torch.bfloat16)
        assert tracker.total == 6 * 10**11
        view = half[:10]
        assert tracker.total == 6 * 10**11
        del matrix, half
        assert tracker.total == 2 * 10**11  # the view keeps its storage
        del view
        assert tracker.total == 0
    assert tracker.peak == 6 * 10**11


@pytest.mark.parametrize("fake", [True, False])
def test_the_peak_of_a_backward_pass_by_hand(fake: bool) -> None:
    with SizeTracker(fake=fake) as tracker:
        weight = torch.zeros(1000, requires_grad=True)
        tracker.restart(lambda: {"weight": [weight], "gradient": _present(weight.grad)})
        kept = weight.exp()
        doubled = kept * 2
        of_doubled = torch.zeros(1000)
        doubled.backward(of_doubled)
        # The first step back makes of_doubled * 2 beside the four above, the second its product with what the
        # exponential kept: the weight's gradient. Six tensors of 4,000 bytes, and the number 2.
        assert tracker.peak == pytest.approx(6 * 4000, abs=16)
        assert tracker.parts_at_peak("rest") == {
            "weight": 4000,
            "gradient": 0,
            "rest": tracker.peak - 4000,
        }
        assert tracker.sizes({"gradient": _present(weight.grad)}) == {"gradient": 4000}


def test_storages_that_are_resized_are_counted_anew() -> None:
    with SizeTracker() as tracker:
        gathered = torch.empty(1000)
        gathered.untyped_storage().resize_(0)
        assert tracker.total == 0
        gathered.untyped_storage().resize_(4000)
        assert (tracker.total, tracker.peak) == (4000, 4000)


def test_lengths_and_positions_are_real() -> None:
    with SizeTracker():
        offsets = torch.tensor([0, 3, 7])
        assert offsets.diff().tolist() == [3, 4]
        values = torch.nested.nested_tensor_from_jagged(torch.empty(7), offsets)
        assert [row.shape for row in values.unbind()] == [(3,), (4,)]
        assert torch.empty(7).sum().item() == 1.0  # a value that nothing depends on


def _present(gradient: torch.Tensor | None) -> list[torch.Tensor]:
    return [] if gradient is None else [gradient]
