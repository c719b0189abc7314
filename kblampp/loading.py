"""Everything that answers a question, from a config: backbone, encoder, store, index, trained modules."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from kblampp.answer_format import AnswerFormat
from kblampp.candidates import CandidateFinder
from kblampp.checkpoint import load_checkpoint
from kblampp.config import Config
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.errors import ArtefactStale, ConfigError
from kblampp.families import decoder_layers
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.kb_store import KBStore
from kblampp.knowledge_index import load_index
from kblampp.questions import REFUSAL
from kblampp.relation_paths import RelationPaths
from kblampp.retriever import Retriever
from kblampp.selector import KBSelector

logger = logging.getLogger(__name__)


def device_of(config: Config) -> str:
    """The config's device, or an accelerator where there is one."""
    return config.device or ("cuda" if torch.cuda.is_available() else "cpu")


def load_answer_format(config: Config) -> AnswerFormat:
    """Of the config's backbone. Raises ConfigError when there is no such tokenizer."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(config.backbone, padding_side="left")
    except (OSError, ValueError) as error:
        raise ConfigError(f"backbone: no tokenizer of {config.backbone!r} ({_first_line(error)})") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return AnswerFormat(tokenizer, "chat" if config.use_chat_template else "plain")


def load_backbone(config: Config) -> nn.Module:
    """The frozen decoder.

    Raises:
        ConfigError: there is no such model, or 4 bits without bitsandbytes.
        UnsupportedBackbone: facts cannot be injected into its family.
    """
    dtype = torch.float32 if config.train.precision == "float32" else torch.bfloat16
    options: dict[str, Any] = {"dtype": dtype}
    if config.load_in_4bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
        options["device_map"] = {"": device_of(config)}
    try:
        backbone: Any = AutoModelForCausalLM.from_pretrained(config.backbone, **options)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"backbone: {config.backbone!r} cannot be loaded ({_first_line(error)})") from error
    decoder_layers(backbone)  # refuses what cannot be injected into, before anything is moved
    if not config.load_in_4bit:
        backbone.to(device_of(config))
    frozen: nn.Module = backbone.requires_grad_(False).eval()
    return frozen


def make_model(config: Config, backbone: nn.Module, answers: AnswerFormat) -> KBInjectedModel:
    """Untrained KB modules around a backbone; the seed of `train.seed` decides their weights."""
    torch.manual_seed(config.train.seed)
    selector = KBSelector(
        config.d_k,
        rho=config.rho,
        mu=config.mu,
        gamma=config.gamma,
        eta=config.eta,
        delta=config.delta,
        temperature=config.temperature,
        sharpness=config.sharpness,
        is_learnable=config.is_scoring_learnable,
        use_graph=config.use_graph,
    )
    model = KBInjectedModel(
        backbone,
        selector,
        inject_layers=config.inject_layers,
        early_layer=config.early_layer,
        d_key=config.d_k,
        d_attention=config.d_attention,
        num_slots=config.store.max_tail_tokens + 1,
        refusal_ids=[*answers.answer_ids(REFUSAL), answers.end_id],
        value_source=config.value_source,
        has_copy_head=config.copy_head,
    )
    return model.to(device_of(config))


def load_model(config: Config, answers: AnswerFormat, checkpoint: Path | None) -> KBInjectedModel:
    """The backbone with KB modules, trained ones if a checkpoint is given. Raises as its parts do."""
    model = make_model(config, load_backbone(config), answers)
    if checkpoint is not None:
        load_checkpoint(model, config, checkpoint)
        model.to(device_of(config))
    return model.eval()


def load_retriever(config: Config, encoder: TextEncoder, answers: AnswerFormat) -> Retriever:
    """Store and index.

    Raises:
        ArtefactMissing: one of them is not there.
        ArtefactStale: the store was made with another encoder or tokenizer, or the index from other keys.
    """
    store = KBStore(Path(config.store.path))
    recipe = {"revision": encoder.revision, "pooling": encoder.pooling}
    if store.manifest.encoder_recipe != recipe:
        raise ArtefactStale(
            f"{store.folder} was encoded by {store.manifest.encoder}, not by {config.embedding_model}; "
            "encode the facts anew"
        )
    if store.manifest.tokenizer_sha256 != answers.digest:
        raise ArtefactStale(
            f"{store.folder} holds tokens of {store.manifest.backbone}, the config says {config.backbone} "
            f"({answers.style}); encode the facts anew"
        )
    if store.manifest.max_tail_tokens != config.store.max_tail_tokens:
        raise ArtefactStale(
            f"{store.folder} keeps {store.manifest.max_tail_tokens} tokens of a tail, the config says "
            f"{config.store.max_tail_tokens}; encode the facts anew"
        )
    if store.manifest.value_text != config.store.value_text:
        raise ArtefactStale(
            f"{store.folder} holds tokens of each fact's {store.manifest.value_text}, store.value_text is "
            f"{config.store.value_text}; encode the facts anew"
        )
    index = load_index(store, config.store)
    logger.info("%d facts in %s, %s search", len(store), store.folder, index.kind)
    paths = RelationPaths(encoder, store.relation_names, store.array("R"))
    finder = CandidateFinder(
        store, index, paths, num_candidates=config.num_candidates, num_hops=config.num_hops
    )
    return Retriever(finder)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
