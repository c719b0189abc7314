"""The frozen layers below the first injection, computed once for each example and kept on disk.

They are most of the cost of a training step and are the same in every epoch and for every seed. What is kept
is the state of each token before the first layer that facts are injected before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from kblampp.answering import left_padded
from kblampp.families import decoder_layers
from kblampp.files import whole
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.train.batches import Example

logger = logging.getLogger(__name__)
_BATCH = 32
# These multiply embeddings by a constant before the first layer, and would do it to the states as well.
_SCALES_EMBEDDINGS = ("gemma", "gemma2", "gemma3_text")


def can_be_kept(model: KBInjectedModel) -> str | None:
    """Why the lower layers of a model cannot be kept; None when they can."""
    config = model.base.config
    if any(it.requires_grad for it in model.backbone.parameters()):
        return "the backbone is trained as well"
    if config.model_type in _SCALES_EMBEDDINGS:
        return f"a {config.model_type} model multiplies its embeddings"
    if len(set(getattr(config, "layer_types", None) or ["full"])) > 1:
        return "the backbone's layers attend in different ways"
    if min(int(name) for name in model.attentions) == 0:
        return "facts are injected before the first layer"
    return None


class LowerLayers:
    """States of examples before the first injection and before the early layer, by number of the example.

    Args:
        model: whose lower layers these are.
        examples: the training questions.
        folder: for the file; one of the same backbone, layer and examples is used again.
        pad_id: of the tokenizer.
    """

    def __init__(
        self, model: KBInjectedModel, examples: Sequence[Example], folder: Path, pad_id: int
    ) -> None:
        self.model = model
        self.first = min(int(name) for name in model.attentions)
        self._tokens = [example.prompt_ids + example.answer_ids for example in examples]
        self._starts = np.concatenate([[0], np.cumsum([len(ids) for ids in self._tokens])])
        path = folder / f"states-{self._digest()}.npy"
        if not path.is_file():
            self._make(path, pad_id)
        self._states = np.load(path, mmap_mode="r")

    def states(self, numbers: Sequence[int], width: int) -> tuple[Tensor, Tensor]:
        """Both, [B, width, D] of the backbone's type, each example at the right edge, zeros before it."""
        device, dtype = self.model.device, self.model.base.dtype
        states = torch.zeros(len(numbers), width, self._states.shape[1], dtype=dtype, device=device)
        for row, number in enumerate(numbers):
            kept = np.array(self._states[self._starts[number] : self._starts[number + 1]])
            states[row, width - len(kept) :] = torch.from_numpy(kept).view(torch.bfloat16).to(device, dtype)
        first, early = states.chunk(2, -1)
        return first, early

    @contextmanager
    def above(self) -> Iterator[None]:
        """The backbone is only its layers from the first injection on."""
        with _only(self.model.base, self.first, None, has_norm=True):
            yield

    def _digest(self) -> str:
        config = self.model.base.config.to_dict() | {"first": self.first, "early": self.model.early_layer}
        hashed = hashlib.sha256(json.dumps([config, self._tokens], sort_keys=True, default=str).encode())
        # The same configuration may come with other weights.
        hashed.update(self.model.table_rms.cpu().numpy().tobytes())
        last = next(iter(decoder_layers(self.model.backbone)[self.first - 1].parameters()))
        hashed.update(last.detach().flatten()[:4096].float().cpu().numpy().tobytes())
        return hashed.hexdigest()[:16]

    @torch.no_grad()
    def _make(self, path: Path, pad_id: int) -> None:
        device = str(self.model.device)
        total, D = int(self._starts[-1]), self.model.base.config.hidden_size
        logger.info("computing the layers below %d for %d tokens, once", self.first, total)
        order = sorted(range(len(self._tokens)), key=lambda number: len(self._tokens[number]))
        with whole(path) as temporary:
            kept = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint16, shape=(total, 2 * D))
            with self.model.given(None), _only(self.model.base, 0, self.first, has_norm=False):
                for start in tqdm(range(0, len(order), _BATCH), desc="lower layers", file=sys.stderr):
                    numbers = order[start : start + _BATCH]
                    batch = left_padded([self._tokens[number] for number in numbers], pad_id, device)
                    last = self.model.base.get_decoder()(**batch, use_cache=False).last_hidden_state
                    # With both at one layer it is cut away, and its hook has seen nothing.
                    early = last if self.model.early_layer == self.first else self.model.early
                    assert early is not None
                    states = torch.cat([last, early], -1)
                    for number, state in zip(numbers, states.bfloat16().cpu(), strict=True):
                        start_at, end_at = self._starts[number], self._starts[number + 1]
                        mine = state[len(state) - (end_at - start_at) :]
                        kept[start_at:end_at] = mine.view(torch.uint16).numpy()
            kept.flush()


@contextmanager
def _only(base: Any, first: int, last: int | None, *, has_norm: bool) -> Iterator[None]:
    """The decoder has only some of its layers, and its last norm only if that is asked for."""
    decoder = base.get_decoder()
    layers, norm = decoder.layers, decoder.norm
    decoder.layers = nn.ModuleList(list(layers)[first:last])
    decoder.norm = norm if has_norm else nn.Identity()
    try:
        yield
    finally:
        decoder.layers, decoder.norm = layers, norm
