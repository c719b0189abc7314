"""A text encoder from its config: checkpoint, family, pooling, precision."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from torch import nn
from transformers import BitsAndBytesConfig

from kblampp.encoders.checkpoint import Checkpoint, find_checkpoint, read_config
from kblampp.encoders.config import TEXT_ENCODERS, EncoderConfig
from kblampp.encoders.errors import QuantisationUnavailable, WrongFamily
from kblampp.encoders.families import ABSOLUTE_POSITIONS, Family, family_of
from kblampp.encoders.text_encoder import TextEncoder

logger = logging.getLogger(__name__)


def load_encoder(config: EncoderConfig) -> TextEncoder:
    """Loads the checkpoint that the config names.

    Raises:
        ModelNotFound: there is no such checkpoint.
        UnknownArchitecture: its model type has no entry in the table of families.
        WrongFamily: it is of the other family than the text encoder that was asked for.
        QuantisationUnavailable: 4 or 8 bits without bitsandbytes.
    """
    checkpoint = find_checkpoint(config.model, config.revision)
    family = family_of(read_config(checkpoint.folder, config.trust_remote_code))
    _check_family(family, config)
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = _load(checkpoint, family, config, device)
    _prepare_tokenizer(model, family, config)
    if config.load_in_4bit:
        _keep_differentiable(model)
    if family.model_type in ABSOLUTE_POSITIONS:
        model[0].register_forward_pre_hook(_count_positions)
    encoder = TextEncoder(model, family, config, checkpoint)
    logger.info(
        "%s: %s (%s), pooling %s, %d dimensions, %s",
        config.model,
        family.model_type,
        family.kind,
        encoder.pooling,
        encoder.dim,
        device,
    )
    return encoder


def load_by_family(model: str, **options: Any) -> TextEncoder:
    """Loads whatever checkpoint a folder or the hub has, of either family.

    Args:
        model: a folder or a model of the hub.
        options: further fields of `EncoderConfig`.

    Raises as `load_encoder` does, but for WrongFamily.
    """
    checkpoint = find_checkpoint(model, options.get("revision"))
    family = family_of(read_config(checkpoint.folder, options.get("trust_remote_code", False)))
    name = next(name for name, named in TEXT_ENCODERS.items() if named.kind == family.kind)
    return load_encoder(EncoderConfig(name, model_name=model, **options))


def _check_family(family: Family, config: EncoderConfig) -> None:
    wanted = config.named.kind
    if family.kind != wanted:
        others = [name for name, named in TEXT_ENCODERS.items() if named.kind == family.kind]
        raise WrongFamily(
            f"{config.model} is of the {family.kind} family ({family.model_type}), but --text-encoder "
            f"{config.text_encoder} is of the {wanted} family; use --text-encoder {' or '.join(others)}"
        )


def _load(checkpoint: Checkpoint, family: Family, config: EncoderConfig, device: str) -> SentenceTransformer:
    folder, options = str(checkpoint.folder), _model_options(config, device)
    if checkpoint.is_sentence_transformer:
        whole = SentenceTransformer(
            folder,
            device=device,
            model_kwargs=options,
            local_files_only=True,
            trust_remote_code=config.trust_remote_code,
        )
        # Whether vectors have length 1 is asked at each call.
        modules = [module for module in whole if not isinstance(module, Normalize)]
        prompts = {name: prompt or "" for name, prompt in whole.prompts.items()}
    else:
        trust = {"trust_remote_code": config.trust_remote_code}
        transformer = Transformer(
            folder, model_kwargs={**options, **trust}, processor_kwargs=trust, config_kwargs=trust
        )
        modules = [transformer, Pooling(transformer.get_embedding_dimension(), family.pooling)]
        prompts = {}
    if config.pooling is not None:
        modules = [_repooled(module, config) for module in modules]
    return SentenceTransformer(modules=modules, device=device, prompts=prompts)


def _repooled(module: nn.Module, config: EncoderConfig) -> nn.Module:
    if not isinstance(module, Pooling) or config.pooling is None:
        return module
    return Pooling(module.embedding_dimension, config.pooling)


def _model_options(config: EncoderConfig, device: str) -> dict[str, Any]:
    """What `from_pretrained` is told."""
    if config.num_bits is None:
        default = "float32" if device == "cpu" else "bfloat16"
        return {"dtype": getattr(torch, config.dtype or default)}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise QuantisationUnavailable(
            f"{config.num_bits}-bit weights need the package bitsandbytes; install it, or leave the flag out"
        )
    quantisation = (
        BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        if config.load_in_4bit
        else BitsAndBytesConfig(load_in_8bit=True)
    )
    return {"quantization_config": quantisation, "device_map": {"": device}}


def _keep_differentiable(model: nn.Module) -> None:
    """Stops bitsandbytes from repacking 4-bit weights on a processor at the first use without gradients.

    The repacked form has no backward pass: training after an evaluation would fail, or lose the gradients of
    all layers below without a word.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 - mypy takes it for a submodule


def _count_positions(_: nn.Module, arguments: tuple[dict[str, Any], ...]) -> None:
    """Gives a model the positions of its tokens without the padding, whichever side that is on."""
    (features,) = arguments
    features["position_ids"] = (features["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)


def _prepare_tokenizer(model: SentenceTransformer, family: Family, config: EncoderConfig) -> None:
    tokenizer = model.tokenizer
    if tokenizer.pad_token is None:
        # The mask says what is padding, so it does no harm that the end of a text has the same id.
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = family.padding_side
    longest = model.max_seq_length
    model.max_seq_length = min(config.max_length, longest) if longest else config.max_length
