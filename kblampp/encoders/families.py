"""The two families of text encoders, and what follows from the family: pooling, padding, LoRA's modules.

The family is read from the model type in the checkpoint's config, never from its name: a fine-tuned Llama may
be called anything. In a causal model only the last token has seen the whole text, and pooling its first token
gives every text the same vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kblampp.encoders.errors import UnknownArchitecture

Kind = Literal["encoder", "decoder"]
Pooling = Literal["cls", "mean", "lasttoken"]
POOLINGS: tuple[Pooling, ...] = ("cls", "mean", "lasttoken")

# Where these count positions themselves, they count padding on the left too.
ABSOLUTE_POSITIONS = ("bert", "distilbert")
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
# First-generation Qwen joins query, key and value in one matrix.
_LORA_TARGETS: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    "encoder": {
        "bert": ("query", "value"),
        "roberta": ("query", "value"),
        "xlm-roberta": ("query", "value"),
        "mpnet": ("q", "v"),
        "distilbert": ("q_lin", "v_lin"),
    },
    "decoder": {
        "llama": _ATTENTION,
        "mistral": _ATTENTION,
        "qwen": ("c_attn",),
        "qwen2": _ATTENTION,
        "qwen3": _ATTENTION,
        "smollm3": _ATTENTION,
        "gemma3_text": _ATTENTION,
    },
}


@dataclass(frozen=True)
class Family:
    """What a model type decides. Attributes:

    model_type: as the config calls it.
    kind: 'encoder' sees a text from both sides, 'decoder' from the left.
    pooling: where the checkpoint says nothing itself.
    padding_side: of the tokenizer.
    lora_targets: the names of the linear modules that LoRA adapts, in every layer.
    """

    model_type: str
    kind: Kind
    pooling: Pooling
    padding_side: Literal["left", "right"]
    lora_targets: tuple[str, ...]


def _table() -> dict[str, Family]:
    made = {}
    for model_type, targets in _LORA_TARGETS["encoder"].items():
        made[model_type] = Family(model_type, "encoder", "mean", "right", targets)
    for model_type, targets in _LORA_TARGETS["decoder"].items():
        made[model_type] = Family(model_type, "decoder", "lasttoken", "left", targets)
    return made


FAMILIES: Mapping[str, Family] = _table()


def family_of(config: Any) -> Family:
    """The family of a checkpoint by its transformers config.

    Raises UnknownArchitecture for a model type that is not in the table, and for a two-sided model whose
    config says that it is used as a decoder.
    """
    model_type = str(getattr(config, "model_type", None))
    family = FAMILIES.get(model_type)
    if family is None:
        raise UnknownArchitecture(
            f"there is no text encoder for the model type {model_type!r}; there is one for "
            f"{', '.join(FAMILIES)}. A new one is a line in kblampp/encoders/families.py"
        )
    if family.kind == "encoder" and getattr(config, "is_decoder", False):
        raise UnknownArchitecture(
            f"this {model_type} checkpoint has is_decoder=true, so it reads from the left only; "
            "use one that reads from both sides, or a decoder such as llama or qwen2"
        )
    return family
