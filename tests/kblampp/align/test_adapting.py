"""Teaching a student itself: it comes nearer to its teacher, and what is saved is what was taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kblampp.align.adapting import AdaptingConfig, adapt_student, save_student
from kblampp.align.cli import main
from kblampp.align.training import TrainingConfig, train_head
from kblampp.encoders.config import Training
from kblampp.encoders.loading import load_by_family
from tests.kblampp import tiny
from tests.kblampp.align.conftest import vector

WORDS = tiny.SENTENCE.split()[:14]
TEXTS = [f"{a} {b} {c}" for a in WORDS[:5] for b in WORDS[4:9] for c in WORDS[9:]]
TEACHER = np.array([vector(text, 24) for text in TEXTS], dtype=np.float32)


def closeness(vectors: np.ndarray) -> float:
    """The mean centred cosine that a linear head reaches on the texts it learned from."""
    head = train_head(vectors, TEACHER, TrainingConfig(num_epochs=20, learning_rate=1e-2))
    mapped = head.apply_to(vectors)
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (mapped, TEACHER))
    a, b = a - b.mean(axis=0), b - b.mean(axis=0)
    return float((a * b).sum(axis=1).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


@pytest.mark.parametrize(
    ("model_type", "training"), [("bert", "full"), ("bert", "lora"), ("llama", "lora"), ("qwen2", "lora")]
)
def test_a_taught_student_is_nearer_and_is_saved_as_taught(
    tmp_path: Path, model_type: str, training: Training
) -> None:
    encoder = load_by_family(str(tiny.checkpoint(tmp_path / "raw", model_type)), dtype="float32")
    before = encoder.encode(TEXTS)
    config = AdaptingConfig(training, num_epochs=8, batch_size=16, learning_rate=5e-3)
    reached = adapt_student(encoder, TEXTS, TEACHER, config)
    taught = encoder.encode(TEXTS)
    assert -1.0 < reached <= 1.0
    assert closeness(taught) > closeness(before) + 0.02

    save_student(encoder, tmp_path / "taught")
    again = load_by_family(str(tmp_path / "taught"), dtype="float32")
    assert again.pooling == encoder.pooling
    assert not list((tmp_path / "taught").glob("adapter*"))
    np.testing.assert_allclose(again.encode(TEXTS), taught, atol=1e-4)


def test_every_weight_of_a_decoder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = prepared(tmp_path)
    model = f"hf:{tiny.checkpoint(tmp_path / 'decoder', 'llama')}"
    arguments = ["--student-model", model, "--out", str(tmp_path / "new"), "--training", "full"]
    assert main(["adapt-student", "--folder", str(folder), *arguments]) == 2
    assert "is a decoder (llama)" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_command_leaves_a_student_for_the_other_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = prepared(tmp_path)
    assert "2 further texts to learn from" in capsys.readouterr().out
    model, out = f"hf:{tiny.checkpoint(tmp_path / 'raw', 'bert')}", tmp_path / "taught"
    adapt = ["adapt-student", "--folder", str(folder), "--student-model", model, "--out", str(out)]
    assert main([*adapt, "--epochs", "1"]) == 0
    assert f"kblampp-align train --student-model hf:{out}" in capsys.readouterr().out
    of_taught = ["--folder", str(folder), "--student-model", f"hf:{out}"]
    assert main(["train", *of_taught, "--epochs", "1"]) == 0
    assert main(["eval", *of_taught]) == 0
    # A second time, or a student that is a server's: one line, and nothing is overwritten.
    capsys.readouterr()
    assert main([*adapt, "--epochs", "1"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["adapt-student", "--folder", str(folder), "--student-model", "small", "--out", "x"]) == 2
    assert "only hf: models can be taught" in capsys.readouterr().err


def test_further_texts_that_cannot_be_read_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ["build-dataset", "--folder", str(tmp_path), "--target", "32", "--distractors", "20"]
    assert main([*build, "--texts", str(tmp_path / "none.txt")]) == 2
    assert "none.txt" in capsys.readouterr().err


def prepared(tmp_path: Path) -> Path:
    """A folder with a data set and its teacher's vectors."""
    folder = tmp_path / "align"
    teacher = f"hf:{tiny.checkpoint(tmp_path / 'teacher', 'bert', seed=1)}"
    texts = tmp_path / "texts.txt"
    texts.write_text("A river flows.\n\nA lake borders Lima.\nA river flows.\n", encoding="utf-8")
    build = ["build-dataset", "--folder", str(folder), "--target", "32", "--distractors", "20"]
    assert main([*build, "--texts", str(texts)]) == 0
    assert main(["cache-teacher", "--folder", str(folder), "--model", teacher]) == 0
    return folder


def test_values_that_cannot_work_are_refused() -> None:
    from kblampp.align.errors import AlignError

    with pytest.raises(AlignError, match="num_epochs must be above 0"):
        AdaptingConfig(num_epochs=0)
    encoder = object()
    with pytest.raises(AlignError, match="2 texts and 1 teacher vectors"):
        adapt_student(encoder, ["a", "b"], TEACHER[:1], AdaptingConfig())  # type: ignore[arg-type]
