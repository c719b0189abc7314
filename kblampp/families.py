"""The decoders that facts can be injected into, and where their layers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from kblampp.errors import UnsupportedBackbone


@dataclass(frozen=True)
class BackboneFamily:
    """A model type of transformers whose layers read and write one stream of states [B, T, D]."""

    model_type: str
    layers: str = "layers"
    """Attribute of the decoder that lists its layers."""


FAMILIES: Mapping[str, BackboneFamily] = {
    name: BackboneFamily(name)
    for name in ("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text")
}


def backbone_family(model_type: str) -> BackboneFamily:
    """The entry of a model type. Raises UnsupportedBackbone, saying which there are."""
    if model_type not in FAMILIES:
        raise UnsupportedBackbone(
            f"facts cannot be injected into a {model_type!r} model; they can into {', '.join(FAMILIES)}"
        )
    return FAMILIES[model_type]


def base_model(backbone: Any) -> PreTrainedModel:
    """The causal language model, without a PEFT wrapper."""
    base = backbone.get_base_model() if hasattr(backbone, "get_base_model") else backbone
    assert isinstance(base, PreTrainedModel)
    return base


def decoder_layers(backbone: nn.Module) -> nn.ModuleList:
    """The layers of a causal language model, through a PEFT wrapper if there is one.

    Raises:
        UnsupportedBackbone: the model type has no entry in `FAMILIES`.
    """
    base = base_model(backbone)
    family = backbone_family(base.config.model_type)
    layers = getattr(base.get_decoder(), family.layers)
    assert isinstance(layers, nn.ModuleList)
    return layers
