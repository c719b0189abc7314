"""Training a head: cosine, a share of squared error, and optionally a contrast within the batch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kblampp.align.errors import AlignError
from kblampp.align.heads import AlignmentHead, HeadKind

logger = logging.getLogger(__name__)
VALIDATION_SHARE = 0.1  # of the training vectors; the epoch kept is the one that is best on them


@dataclass(frozen=True)
class TrainingConfig:
    """How a head is trained. Raises AlignError for a value that cannot work."""

    kind: HeadKind = "linear"
    num_epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    mse_weight: float = 0.1
    contrast_weight: float = 0.0
    """Of InfoNCE: a mapped vector is to be nearer to its own teacher vector than to the batch's others."""
    temperature: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "mlp"):
            raise AlignError(f"there is no head {self.kind!r}; there are linear and mlp")
        for name in ("num_epochs", "batch_size", "learning_rate", "temperature"):
            if getattr(self, name) <= 0:
                raise AlignError(f"{name} must be above 0, not {getattr(self, name)}")


def train_head(student: np.ndarray, teacher: np.ndarray, config: TrainingConfig) -> AlignmentHead:
    """Trains on pairs of rows, and returns the head of the epoch with the best cosine on rows kept aside.

    Args:
        student: [n, d_student].
        teacher: [n, d_teacher], of the same texts.
        config: how.
    """
    if len(student) != len(teacher) or len(student) < 2:
        raise AlignError(
            f"{len(student)} student and {len(teacher)} teacher vectors; as many, and two at least"
        )
    torch.manual_seed(config.seed)
    x = torch.from_numpy(np.array(student, dtype=np.float32))
    y = nn.functional.normalize(torch.from_numpy(np.array(teacher, dtype=np.float32)), dim=-1)
    order = torch.randperm(len(x))
    num_kept = max(1, round(len(x) * VALIDATION_SHARE))
    kept, learned = order[:num_kept], order[num_kept:]
    head = AlignmentHead(x.shape[1], y.shape[1], config.kind)
    head.standardise(x[learned])
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )

    def learn() -> None:
        for batch in learned[torch.randperm(len(learned))].split(config.batch_size):
            optimiser.zero_grad()
            alignment_loss(head(x[batch]), y[batch], config).backward()
            optimiser.step()

    def cosine() -> float:
        with torch.inference_mode():
            return float(nn.functional.cosine_similarity(head(x[kept]), y[kept]).mean())

    train_epochs(head, config.num_epochs, learn, cosine)
    return head.eval()


def train_epochs(
    module: nn.Module, num_epochs: int, learn: Callable[[], None], cosine: Callable[[], float]
) -> float:
    """Calls `learn` once an epoch, and leaves in `module` the weights of the epoch with the best `cosine`.

    Logs a line an epoch with the seconds left. Returns the best cosine.
    """
    best, best_state, started = -2.0, module.state_dict(), time.monotonic()
    for epoch in range(1, num_epochs + 1):
        learn()
        reached = cosine()
        if reached > best:
            best, best_state = reached, {name: value.clone() for name, value in module.state_dict().items()}
        left_s = (time.monotonic() - started) / epoch * (num_epochs - epoch)
        logger.info("epoch %d of %d: cosine %.4f, %.0f s left", epoch, num_epochs, reached, left_s)
    module.load_state_dict(best_state)
    return best


def alignment_loss(mapped: Tensor, teacher: Tensor, config: TrainingConfig) -> Tensor:
    """(1 - cosine) + `mse_weight` * squared error + `contrast_weight` * InfoNCE, means over the batch.

    Args:
        mapped: [n, d_teacher], the head's output.
        teacher: [n, d_teacher], rows of length 1.

    InfoNCE as in van den Oord et al. 2018, with the cosine over `temperature`.
    """
    unit = nn.functional.normalize(mapped, dim=-1)
    loss = (1.0 - (unit * teacher).sum(dim=-1)).mean()
    loss = loss + config.mse_weight * nn.functional.mse_loss(mapped, teacher)
    if config.contrast_weight:
        logits = unit @ teacher.T / config.temperature
        own = torch.arange(len(logits))
        loss = loss + config.contrast_weight * nn.functional.cross_entropy(logits, own)
    return loss
