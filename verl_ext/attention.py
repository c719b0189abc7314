"""Which attention is the faster one on this processor, found out by trying.

On one machine matrix products are the dear part and eager attention, which is nothing but products, wins;
on another (Intel with AMX) products are cheap and what eager writes to memory between them is not. A
profile asks with ``override_config.attn_implementation: auto``.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

logger = logging.getLogger(__name__)

CANDIDATES = ("eager", "sdpa")
AUTO = "auto"
NUM_LAYERS = 2  # enough to tell layers apart from what stands around them
MAX_S = 1.0  # of trying one of them
SECTIONS = ("actor_rollout_ref.model", "critic.model")


def resolve_attention(config: DictConfig, file: Path) -> None:
    """Put the faster attention wherever the configuration says ``auto``, and note the measurement in `file`.

    Each model is tried at the pack length of its updates, forward and backward, in bfloat16 as in training.
    """
    found: dict[str, Any] = {}
    for section, num_tokens in zip(SECTIONS, _pack_lengths(config), strict=True):
        model = OmegaConf.select(config, section)
        if (model.override_config or {}).get("attn_implementation") != AUTO:
            continue
        # Two sections that name one model are one measurement.
        key = f"{model.path} at {num_tokens} tokens"
        if key not in found:
            found[key] = seconds_by_attention(str(model.path), num_tokens)
        seconds = found[key]
        chosen = min(seconds, key=seconds.__getitem__)
        with open_dict(model):
            model.override_config.attn_implementation = chosen
        logger.info("%s: attention %s (%s)", section, chosen, _told(seconds))
    if found:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"seconds": found}, indent=1) + "\n", encoding="utf-8")


def seconds_by_attention(path: str, num_tokens: int) -> dict[str, float]:
    """Seconds of one forward and backward pass over a pack through two layers, by attention."""
    return {name: _seconds(path, name, num_tokens) for name in CANDIDATES}


def fastest_attention(path: str, num_tokens: int) -> str:
    """The attention that takes least, of a model's shape at this length."""
    seconds = seconds_by_attention(path, num_tokens)
    chosen = min(seconds, key=seconds.__getitem__)
    logger.info("attention %s (%s)", chosen, _told(seconds))
    return chosen


def _pack_lengths(config: DictConfig) -> tuple[int, int]:
    length = config.data.max_prompt_length + config.data.max_response_length
    actor, critic = config.actor_rollout_ref.actor, config.critic
    return (
        max(length, actor.ppo_max_token_len_per_gpu) if actor.use_dynamic_bsz else length,
        max(length, critic.ppo_max_token_len_per_gpu) if critic.use_dynamic_bsz else length,
    )


def _seconds(path: str, attention: str, num_tokens: int) -> float:
    """Seconds of a forward and backward pass over a pack, the fastest of those that fit in :data:`MAX_S`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = AutoConfig.from_pretrained(path)
    shape.num_hidden_layers = NUM_LAYERS
    if getattr(shape, "layer_types", None):
        shape.layer_types = shape.layer_types[:NUM_LAYERS]
    model = AutoModelForCausalLM.from_config(shape, attn_implementation=attention, dtype=torch.float32)
    # Two episodes end to end, so that the mask between them is part of what is measured.
    half = num_tokens // 2
    positions = torch.cat([torch.arange(half), torch.arange(num_tokens - half)]).unsqueeze(0)
    ids = torch.zeros_like(positions)
    fastest, deadline = float("inf"), time.monotonic() + MAX_S
    while fastest == float("inf") or time.monotonic() < deadline:
        started = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=1)
            output.logits.float().sum().backward()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def _told(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
