"""The architecture of a model, from its folder or from a table, for a machine that has not fetched it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from verl_ext.memory.errors import UnknownModelError

SMOLLM2_135M: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
QWEN2_5: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "vocab_size": 151936,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}
# Source: the config.json of each model's own hub page.
KNOWN_MODELS: dict[str, dict[str, Any]] = {
    "HuggingFaceTB/SmolLM2-135M": SMOLLM2_135M,
    "HuggingFaceTB/SmolLM2-135M-Instruct": SMOLLM2_135M,
    "models/SmolLM2-135M-Instruct": SMOLLM2_135M,
    "models/SmolLM2-135M-cold-start": SMOLLM2_135M,
    "Qwen/Qwen2.5-0.5B-Instruct": QWEN2_5
    | {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "Qwen/Qwen2.5-3B-Instruct": QWEN2_5
    | {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16},
}


def architecture_folder(model: str, scratch: Path) -> Path:
    """A folder whose ``config.json`` is that of ``model``; one of the table is written under ``scratch``.

    Raises:
        UnknownModelError: for a model that is neither a folder here nor in the table.
    """
    if (Path(model) / "config.json").is_file():
        return Path(model)
    if model not in KNOWN_MODELS:
        raise UnknownModelError(
            f"the architecture of {model!r} is not known: there is no {Path(model) / 'config.json'}; fetch "
            "the model (or its config.json alone) into that folder first, or name one of "
            + ", ".join(KNOWN_MODELS)
        )
    folder = scratch / model.replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(KNOWN_MODELS[model]), encoding="utf-8")
    return folder
