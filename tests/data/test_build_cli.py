"""The command line: results on stdout, progress on stderr, one line for a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kg_r1.data.build import main
from tests.data.conftest import World


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real tokenizer: bytes, a chat template, nothing learned."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


def walks_arguments(world: World, tokenizer: Path, out: Path, *more: str) -> list[str]:
    return [
        "walks", "--questions", str(world.folder / "questions" / "val.parquet"),
        "--tokenizer", str(tokenizer), "--base_data_path", str(world.base),
        "--num-walks", "8", "--out", str(out),
        "--max-start-length", "4000", "--max-prompt-length", "20000", "--max-response-length", "2000",
        "--max-obs-length", "2000", *more,
    ]  # fmt: skip


def test_metaqa(metaqa_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metaqa", "--source", str(metaqa_source), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Data set metaqa: 6 triples, 7 entities, 3 relations")
    assert (tmp_path / "out" / "metaqa" / "questions" / "train_3hop.parquet").is_file()


def test_walks(
    world: World, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "walks.jsonl"
    assert main(walks_arguments(world, tokenizer_folder, out)) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"8 walks in {out}")
    assert "8/8" in printed.err
    walks = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(walk["group"] for walk in walks) == sorted(["1-hop", "2-hop", "3-hop", "conjunctive"] * 2)


def test_a_mistake_is_one_line_and_code_2(
    world: World, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metaqa", "--source", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    out = tmp_path / "walks.jsonl"
    assert main(walks_arguments(world, tmp_path / "none", out)) == 2
    assert "is no folder with a tokenizer" in capsys.readouterr().err
    assert main(walks_arguments(world, tokenizer_folder, out, "--max-list", "0")) == 2
    assert "max_list" in capsys.readouterr().err
    assert main(walks_arguments(world, tokenizer_folder, out, "--max-turns", "0")) == 2
    assert "max_turns must be at least 1" in capsys.readouterr().err
    assert not out.exists()


def test_when_no_walk_is_kept_nothing_is_written(
    world: World, tokenizer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "walks.jsonl"
    assert main(walks_arguments(world, tokenizer_folder, out, "--max-episode-tokens", "16")) == 2
    assert "no walk could be kept" in capsys.readouterr().err
    assert not out.exists()
