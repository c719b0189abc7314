"""Teaching the student itself: its own weights move towards the teacher, not only a head behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from kblampp.align.errors import AlignError
from kblampp.align.heads import AlignmentHead
from kblampp.align.training import VALIDATION_SHARE, TrainingConfig, alignment_loss, train_epochs
from kblampp.encoders.adapting import ADAPTER, make_trainable
from kblampp.encoders.config import Training
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.files import whole_folder

MAX_NORM = 1.0  # of a gradient


@dataclass(frozen=True)
class AdaptingConfig:
    """How a student is taught. Raises AlignError for a value that cannot work."""

    training: Training = "lora"
    """'lora', or 'full': every weight, which decoders refuse."""
    num_epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 5e-4
    """Of the student's weights, falling to 0 in a line; the head has ten times as much, at most its own."""
    weight_decay: float = 0.01
    head: TrainingConfig = field(default_factory=TrainingConfig)
    """The head that the student is taught through, and the loss; its epochs and batches are not used."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_epochs", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise AlignError(f"{name} must be above 0, not {getattr(self, name)}")


def adapt_student(
    encoder: TextEncoder, texts: Sequence[str], teacher: np.ndarray, config: AdaptingConfig
) -> float:
    """Trains the encoder and a head together, on the loss that heads are trained on.

    The head is thrown away: afterwards the encoder is a student like any other, whose head `kblampp-align
    train` learns. A tenth of the texts chooses the epoch whose weights stay.

    Args:
        encoder: the student; it is changed in place.
        texts: the training texts.
        teacher: their vectors by the teacher, [len(texts), d_teacher].
        config: how.

    Returns:
        The mean cosine between mapped and teacher's vectors of the texts kept aside, at the epoch that stays.

    Raises:
        EncoderError: the encoder cannot be trained as `config.training` asks.
    """
    if len(texts) != len(teacher) or len(texts) < 2:
        raise AlignError(f"{len(texts)} texts and {len(teacher)} teacher vectors; as many, and two at least")
    torch.manual_seed(config.seed)
    targets = nn.functional.normalize(torch.from_numpy(np.array(teacher, dtype=np.float32)), dim=-1)
    order = torch.randperm(len(texts))
    num_kept = max(1, round(len(texts) * VALIDATION_SHARE))
    kept, learned = order[:num_kept].tolist(), order[num_kept:]
    before = torch.from_numpy(encoder.encode([texts[row] for row in learned.tolist()]))
    head = AlignmentHead(before.shape[1], targets.shape[1], config.head.kind)
    head.standardise(before)
    run = _Run(encoder, head, texts, targets, config)
    run.prepare(num_steps=config.num_epochs * -(-len(learned) // config.batch_size))

    def learn() -> None:
        for batch in learned[torch.randperm(len(learned))].split(config.batch_size):
            run.step(batch.tolist())

    return train_epochs(encoder.model, config.num_epochs, learn, lambda: run.cosine(kept))


class _Run:
    def __init__(
        self,
        encoder: TextEncoder,
        head: AlignmentHead,
        texts: Sequence[str],
        targets: Tensor,
        config: AdaptingConfig,
    ) -> None:
        self._encoder, self._head = encoder, head
        self._texts, self._targets, self._config = texts, targets, config

    def prepare(self, num_steps: int) -> None:
        config = self._config
        make_trainable(self._encoder, config.training)
        # Were the words of the training texts to move, those that are in none would stay behind.
        for part in self._encoder.model.modules():
            if isinstance(part, nn.Embedding):
                part.requires_grad_(False)
        self._trained = [weight for weight in self._encoder.model.parameters() if weight.requires_grad]
        head_rate = min(10 * config.learning_rate, config.head.learning_rate)
        self._optimiser = torch.optim.AdamW(
            [
                {"params": self._trained, "lr": config.learning_rate},
                {"params": list(self._head.parameters()), "lr": head_rate},
            ],
            weight_decay=config.weight_decay,
        )
        self._schedule = torch.optim.lr_scheduler.LinearLR(self._optimiser, 1.0, 0.0, total_iters=num_steps)

    def step(self, batch: list[int]) -> None:
        # Without dropout: a teacher's vector is exact, and there is no label to learn by heart.
        self._encoder.model.eval()
        self._optimiser.zero_grad()
        mapped = self._head(self._encoder.forward([self._texts[row] for row in batch]).float().cpu())
        alignment_loss(mapped, self._targets[batch], self._config.head).backward()
        nn.utils.clip_grad_norm_(self._trained, MAX_NORM)
        self._optimiser.step()
        self._schedule.step()

    def cosine(self, rows: list[int]) -> float:
        vectors = self._encoder.encode([self._texts[row] for row in rows])
        mapped = torch.from_numpy(self._head.apply_to(vectors))
        return float(nn.functional.cosine_similarity(mapped, self._targets[rows]).mean())


def save_student(encoder: TextEncoder, folder: Path) -> None:
    """Writes the encoder as a sentence-transformers folder, LoRA merged, whole or not at all."""
    transformer = encoder.model.transformers_model
    assert transformer is not None
    adapted = [(name, part) for name, part in transformer.named_modules() if isinstance(part, LoraLayer)]
    for name, part in adapted:
        part.merge()
        parent, _, own = name.rpartition(".")
        setattr(transformer.get_submodule(parent), own, part.get_base_layer())
    if adapted:
        # While transformers knows of an adapter it writes that alone.
        transformer.delete_adapter(ADAPTER)
    with whole_folder(folder) as temporary:
        encoder.model.save_pretrained(str(temporary), create_model_card=False)
