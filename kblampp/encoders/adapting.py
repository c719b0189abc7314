"""What of a text encoder is trained: LoRA in either family, or every weight of an encoder."""

from __future__ import annotations

import logging
from pathlib import Path

from peft import LoraConfig, TaskType
from torch import nn

from kblampp.encoders.config import Training
from kblampp.encoders.errors import EncoderError, FullFineTuningRefused
from kblampp.encoders.text_encoder import TextEncoder

logger = logging.getLogger(__name__)
ADAPTER = "default"


def make_trainable(encoder: TextEncoder, training: Training) -> list[nn.Parameter]:
    """Puts LoRA matrices in, or frees all weights, and returns what an optimiser should move.

    From then on the encoder's cache is left alone, since the weights will not be the checkpoint's.

    Raises:
        FullFineTuningRefused: all weights of a decoder, or of a quantised model.
        EncoderError: LoRA found none of its modules.
    """
    if training == "full":
        _refuse_full(encoder)
        for parameter in encoder.model.parameters():
            parameter.requires_grad_(True)
    else:
        _add_lora(encoder)
    transformer = encoder.model.transformers_model
    if encoder.config.gradient_checkpointing and transformer is not None:
        transformer.gradient_checkpointing_enable()
        # The frozen embeddings give no gradient, and without one checkpointed layers are not run backwards.
        transformer.enable_input_require_grads()
    encoder.mark_changed()
    trained = [parameter for parameter in encoder.model.parameters() if parameter.requires_grad]
    num_all = sum(parameter.numel() for parameter in encoder.model.parameters())
    num_trained = sum(parameter.numel() for parameter in trained)
    logger.info("%s: %s of %s parameters are trained", training, f"{num_trained:,}", f"{num_all:,}")
    return trained


def adapted_modules(encoder: TextEncoder) -> list[str]:
    """The full names of the modules that LoRA adapts, sorted."""
    transformer = encoder.model.transformers_model
    assert transformer is not None
    return sorted(name for name, module in transformer.named_modules() if hasattr(module, "lora_A"))


def save_adapter(encoder: TextEncoder, folder: Path) -> None:
    """Writes the LoRA matrices as safetensors with their config."""
    transformer = encoder.model.transformers_model
    assert transformer is not None
    transformer.save_pretrained(str(folder))


def load_adapter(encoder: TextEncoder, folder: Path) -> None:
    """Puts in LoRA matrices that `save_adapter` wrote; they are not trained further.

    Raises EncoderError when the folder holds none, or they belong to a model of another shape.
    """
    if not (folder / "adapter_model.safetensors").is_file():
        raise EncoderError(f"{folder} has no adapter_model.safetensors; give a folder that training wrote")
    try:
        encoder.model.load_adapter(str(folder))
    except (RuntimeError, ValueError) as error:
        raise EncoderError(
            f"the adapter in {folder} does not fit {encoder.config.model}: {str(error).splitlines()[0]}"
        ) from error
    encoder.mark_changed()


def _refuse_full(encoder: TextEncoder) -> None:
    name = encoder.config.model
    if encoder.family.kind == "decoder":
        raise FullFineTuningRefused(
            f"{name} is a decoder ({encoder.family.model_type}): all its weights with gradients and Adam's "
            "moments take 16 bytes a parameter, 112 GB for 7B; train LoRA instead (--lora-rank)"
        )
    if encoder.config.num_bits is not None:
        raise FullFineTuningRefused(
            f"{name} was loaded with {encoder.config.num_bits}-bit weights, which have no gradients; train "
            "LoRA, or load it without --load-in-4bit and --load-in-8bit"
        )


def _add_lora(encoder: TextEncoder) -> None:
    targets = list(encoder.family.lora_targets)
    for parameter in encoder.model.parameters():
        parameter.requires_grad_(False)
    config = LoraConfig(
        task_type=TaskType.FEATURE_EXTRACTION,
        r=encoder.config.lora_rank,
        lora_alpha=encoder.config.lora_alpha,
        target_modules=targets,
    )
    encoder.model.add_adapter(config, adapter_name=ADAPTER)
    missing = [target for target in targets if not any(n.endswith(target) for n in adapted_modules(encoder))]
    if missing:
        raise EncoderError(
            f"{encoder.config.model} has no modules named {', '.join(missing)} for LoRA to adapt"
        )
