"""The Hugging Face Trainer for KB modules: their losses, their learning rates, their checkpoints."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from kblampp.checkpoint import load_checkpoint, save_checkpoint
from kblampp.config import Config
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.train.batches import Collator, QuestionDataset
from kblampp.train.objective import Objective

SCALARS = (
    "selector.rho",
    "selector.mu",
    "selector.gamma",
    "selector.eta",
    "selector.delta",
    "selector.log_temperature",
    "selector.by_depth.",
    "selector.null.",
    ".scale",
    ".gate.",
)
"""Parts of names whose parameters are few and must move far: they learn faster."""


class KBTrainer(Trainer):
    """Trains what is not frozen, and saves that alone.

    Args:
        config: of the run.
        model: with its backbone frozen, or with LoRA.
        objective: the losses.
        train, dev: questions.
    """

    def __init__(
        self,
        config: Config,
        model: KBInjectedModel,
        objective: Objective,
        train: QuestionDataset,
        dev: QuestionDataset,
        arguments: TrainingArguments,
        pad_id: int,
    ) -> None:
        self.config = config
        self.objective: Objective = objective
        self._sums: dict[str, list[float]] = defaultdict(list)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=dev,
            data_collator=Collator(pad_id, str(next(model.parameters()).device)),
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The weighted sum of the losses; its parts go to the log."""
        step = self.objective(self.accelerator.unwrap_model(model), inputs["batch"])
        for name, value in step.parts.items():
            self._sums[name if model.training else f"eval_{name}"].append(value)
        return (step.loss, {}) if return_outputs else step.loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, None, None]:
        """The loss alone: answers are generated and judged by `eval_qa`."""
        with torch.no_grad():
            return self.compute_loss(model, inputs).detach(), None, None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means of the parts since the last line."""
        wanted = [name for name in self._sums if name.startswith("eval_") == ("eval_loss" in logs)]
        if "loss" in logs or "eval_loss" in logs:
            for name in wanted:
                values = self._sums.pop(name)
                logs[name] = round(sum(values) / len(values), 4)
        super().log(logs, start_time)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with a faster rate for `SCALARS`, and the adapter's own for LoRA."""
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(parameter_groups(self._kb_model, self.config))
        return self.optimizer

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        save_checkpoint(self._kb_model, self.config, Path(output_dir or self.config.train.output))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_checkpoint(self._kb_model, self.config, Path(resume_from_checkpoint))

    @property
    def _kb_model(self) -> KBInjectedModel:
        assert isinstance(self.model, KBInjectedModel)
        return self.model


def parameter_groups(model: nn.Module, config: Config) -> list[dict[str, Any]]:
    """What is trained, by learning rate: KB modules, scalars among them, and LoRA's matrices."""
    trained = [(name, it) for name, it in model.named_parameters() if it.requires_grad]
    groups: dict[str, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in trained:
        if name.startswith("backbone."):
            groups["lora"].append(parameter)
        elif any(part in name for part in SCALARS):
            groups["scalars"].append(parameter)
        else:
            groups["modules"].append(parameter)
    lr, decay = config.optimizer.lr, config.optimizer.weight_decay
    settings = {
        "modules": {"lr": lr, "weight_decay": decay},
        "scalars": {"lr": lr * config.optimizer.scalar_lr_factor, "weight_decay": 0.0},
        "lora": {"lr": config.lora.lr, "weight_decay": decay},
    }
    return [{"params": groups[name]} | settings[name] for name in settings if groups[name]]


def training_arguments(config: Config) -> TrainingArguments:
    """The Trainer's arguments that a config asks for."""
    train = config.train
    has_eval = train.eval_steps > 0
    return TrainingArguments(
        output_dir=train.output,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.grad_accum,
        num_train_epochs=train.num_epochs,
        max_steps=train.max_steps,
        learning_rate=config.optimizer.lr,
        weight_decay=config.optimizer.weight_decay,
        max_grad_norm=config.optimizer.max_grad_norm,
        warmup_steps=config.optimizer.warmup_steps,
        lr_scheduler_type="cosine",
        gradient_checkpointing=False,  # of the backbone, which the Trainer does not see
        save_steps=train.save_steps,
        save_total_limit=2,
        eval_strategy="steps" if has_eval else "no",
        eval_steps=train.eval_steps if has_eval else None,
        logging_steps=10,
        seed=train.seed,
        data_seed=train.seed,
        report_to=list(train.report_to) or "none",
        remove_unused_columns=False,
        label_names=[],
        dataloader_pin_memory=False,
        use_cpu=config.device == "cpu",
    )
