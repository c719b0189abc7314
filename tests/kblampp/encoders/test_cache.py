"""Vectors on disk: found again bit for bit, never another recipe's, and safe under two writers."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest

from kblampp.encoders.cache import VectorCache, vector_key
from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from tests.kblampp import tiny

Load = Callable[..., TextEncoder]
TEXTS = ["paris", "berlin borders lima", "paris", "the capital of france"]


def never(*_: object) -> np.ndarray:
    raise AssertionError("computed again")


def test_a_hit_is_what_was_computed_bit_for_bit(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load("llama").encode(TEXTS)
    first = load("llama", cache=tmp_path / "vectors.sqlite")
    assert first.encode(TEXTS).tobytes() == expected.tobytes()
    first.close()
    second = load("llama", cache=tmp_path / "vectors.sqlite")
    monkeypatch.setattr(second, "_compute", never)
    assert second.encode(TEXTS).tobytes() == expected.tobytes()
    with pytest.raises(AssertionError, match="computed again"):
        second.encode(["lima"])
    second.close()
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        assert len(cache) == 3


def test_another_model_pooling_prefix_or_length_is_another_vector(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "vectors.sqlite"
    weights = shutil.copytree(load("bert").config.model, tmp_path / "other")
    tiny.checkpoint(weights, "bert", seed=1)
    recipes = [
        {},
        {"pooling": "cls"},
        {"max_length": 8},
        {"model_path": weights},
    ]
    for number, options in enumerate(recipes, start=1):
        encoder = load("bert", cache=path, **options)
        assert encoder.encode(["paris"]).tobytes() == load("bert", **options).encode(["paris"]).tobytes()
        encoder.close()
        with VectorCache(path) as cache:
            assert len(cache) == number


def test_the_same_model_in_another_folder_is_the_same(load: Load, tmp_path: Path) -> None:
    first = load("bert", cache=tmp_path / "vectors.sqlite")
    first.encode(["paris"])
    moved = shutil.copytree(first.config.model, tmp_path / "moved")
    again = load_encoder(
        EncoderConfig("bert", model_path=moved, device="cpu", cache=tmp_path / "vectors.sqlite")
    )
    again.encode(["paris"])
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        assert len(cache) == 1


def write(path: Path, writer: int, num_keys: int = 400) -> None:
    with VectorCache(path) as cache:
        for start in range(0, num_keys, 20):
            keys = [vector_key({"writer": "any"}, str(number)) for number in range(start, start + 20)]
            cache.put({key: np.full(8, float(writer), dtype=np.float32) for key in keys})


def test_two_writers_keep_every_vector_whole(tmp_path: Path) -> None:
    path = tmp_path / "vectors.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(path, number)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
        assert writer.exitcode == 0
    keys = [vector_key({"writer": "any"}, str(number)) for number in range(400)]
    with VectorCache(path) as cache:
        found = cache.get(keys)
    assert len(found) == 400
    for vector in found.values():
        assert vector.shape == (8,)
        assert len(set(vector.tolist())) == 1


def open_all(folder: Path, barrier: Barrier) -> None:
    for number in range(25):
        barrier.wait(timeout=60)
        write(folder / f"{number}.sqlite", 1, num_keys=20)


def test_several_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    openers = [context.Process(target=open_all, args=(tmp_path, barrier)) for _ in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(timeout=120)
        assert opener.exitcode == 0


def test_a_vector_that_is_there_is_kept(tmp_path: Path) -> None:
    key = vector_key({}, "text")
    with VectorCache(tmp_path / "deep" / "vectors.sqlite") as cache:
        cache.put({key: np.zeros(3, dtype=np.float32)})
        cache.put([(key, np.ones(3, dtype=np.float32))])
        assert cache.get([key, vector_key({}, "\ud800")])[key].tolist() == [0.0, 0.0, 0.0]
