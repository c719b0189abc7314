"""Architectures small enough for a test, as folders with a ``config.json`` and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from verl_ext.memory.models import QWEN2_5

NUM_LAYERS, HIDDEN, INTERMEDIATE, VOCABULARY = 2, 32, 48, 100
# Two heads of 16, one for keys and values.
SMALL = {
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": NUM_LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": VOCABULARY,
}
# A layer: q and o 32 x 32, k and v 32 x 16, three MLP matrices of 32 x 48, two norms; biases of q, k and v.
LAYER = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 2 * 32 + (32 + 2 * 16)
NUM_PARAMETERS = NUM_LAYERS * LAYER + VOCABULARY * HIDDEN + HIDDEN
# Of one unit of rank on every linear layer: q and o 32 + 32, k and v 32 + 16, the MLP's 32 + 48.
NUM_PER_RANK = NUM_LAYERS * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))


def write_shape(folder: Path, **values: Any) -> Path:
    """A Qwen2 of :data:`SMALL` sizes under ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(QWEN2_5 | SMALL | values), encoding="utf-8")
    return folder
