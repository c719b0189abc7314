"""Both stages really train, resume, and save only what they trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kblampp.answering import load_answerer
from kblampp.config import Config, TrainConfig
from kblampp.encoders.loading import load_encoder
from kblampp.errors import CheckpointError
from kblampp.loading import load_answer_format, load_backbone, load_retriever, make_model
from kblampp.questions import read_questions
from kblampp.train import trackers, train_stageA, train_stageB
from kblampp.train.batches import Collator, QuestionDataset
from kblampp.train.lower_layers import LowerLayers, can_be_kept
from kblampp.train.objective import Objective
from kblampp.train.trainer import parameter_groups
from tests.kblampp.injection import make_world, stir, write_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = make_world(tmp_path, inject_layers=[1], batch_size=4, grad_accum=1)
    train = TrainConfig(output=str(tmp_path / "run"), num_epochs=2, save_steps=2)
    return replace(made, train=train)


def test_stage_a_learns_saves_and_resumes(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_config(config, tmp_path / "config.yaml"))
    assert train_stageA.main(["--config", path, "--max_steps", "2"]) == 0
    first = load_file(tmp_path / "run" / "final" / "kb.safetensors")
    assert not [name for name in first if name.startswith("backbone")]
    assert first["attentions.1.scale"] != 0
    assert train_stageA.main(["--config", path, "--resume", "--max_steps", "4"]) == 0
    assert (tmp_path / "run" / "checkpoint-4" / "trainer_state.json").is_file()
    at_once = replace(config.train, output=str(tmp_path / "whole"))
    other = str(write_config(replace(config, train=at_once), tmp_path / "whole.yaml"))
    assert train_stageA.main(["--config", other, "--max_steps", "4"]) == 0
    capsys.readouterr()
    resumed = load_file(tmp_path / "run" / "final" / "kb.safetensors")
    assert not torch.equal(resumed["attentions.1.up.weight"], first["attentions.1.up.weight"])
    assert train_stageA.main(["--config", path, "--resume", f"train.output={tmp_path}/none"]) == 2
    assert "leave --resume out" in capsys.readouterr().err


def test_losses_reach_the_trackers(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WANDB_DIR", "WANDB_PROJECT", "WANDB_MODE", "WANDB_API_KEY", "TENSORBOARD_LOGGING_DIR"):
        monkeypatch.setenv(name, "")  # so that what the run sets is taken back afterwards
        monkeypatch.delenv(name)
    path = str(write_config(config, tmp_path / "config.yaml"))
    flags = ["--config", path, "--max_steps", "10", "train.report_to=[wandb,tensorboard]"]
    assert train_stageA.main(flags) == 0
    written = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert {"train/loss", "train/selector", "eval/loss", "eval/exact"} <= set(written.Tags()["scalars"])
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert train_stageA.main(["--config", path, "train.report_to=[mlflow]"]) == 2
    assert "it can be wandb, tensorboard" in capsys.readouterr().err


def test_a_run_without_trackers_leaves_the_environment_alone(config: Config) -> None:
    environment: dict[str, str] = {}
    trackers.set_defaults(config, environment)
    assert not environment
    reporting = replace(config, train=replace(config.train, report_to=["wandb"]))
    environment = {"WANDB_API_KEY": "key", "WANDB_PROJECT": "mine"}
    trackers.set_defaults(reporting, environment)
    assert environment["WANDB_PROJECT"] == "mine" and "WANDB_MODE" not in environment
    assert environment["WANDB_DIR"] == config.train.output


def test_stage_b_trains_lora_beside_the_modules(config: Config, tmp_path: Path) -> None:
    path = str(write_config(config, tmp_path / "config.yaml"))
    assert train_stageA.main(["--config", path, "--max_steps", "2"]) == 0
    stage_a = tmp_path / "run" / "final"
    flags = [
        "--config",
        path,
        "--checkpoint",
        str(stage_a),
        f"train.output={tmp_path}/b",
        "lora.num_layers=1",
    ]
    assert train_stageB.main([*flags, "--max_steps", "2", "lora.lr=1e-2"]) == 0
    stage_b = tmp_path / "b" / "final"
    adapter = load_file(stage_b / "lora" / "adapter_model.safetensors")
    assert all("layers.1." in name for name in adapter)
    assert any(it.abs().sum() > 0 for name, it in adapter.items() if "lora_B" in name)
    assert set(load_file(stage_b / "kb.safetensors")) == set(load_file(stage_a / "kb.safetensors"))
    answerer = load_answerer(config, stage_b)
    assert not answerer.model.training  # alpha is sharper then
    assert hasattr(answerer.model.backbone, "peft_config")
    assert train_stageB.main([*flags, "--max_steps", "4", "--resume", "lora.lr=1e-2"]) == 0


def test_stage_a_starts_from_another_training(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_config(config, tmp_path / "config.yaml"))
    assert train_stageA.main(["--config", path, "--max_steps", "2"]) == 0
    first = tmp_path / "run" / "final"
    flags = ["--config", path, "--checkpoint", str(first), "--max_steps", "1", f"train.output={tmp_path}/on"]
    assert train_stageA.main([*flags, "optimizer.lr=0"]) == 0
    before, after = (load_file(folder / "kb.safetensors") for folder in (first, tmp_path / "on" / "final"))
    changed = [name for name, it in before.items() if not torch.equal(it, after[name])]
    assert changed in ([], ["selector.null.bias"])  # the threshold of refusals is set anew
    capsys.readouterr()
    assert train_stageA.main([*flags, "inject_layers=[0]"]) == 2
    assert "was trained with inject_layers=[1], the config says [0]" in capsys.readouterr().err


def test_a_checkpoint_of_another_injection_is_refused(config: Config, tmp_path: Path) -> None:
    path = str(write_config(config, tmp_path / "config.yaml"))
    assert train_stageA.main(["--config", path, "--max_steps", "1"]) == 0
    final = tmp_path / "run" / "final"
    with pytest.raises(CheckpointError, match=r"inject_layers=\[1\], the config says \[0\]"):
        load_answerer(replace(config, inject_layers=[0]), final)
    with pytest.raises(CheckpointError, match="train_stageA makes it"):
        load_answerer(config, tmp_path / "nowhere")


def test_kept_lower_layers_give_the_same_losses_and_gradients(config: Config, tmp_path: Path) -> None:
    answers, encoder = load_answer_format(config), load_encoder(config.encoder)
    config = replace(config, train=replace(config.train, question_noise=0.0))
    retriever = load_retriever(config, encoder, answers)
    asked = read_questions(Path(config.train_qa_path))
    data = QuestionDataset(
        asked,
        retriever.store,
        retriever.names,
        retriever.reader,
        encoder,
        answers,
        128,
        show_progress=False,
    )
    pad = answers.tokenizer.pad_token_id
    batch = Collator(pad, "cpu")(data.examples[:5])["batch"]
    found = []
    for is_kept in (False, True):
        answerer = load_answerer(config)
        stir(answerer)
        model = answerer.model.train()
        objective = Objective(config, retriever)
        if is_kept:
            objective.lower = LowerLayers(model, data.examples, tmp_path / "kept", pad)
            objective.lower = LowerLayers(model, data.examples, tmp_path / "kept", pad)  # from the file
        step = objective(model, batch)
        step.loss.backward()
        found.append((step.parts, {name: it.grad for name, it in model.attentions.named_parameters()}))
    assert len(list((tmp_path / "kept").glob("*.npy"))) == 1
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-2)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][name], rtol=0.1, atol=0.05, msg=name)


def test_when_lower_layers_cannot_be_kept(config: Config) -> None:
    answers = load_answer_format(config)
    model = make_model(config, load_backbone(config), answers)
    assert can_be_kept(model) is None
    model.backbone.requires_grad_(True)
    assert can_be_kept(model) == "the backbone is trained as well"
    first = make_model(replace(config, inject_layers=[0]), load_backbone(config), answers)
    assert can_be_kept(first) == "facts are injected before the first layer"


def test_every_trained_weight_is_in_one_group(config: Config) -> None:
    model = make_model(config, load_backbone(config), load_answer_format(config))
    groups = parameter_groups(model, config)
    grouped = [id(it) for group in groups for it in group["params"]]
    assert sorted(grouped) == sorted(id(it) for _, it in model.kb_parameters() if it.requires_grad)
    rates = {id(it): group["lr"] for group in groups for it in group["params"]}
    by_name = dict(model.named_parameters())
    assert rates[id(by_name["attentions.1.scale"])] == pytest.approx(10 * config.optimizer.lr)
    assert rates[id(by_name["attentions.1.up.weight"])] == config.optimizer.lr
