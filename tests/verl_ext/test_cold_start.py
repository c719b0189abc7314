"""Supervised learning on walks: what is learned, what is refused, and that it resumes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer

from tests.verl_ext import tiny
from verl_ext.cold_start import (
    IGNORED,
    ColdStartConfig,
    LearnedTokensTrainer,
    ResumeError,
    WalksError,
    cold_start,
    collate,
    load_model,
    read_walks,
    training_arguments,
)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    tiny.write_model(folder)
    return folder


def write_walks(path: Path, num_walks: int, tokenizer_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_folder))
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_walks):
            country, city = list(tiny.CAPITALS.items())[number % len(tiny.CAPITALS)]
            response = tokenizer.encode(f"<answer>{city}</answer>", add_special_tokens=False)
            walk = {
                "prompt_ids": tokenizer.encode(f"capital of {country}? ", add_special_tokens=False),
                "response_ids": response,
                "response_mask": [0, *[1] * (len(response) - 1)],
            }
            file.write(json.dumps(walk) + "\n")


def test_only_sampled_tokens_have_labels(tmp_path: Path) -> None:
    path = tmp_path / "walks.jsonl"
    path.write_text(json.dumps({"prompt_ids": [1, 2], "response_ids": [3, 4, 5], "response_mask": [1, 0, 1]}))
    (example,) = read_walks(path)
    assert example.input_ids == [1, 2, 3, 4, 5]
    assert example.labels == [IGNORED, IGNORED, 3, IGNORED, 5]


@pytest.mark.parametrize(
    "line", ["{", '{"prompt_ids": [1]}', '{"prompt_ids": [], "response_ids": [1], "response_mask": []}']
)
def test_a_bad_walk_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "walks.jsonl"
    good = json.dumps({"prompt_ids": [1], "response_ids": [2], "response_mask": [1]})
    path.write_text(f"{good}\n{line}\n")
    with pytest.raises(WalksError, match=r"walks\.jsonl:2 "):
        read_walks(path)


def test_batches_are_padded_on_the_right() -> None:
    rows = [{"input_ids": [1, 2, 3], "labels": [IGNORED, 2, 3]}, {"input_ids": [4], "labels": [4]}]
    batch = collate(rows, pad_token_id=9)
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert batch["labels"].tolist() == [[IGNORED, 2, 3], [4, IGNORED, IGNORED]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_the_loss_is_that_of_transformers(tmp_path: Path, model_folder: Path, lora_rank: int) -> None:
    config = ColdStartConfig(
        model=str(model_folder), walks=tmp_path / "w", out=tmp_path / "out", lora_rank=lora_rank
    )
    rows = [
        {"input_ids": [5, 6, 7, 8], "labels": [IGNORED, 6, IGNORED, 8]},
        {"input_ids": [9, 10], "labels": [9, 10]},
    ]
    # In float32, since bfloat16 rounds a loss over all positions and one over some of them differently.
    arguments = dataclasses.replace(training_arguments(config, tmp_path / "work"), bf16=False)
    losses = []
    for trainer_class in (Trainer, LearnedTokensTrainer):
        torch.manual_seed(0)
        model = load_model(config).float().eval()
        trainer = trainer_class(model=model, args=arguments)
        with torch.no_grad():
            losses.append(float(trainer.compute_loss(model, collate(rows, 0))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_it_learns_and_writes_a_loadable_folder(tmp_path: Path, model_folder: Path) -> None:
    walks = tmp_path / "walks.jsonl"
    write_walks(walks, 64, model_folder)
    out = tmp_path / "out"
    config = ColdStartConfig(
        model=str(model_folder), walks=walks, out=out, num_epochs=6, learning_rate=1e-2, save_steps=1000
    )
    metrics = cold_start(config)
    assert metrics["train_loss"] < 3.0  # a uniform guess over 400 tokens costs 6.0
    model = AutoModelForCausalLM.from_pretrained(str(out))
    assert model.dtype == torch.bfloat16
    assert not (tmp_path / "out.training").exists()
    assert not (tmp_path / "out.tmp").exists()


def test_with_lora_the_base_is_bfloat16_what_is_trained_float32_and_layers_are_checkpointed(
    tmp_path: Path, model_folder: Path
) -> None:
    walks = tmp_path / "walks.jsonl"
    write_walks(walks, 64, model_folder)
    config = ColdStartConfig(
        model=str(model_folder),
        walks=walks,
        out=tmp_path / "out",
        lora_rank=8,
        num_epochs=6,
        learning_rate=1e-2,
        save_steps=1000,
    )
    model = load_model(config)
    kinds = {parameter.dtype: parameter.requires_grad for parameter in model.parameters()}
    assert kinds == {torch.bfloat16: False, torch.float32: True}
    assert training_arguments(config, tmp_path / "work").gradient_checkpointing
    cold_start(config)
    before = AutoModelForCausalLM.from_pretrained(str(model_folder), dtype=torch.bfloat16).state_dict()
    after = AutoModelForCausalLM.from_pretrained(str(config.out)).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("q_proj" in name for name in changed)
    assert not any("embed" in name or "norm" in name for name in changed)


def test_an_interrupted_run_goes_on_where_it_was_saved(tmp_path: Path, model_folder: Path) -> None:
    walks = tmp_path / "walks.jsonl"
    write_walks(walks, 16, model_folder)

    def config(out: str, num_epochs: float) -> ColdStartConfig:
        return ColdStartConfig(
            model=str(model_folder), walks=walks, out=tmp_path / out, num_epochs=num_epochs, save_steps=2
        )

    class Interrupted(Exception):
        pass

    class Stopping(LearnedTokensTrainer):
        def training_step(self, *args: object, **kwargs: object) -> torch.Tensor:
            if self.state.global_step == 3:
                raise Interrupted
            return super().training_step(*args, **kwargs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("verl_ext.cold_start.LearnedTokensTrainer", Stopping)
        cold_start(config("resumed", 3.0))
    assert (tmp_path / "resumed.training" / "checkpoint-2").is_dir()
    with pytest.raises(ResumeError, match="num_epochs"):
        cold_start(config("resumed", 2.0))
    cold_start(config("resumed", 3.0))
    cold_start(config("whole", 3.0))
    resumed = AutoModelForCausalLM.from_pretrained(str(tmp_path / "resumed")).state_dict()
    whole = AutoModelForCausalLM.from_pretrained(str(tmp_path / "whole")).state_dict()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
