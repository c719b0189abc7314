"""Tiny checkpoints, and toy graphs whose texts are made of words that tell the label."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.zerog.graph import TextGraph, random_split
from tests.kblampp import tiny

WORDS = {"currency": ("euro", "peso"), "lake": ("river", "mountain"), "city": ("paris", "berlin", "lima")}
FILLERS = ("the", "of", "is", "which", "through", "a", "in", "on")
NAMES = {"bert": "bert", "llama": "llama3"}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model type -> folder of a random checkpoint, one of each family."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {model_type: tiny.checkpoint(root / model_type, model_type) for model_type in NAMES}


@pytest.fixture
def load(folders: dict[str, Path]) -> Callable[..., TextEncoder]:
    """Loads the tiny checkpoint of a model type with options of `EncoderConfig`."""

    def loaded(model_type: str, **options: object) -> TextEncoder:
        given = {"text_encoder": NAMES[model_type], "model_path": folders[model_type], "device": "cpu"}
        return load_encoder(EncoderConfig(**{**given, **options}))  # type: ignore[arg-type]

    return loaded


def toy_graph(seed: int, num_nodes: int = 60, name: str = "toy") -> TextGraph:
    """Each text has two words of its label among fillers; edges run mostly between equal labels."""
    rng = random.Random(seed)
    labels = [number % len(WORDS) for number in range(num_nodes)]
    names = list(WORDS)
    texts = []
    for label in labels:
        words = [rng.choice(WORDS[names[label]]) for _ in range(2)] + rng.sample(FILLERS, 3)
        rng.shuffle(words)
        texts.append(" ".join(words))
    edges = []
    for node in range(num_nodes):
        alike = [other for other in range(num_nodes) if labels[other] == labels[node] and other != node]
        edges += [(node, rng.choice(alike)), (node, rng.choice(alike))]
        if rng.random() < 0.1:
            edges.append((node, rng.randrange(num_nodes)))
    y = torch.tensor(labels)
    train, val, test = random_split(y, seed)
    return TextGraph(
        name=name,
        description="given texts find which",
        texts=tuple(texts),
        label_names=tuple(names),
        label_texts=tuple(names),
        edge_index=torch.tensor(edges).T.contiguous(),
        y=y,
        train_mask=train,
        val_mask=val,
        test_mask=test,
    )
