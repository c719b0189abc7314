"""All six steps, from an empty folder, against real servers and a real checkpoint."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kblampp.align.cli import main
from kblampp.align.errors import NotCached, ProviderError
from kblampp.align.providers import LocalProvider, OllamaProvider, OpenAIProvider, make_provider
from kblampp.align.vectors import embed_all, load_vectors, save_vectors
from tests.kblampp import tiny
from tests.kblampp.align.conftest import Server, vector

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts" / "align"
STEPS = ("env-check", "build-dataset", "cache-teacher", "train", "eval", "demo")
BUILD = ("build-dataset", "--target", "80", "--distractors", "120")


def run(folder: Path, *arguments: str) -> int:
    return main([arguments[0], "--folder", str(folder), *arguments[1:]])


def student(server: Server, suffix: str = "") -> tuple[str, ...]:
    return ("--student-host", server.host + suffix, "--student-model", "small")


@pytest.mark.parametrize("suffix", ["", "/v1"])
def test_the_six_steps_against_a_server(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    of_student = student(server, suffix)
    teacher = ("--teacher-host", server.host + suffix, "--teacher-model", "large")
    assert run(tmp_path, "env-check", *of_student, *teacher) == 0
    assert "16 dimensions" in capsys.readouterr().out
    assert run(tmp_path, *BUILD) == 0
    assert "80 sentences (72 train, 8 test)" in capsys.readouterr().out
    assert run(tmp_path, "cache-teacher", "--host", server.host + suffix, "--model", "large") == 0
    assert run(tmp_path, "train", *of_student, "--epochs", "20", "--lr", "0.01") == 0
    assert run(tmp_path, "eval", *of_student) == 0
    capsys.readouterr()
    assert run(tmp_path, "demo", *of_student, "--samples", "2", "--topk", "3") == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 2 * 4
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "reports/alignment_metrics.csv").open())}
    assert set(rows) >= {"teacher", "student, raw", "linear head", "ridge", "procrustes", "cca"}
    flat = rows["control: constant mean"]
    assert float(rows["ridge"]["centred_cosine"]) > float(flat["centred_cosine"]) + 0.2
    assert float(rows["linear head"]["recall@10 of 100"]) > float(flat["recall@10 of 100"])
    report = (tmp_path / "reports/alignment_report.md").read_text(encoding="utf-8")
    assert "| ridge |" in report
    assert re.search(r"- student, s for 1,000 texts: \d", report)
    assert re.search(r"- teacher, s for 1,000 texts: \d", report)
    config = json.loads((tmp_path / "artifacts/run_config.json").read_text(encoding="utf-8"))
    assert config["training"]["num_epochs"] == 20
    split = json.loads((tmp_path / "data/split.json").read_text(encoding="utf-8"))
    assert len(split["test"]) == 8


def test_the_teacher_is_asked_once_for_each_text(server: Server, tmp_path: Path) -> None:
    cache = ("cache-teacher", "--host", server.host, "--model", "large")
    assert run(tmp_path, *BUILD) == 0
    assert run(tmp_path, *cache) == 0
    asked = [text for _, body, _ in server.requests for text in body["input"]]
    assert len(asked) == len(set(asked)) == len(load_vectors(tmp_path / "data", "teacher").rows)
    server.requests.clear()
    speed = load_vectors(tmp_path / "data", "teacher").s_per_1000
    assert run(tmp_path, *cache) == 0
    assert load_vectors(tmp_path / "data", "teacher").s_per_1000 == speed
    assert run(tmp_path, "train", *student(server), "--epochs", "1") == 0
    assert not [body for _, body, _ in server.requests if body["model"] == "large"]


def test_what_was_made_before_an_interruption_is_kept(server: Server, tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(300)]
    provider = OllamaProvider(server.host, "small")

    class Failing(OllamaProvider):
        num_left = 2

        def embed(self, texts: object) -> np.ndarray:
            if not self.num_left:
                raise ProviderError("gone")
            self.num_left -= 1
            return super().embed(texts)  # type: ignore[arg-type]

    with pytest.raises(ProviderError):
        embed_all(Failing(server.host, "small"), texts, tmp_path / "v.sqlite", "x")
    server.requests.clear()
    made = embed_all(provider, texts, tmp_path / "v.sqlite", "x")
    assert sum(len(body["input"]) for _, body, _ in server.requests) == 300 - 256
    np.testing.assert_allclose(made.of(["text 7"])[0], vector("text 7", 16), rtol=1e-5)


def test_both_interfaces_give_the_vectors_in_order(server: Server) -> None:
    texts = ["a b", "c d e", "f"]
    expected = np.array([vector(text, 16) for text in texts], dtype=np.float32)
    np.testing.assert_allclose(OllamaProvider(server.host, "small").embed(texts), expected, rtol=1e-5)
    by_index = OpenAIProvider(f"{server.host}/v1/", "small", key="secret").embed(texts)
    np.testing.assert_allclose(by_index, expected, rtol=1e-5)
    assert [authorisation for *_, authorisation in server.requests] == [None, "Bearer secret"]


def test_a_server_that_refuses_or_is_not_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"refused model 'none' with status 404: model 'none' not found"):
        make_provider("none", server.host).embed(["a"])
    with pytest.raises(ProviderError, match=r"does not answer.*--host"):
        make_provider("small", "http://127.0.0.1:9").embed(["a"])


def test_a_checkpoint_of_this_machine_is_a_provider(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "tiny", "llama")
    provider = make_provider(f"hf:{folder}")
    assert isinstance(provider, LocalProvider)
    assert provider.embed(["a", "b"]).shape == (2, tiny.HIDDEN)
    assert provider.name.startswith("hf:tiny:")


def test_a_text_without_a_vector_and_files_that_do_not_fit(server: Server, tmp_path: Path) -> None:
    vectors = embed_all(OllamaProvider(server.host, "small"), ["a", "b"], tmp_path / "v.sqlite", "x")
    with pytest.raises(NotCached, match="cache-teacher"):
        vectors.of(["c"])
    save_vectors(tmp_path, "teacher", vectors)
    assert load_vectors(tmp_path, "teacher").of(["b"]).tobytes() == vectors.of(["b"]).tobytes()
    (tmp_path / "teacher_index.json").write_text('{"name": "x", "texts": ["a"]}', encoding="utf-8")
    with pytest.raises(NotCached, match="names 1 texts"):
        load_vectors(tmp_path, "teacher")


@pytest.mark.parametrize("step", ["cache-teacher", "train", "eval", "demo"])
def test_a_step_without_the_one_before_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    assert run(tmp_path, step) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error [dataset_error]: cannot read the data set")
    assert "\n" not in error


def test_another_student_than_the_head_was_trained_for_is_refused(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, *BUILD) == 0
    assert run(tmp_path, "cache-teacher", "--host", server.host, "--model", "large") == 0
    assert run(tmp_path, "train", *student(server), "--epochs", "1") == 0
    capsys.readouterr()
    assert run(tmp_path, "eval", "--student-host", server.host, "--student-model", "large") == 2
    assert "trained for the student ollama:small, not for ollama:large" in capsys.readouterr().err


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_a_numbered_script_is_its_step(script: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(script), "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=SCRIPTS.parents[1],
    )
    assert finished.stdout.startswith(f"usage: kblampp-align {STEPS[int(script.stem[:2])]} ")


def test_an_encoder_is_cut_to_its_first_layers(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "whole", "bert")
    command = [
        sys.executable,
        str(SCRIPTS.parent / "cut_layers.py"),
        str(folder),
        "--out",
        str(tmp_path / "cut"),
    ]
    finished = subprocess.run([*command, "--layers", "3"], capture_output=True, text=True, check=False)
    assert "has 2 encoder layers" in finished.stderr
    assert not (tmp_path / "cut").exists()
    subprocess.run([*command, "--layers", "1"], capture_output=True, check=True)
    whole, cut = (make_provider(f"hf:{path}") for path in (folder, tmp_path / "cut"))
    assert abs(whole.embed(["paris"]) - cut.embed(["paris"])).max() > 1e-3
    config = json.loads((tmp_path / "cut" / "config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == 1
