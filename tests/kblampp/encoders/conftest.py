"""One tiny checkpoint of each architecture a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.families import FAMILIES
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from tests.kblampp import tiny

NAMES = {"encoder": "bert", "decoder": "llama3"}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model type -> folder, for all that transformers knows itself."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {model_type: tiny.checkpoint(root / model_type, model_type) for model_type in tiny.CONFIGS}


@pytest.fixture
def load(checkpoints: dict[str, Path]) -> Callable[..., TextEncoder]:
    """Loads the tiny checkpoint of a model type with options of `EncoderConfig`."""

    def loaded(model_type: str, **options: object) -> TextEncoder:
        name = NAMES[FAMILIES[model_type].kind]
        given = {"text_encoder": name, "model_path": checkpoints[model_type], "device": "cpu", **options}
        return load_encoder(EncoderConfig(**given))  # type: ignore[arg-type]

    return loaded
