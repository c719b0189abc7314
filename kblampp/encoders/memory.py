"""Memory that a text encoder takes on an accelerator, computed: ``python -m kblampp.encoders.memory``.

Weights: 2 bytes each in bfloat16; of matrices of linear layers 1 byte in 8 bits and 4.127 bits in NF4 with
double quantisation (Dettmers et al. 2023, "QLoRA", section 3: half a byte, and .127 bits of constants); all
else stays in bfloat16. A training step keeps 34 bytes for each token, dimension and layer, with checkpointing
2 and one layer in full (Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer
Models", without attention scores). LoRA's matrices and CUDA's own half GiB are not counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from kblampp.encoders.checkpoint import find_checkpoint, read_config
from kblampp.encoders.errors import EncoderError

GIB = 1024**3
NF4_BITS = 4.127
STEP_BYTES = 34
CHECKPOINT_BYTES = 2

# As in the config.json of each model on the hub.
SHAPES: Mapping[str, dict[str, Any]] = {
    "all-MiniLM-L6-v2": {
        "model_type": "bert",
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "intermediate_size": 1536,
        "num_attention_heads": 12,
        "vocab_size": 30522,
    },
    "SmolLM2-135M": {
        "model_type": "llama",
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
    },
    "Qwen2.5-0.5B": {
        "model_type": "qwen2",
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "intermediate_size": 4864,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
    },
    "Llama-3.2-1B": {
        "model_type": "llama",
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "Mistral-7B-v0.3": {
        "model_type": "mistral",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32768,
    },
    "Llama-3.1-8B": {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
}


@dataclass(frozen=True)
class Need:
    """Bytes. `step` and `checkpointed_step` are what one training step adds."""

    num_parameters: int
    bfloat16: float
    eight_bits: float
    four_bits: float
    step: float
    checkpointed_step: float


def need(config: Any, num_tokens: int) -> Need:
    """What a model of a transformers config needs.

    Args:
        config: of any model that `AutoModel` makes.
        num_tokens: in one training step, all texts together.
    """
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    num_all = sum(parameter.numel() for parameter in model.parameters())
    num_linear = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Linear))
    rest = 2.0 * (num_all - num_linear)
    width = num_tokens * (getattr(config, "hidden_size", None) or config.dim)
    num_layers = config.num_hidden_layers
    return Need(
        num_parameters=num_all,
        bfloat16=2.0 * num_all,
        eight_bits=rest + num_linear,
        four_bits=rest + num_linear * NF4_BITS / 8,
        step=float(STEP_BYTES * width * num_layers),
        checkpointed_step=float(width * (CHECKPOINT_BYTES * num_layers + STEP_BYTES)),
    )


def table(needs: Mapping[str, Need]) -> str:
    """Rows of GiB in Markdown."""
    lines = ["| model | parameters | bfloat16 | 8 bits | NF4 | step | step, checkpointed |", "|---" * 7 + "|"]
    for name, one in needs.items():
        sizes = (one.bfloat16, one.eight_bits, one.four_bits, one.step, one.checkpointed_step)
        cells = [name, f"{one.num_parameters / 1e6:,.0f} M", *(f"{size / GIB:.2f}" for size in sizes)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="GiB that text encoders take, computed.")
    parser.add_argument(
        "--model-path", type=Path, action="append", default=[], help="a folder, may be repeated"
    )
    parser.add_argument("--texts", type=int, default=80, help="in one training step")
    parser.add_argument("--tokens", type=int, default=32, help="of a text")
    options = parser.parse_args()
    try:
        folders = [find_checkpoint(str(path)).folder for path in options.model_path]
        configs = {folder.name: read_config(folder) for folder in folders}
    except EncoderError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        sys.exit(2)
    if not configs:
        configs = {name: AutoConfig.for_model(**shape) for name, shape in SHAPES.items()}
    needs = {name: need(config, options.texts * options.tokens) for name, config in configs.items()}
    sys.stdout.write(table(needs) + "\n")


if __name__ == "__main__":
    main()
