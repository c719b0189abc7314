"""Configs: what may be written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kblampp.config import Config, load_config
from kblampp.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_later_files_and_overrides_come_before(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("K_top: 8\nbatch_size: 4\noptimizer:\n  lr: 5e-4\n  type: adamw\n")
    second.write_text("batch_size: 2\ninject_layers: [3, 7]\n")
    config = load_config([first, second], ["optimizer.weight_decay=0.5", "losses.path=0.25"])
    assert (config.K_top, config.batch_size, config.inject_layers) == (8, 2, [3, 7])
    assert (config.optimizer.lr, config.optimizer.weight_decay) == (5e-4, 0.5)
    assert config.losses.path == 0.25


def test_old_spellings_are_translated(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("train_dataset: a.jsonl\neval_dataset: b.jsonl\n")
    config = load_config([path])
    assert (config.train_qa_path, config.dev_qa_path) == ("a.jsonl", "b.jsonl")


def test_the_encoder_is_known_by_name_or_folder(tmp_path: Path) -> None:
    assert Config().encoder.text_encoder == "bge"
    assert load_config(
        [], ["embedding_model=sentence-transformers/all-MiniLM-L6-v2"]
    ).encoder.text_encoder == ("minilm")
    assert Config().encoder.cache is None
    assert load_config([], ["vector_cache=some/vectors.db"]).encoder.cache == Path("some/vectors.db")
    folder = load_config([], [f"embedding_model={tmp_path}", "text_encoder=bert"]).encoder
    assert (folder.model_path, folder.text_encoder) == (tmp_path, "bert")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("K_tpo: 3", "K_tpo"),
        ("store:\n  m: 3", "m: Key 'm' not in 'StoreConfig'"),
        ("K_top: many", "could not be converted to Integer"),
        ("K_top: 0", "K_top must be at least 1"),
        ("K_top: 100", "num_candidates 64 is less than K_top 100"),
        ("d_k: 768", "d_k 768 and d_v 384 must be d_ctx 384"),
        ("inject_layers: [5, 5]", "in rising order"),
        ("value_source: tail", "it can be backbone, encoder, both"),
        ("pipeline:\n  source: web", "it can be synth_world, hotpot"),
        ("optimizer:\n  type: sgd", "it can be adamw"),
        ("- 1", "keys with values belong here"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, written: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(written + "\n")
    with pytest.raises(ConfigError) as raised:
        load_config([path])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_bad_override_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read"):
        load_config([tmp_path / "none.yaml"])
    with pytest.raises(ConfigError, match="'K_top' is not of the form key=value"):
        load_config([], ["K_top"])
