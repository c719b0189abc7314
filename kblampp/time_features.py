"""Time windows as numbers: days for comparing, waves for learning."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date

import numpy as np
import torch
from torch import Tensor

from kblampp.time_window import TimeWindow

OPEN_START = 0
OPEN_END = date.max.toordinal() + 1
_NUM_WAVES = 8
_LONGEST_DAYS = 365.25 * 1000
_SHORTEST_DAYS = 365.25
NUM_FEATURES = 3 * 2 * _NUM_WAVES + 2


def as_days(windows: Iterable[TimeWindow]) -> np.ndarray:
    """int32 [N, 2]: first and last day, counted from year 1; `OPEN_START` and `OPEN_END` if open."""
    rows = [
        (
            window.start.toordinal() if window.start else OPEN_START,
            window.end.toordinal() if window.end else OPEN_END,
        )
        for window in windows
    ]
    return np.array(rows, dtype=np.int32).reshape(-1, 2)


def is_timeless(days: Tensor) -> Tensor:
    """bool [...]: both sides are open. `days` is int [..., 2]."""
    return (days[..., 0] == OPEN_START) & (days[..., 1] == OPEN_END)


def time_features(days: Tensor) -> Tensor:
    """Sines and cosines of start, end and length, and which sides are open: float [..., NUM_FEATURES].

    Waves from one year to a thousand, a factor apart, as positions are encoded by Vaswani et al. 2017
    (section 3.5). An open side has zeros for its waves, since it has no place in time.

    Args:
        days: int [..., 2], as `as_days` makes them.
    """
    periods = torch.logspace(
        math.log10(_SHORTEST_DAYS), math.log10(_LONGEST_DAYS), _NUM_WAVES, device=days.device
    )
    is_open = torch.stack([days[..., 0] == OPEN_START, days[..., 1] == OPEN_END], -1)
    values = torch.stack([days[..., 0], days[..., 1], days[..., 1] - days[..., 0]], -1).float()
    has_none = torch.cat([is_open, is_open.any(-1, keepdim=True)], -1)
    angles = values[..., None] * (2 * math.pi / periods)
    waves = torch.cat([angles.sin(), angles.cos()], -1).masked_fill(has_none[..., None], 0.0)
    return torch.cat([waves.flatten(-2), is_open.float()], -1)
