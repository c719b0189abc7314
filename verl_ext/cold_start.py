"""Supervised cold start on oracle walks: ``python -m verl_ext.cold_start --walks FILE --out models/NAME``.

The walks were played through the environment itself, so their token ids and masks are the ones that
reinforcement learning will see; only sampled tokens are learned. The trainer is transformers' own
(progress bar, checkpoints, resumption, PEFT).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from verl_ext.attention import fastest_attention
from verl_ext.stop_accuracy import decisions, stop_accuracy

logger = logging.getLogger(__name__)

ATTENTION_TOKENS = 768  # about two walks
IGNORED = -100  # the label that torch's cross entropy leaves out


class WalksError(ValueError):
    """Walks that cannot be learned from; the message names file and line."""

    code = "bad_walks"


class ResumeError(ValueError):
    """Checkpoints of another run lie where this one would go on."""

    code = "cannot_resume"


@dataclass(frozen=True)
class Example:
    """One walk as ids; labels are -100 wherever the environment spoke. `group` is its hop group."""

    input_ids: list[int]
    labels: list[int]
    group: str = ""


class WalkDataset(Dataset[dict[str, list[int]]]):
    """Walks as transformers' Trainer reads them."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        example = self.examples[index]
        return {"input_ids": example.input_ids, "labels": example.labels}


def read_walks(path: Path, max_walks: int | None = None) -> list[Example]:
    """Read JSON lines with ``prompt_ids``, ``response_ids`` and ``response_mask``.

    Raises:
        WalksError: for a line that lacks one of them or whose lengths differ, naming file and line.
    """
    examples: list[Example] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if max_walks is not None and len(examples) == max_walks:
                break
            try:
                walk = json.loads(line)
                prompt, response, mask = walk["prompt_ids"], walk["response_ids"], walk["response_mask"]
            except (json.JSONDecodeError, KeyError) as error:
                raise WalksError(f"{path}:{number} is not a walk: {error!r}") from error
            if len(response) != len(mask):
                raise WalksError(f"{path}:{number} has {len(response)} ids and {len(mask)} mask values")
            labels = [token if sampled else IGNORED for token, sampled in zip(response, mask, strict=True)]
            group = str(walk.get("group", ""))
            examples.append(Example(prompt + response, [IGNORED] * len(prompt) + labels, group))
    if not examples:
        raise WalksError(f"{path} holds no walk")
    return examples


def collate(features: list[dict[str, list[int]]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Pad on the right. Returns input_ids, labels and attention_mask, each [batch, longest]."""
    longest = max(len(feature["input_ids"]) for feature in features)

    def padded(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in features])

    mask = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in features]
    return {
        "input_ids": padded("input_ids", pad_token_id),
        "labels": padded("labels", IGNORED),
        "attention_mask": torch.tensor(mask),
    }


class CausalLMCollator:
    """:func:`collate` with the tokenizer's padding id; counts what it padded, in this process."""

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id
        self.num_places = self.num_padded = 0

    def __call__(self, features: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        batch = collate(features, self.pad_token_id)
        self.num_places += batch["attention_mask"].numel()
        self.num_padded += int((batch["attention_mask"] == 0).sum())
        return batch

    @property
    def padding_share(self) -> float:
        """Of all places computed, those that were padding."""
        return self.num_padded / self.num_places if self.num_places else 0.0


class LearnedTokensTrainer(Trainer):
    """transformers' Trainer, with logits only where there is a label.

    More than half of a walk is prompt and observations; over a vocabulary of 49,152 their logits cost a
    fifth of a step on a processor (docs/log.md). The loss is the same.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if return_outputs or isinstance(model, torch.nn.parallel.DistributedDataParallel):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
        with self.accelerator.autocast():
            hidden = causal_lm.get_decoder()(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
            ).last_hidden_state
            targets = inputs["labels"][:, 1:]
            is_learned = targets != IGNORED
            logits = causal_lm.get_output_embeddings()(hidden[:, :-1][is_learned])  # [num_learned, vocab]
        total = torch.nn.functional.cross_entropy(logits.float(), targets[is_learned], reduction="sum")
        return total / (is_learned.sum() if num_items_in_batch is None else num_items_in_batch)


@dataclass(frozen=True, kw_only=True)
class ColdStartConfig:
    """The supervised run."""

    model: str
    walks: Path
    out: Path
    num_epochs: float = 1.0
    learning_rate: float = 2e-4
    batch_size: int = 2
    """Walks in one update: with few walks, more updates teach more (docs/log.md)."""
    micro_batch_size: int = 2
    """Walks in one forward pass: eight of 500 tokens take more than 20 GB with eager attention."""
    num_held_out: int = 24
    """Walks (at most a tenth) that are not learned, for the stop accuracy at the end; 0 measures none."""
    lora_rank: int = 0
    """0 trains every weight; otherwise PEFT's LoRA on the linear layers, merged when it is done. The base is
    then kept in bfloat16 and the layers' activations are computed anew for the backward pass: a model of 3B
    fits a card of 24 GB."""
    max_walks: int | None = None
    save_steps: int = 50
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.micro_batch_size < 1 or self.batch_size % self.micro_batch_size:
            raise WalksError(
                f"--batch-size {self.batch_size} is no multiple of --micro-batch-size {self.micro_batch_size}"
            )


def training_arguments(config: ColdStartConfig, work: Path) -> TrainingArguments:
    """Length-grouped batches: padding costs as much as text on a processor."""
    return TrainingArguments(
        output_dir=str(work),
        num_train_epochs=config.num_epochs,
        per_device_train_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=config.batch_size // config.micro_batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=10,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=True,
        gradient_checkpointing=bool(config.lora_rank),
        gradient_checkpointing_kwargs={"use_reentrant": False} if config.lora_rank else None,
        use_cpu=config.device == "cpu",
        train_sampling_strategy="group_by_length",
        logging_steps=10,
        save_steps=config.save_steps,
        save_total_limit=1,
        report_to=[],
        seed=config.seed,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )


def load_model(config: ColdStartConfig) -> PreTrainedModel:
    """The model in float32 master weights; with a LoRA rank in bfloat16, and LoRA's matrices in float32."""
    attention = fastest_attention(config.model, ATTENTION_TOKENS) if config.device == "cpu" else None
    model = AutoModelForCausalLM.from_pretrained(
        config.model,
        dtype=torch.bfloat16 if config.lora_rank else torch.float32,
        attn_implementation=attention,
    )
    model.config.use_cache = False
    if config.lora_rank:
        from peft import LoraConfig, get_peft_model

        # Without it checkpointed layers above a frozen embedding have no gradient.
        model.enable_input_require_grads()
        lora = LoraConfig(
            r=config.lora_rank,
            lora_alpha=2 * config.lora_rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, lora)  # type: ignore[return-value]
    return model


def claim(work: Path, config: ColdStartConfig) -> None:
    """Note in ``work`` what is trained there, so that only the same run goes on from its checkpoints.

    Raises:
        ResumeError: when something else is being trained there.
    """
    run = {name: str(value) for name, value in dataclasses.asdict(config).items()}
    with config.walks.open("rb") as file:
        run["walks_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    note = work / "run.json"
    if note.is_file():
        earlier = json.loads(note.read_text(encoding="utf-8"))
        changed = sorted(name for name in run.keys() | earlier.keys() if run.get(name) != earlier.get(name))
        if changed:
            raise ResumeError(
                f"{work} holds an unfinished run with other values of {', '.join(changed)}: "
                "delete that folder to begin anew, or give the values again to go on"
            )
    work.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(run, indent=1), encoding="utf-8")


def cold_start(config: ColdStartConfig) -> dict[str, Any]:
    """Train, and write ``config.out`` whole or not at all; an interrupted run resumes where it was saved.

    Returns:
        transformers' training metrics (loss, seconds, samples per second), the share of padding in what was
        computed and, by hop group, the stop accuracy on the walks held out: [right, of].

    Raises:
        WalksError: as :func:`read_walks`.
        ResumeError: as :func:`claim`.
    """
    set_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(config.model)
    examples = read_walks(config.walks, config.max_walks)
    num_held_out = min(config.num_held_out, len(examples) // 10)
    held_out = examples[len(examples) - num_held_out :]
    examples = examples[: len(examples) - num_held_out]
    num_learned = sum(label != IGNORED for example in examples for label in example.labels)
    num_tokens = sum(len(example.input_ids) for example in examples)
    logger.info("%d walks, %d tokens, %d of them learned", len(examples), num_tokens, num_learned)
    work = config.out.with_name(config.out.name + ".training")
    claim(work, config)
    collator = CausalLMCollator(tokenizer.pad_token_id)
    trainer = LearnedTokensTrainer(
        model=load_model(config),
        args=training_arguments(config, work),
        train_dataset=WalkDataset(examples),
        data_collator=collator,
    )
    resume = any(work.glob("checkpoint-*"))
    result = trainer.train(resume_from_checkpoint=resume or None)
    metrics: dict[str, Any] = {**result.metrics, "padding_share": round(collator.padding_share, 4)}
    model = save(trainer.model, tokenizer, config.out)
    shutil.rmtree(work, ignore_errors=True)
    if held_out:
        metrics["stop_accuracy"] = held_out_stop_accuracy(model, tokenizer, held_out)
    return metrics


def held_out_stop_accuracy(model: Any, tokenizer: Any, held_out: list[Example]) -> dict[str, tuple[int, int]]:
    """As :func:`verl_ext.stop_accuracy.stop_accuracy`, over whole walks; logged as well."""
    asked = [
        decision
        for example in held_out
        for decision in decisions(
            example.input_ids, [label != IGNORED for label in example.labels], example.group, tokenizer
        )
    ]
    model.eval()
    found = stop_accuracy(model, tokenizer, asked)
    told = ", ".join(f"{group} {right}/{total}" for group, (right, total) in found.items())
    logger.info("stop accuracy on %d walks held out (turns right): %s", len(held_out), told)
    return found


def save(model: Any, tokenizer: Any, out: Path) -> Any:
    """A bfloat16 safetensors folder, moved into place when it is complete; returns the model as saved."""
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.config.use_cache = True
    temporary = out.with_name(out.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model = model.to(torch.bfloat16)
    model.save_pretrained(str(temporary))
    tokenizer.save_pretrained(str(temporary))
    shutil.rmtree(out, ignore_errors=True)
    temporary.replace(out)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Supervised cold start on oracle walks.")
    parser.add_argument("--model", default="models/SmolLM2-135M-Instruct", help="hub name or local folder")
    parser.add_argument("--walks", type=Path, required=True, help="JSON lines of `kg_r1.data.build walks`")
    parser.add_argument("--out", type=Path, default=Path("models/SmolLM2-135M-cold-start"))
    parser.add_argument("--num-epochs", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=2, help="walks in one update")
    parser.add_argument("--micro-batch-size", type=int, default=2, help="walks in one forward pass")
    parser.add_argument("--num-held-out", type=int, default=24, help="walks kept for the stop accuracy")
    parser.add_argument("--lora-rank", type=int, default=0, help="0 trains every weight")
    parser.add_argument("--max-walks", type=int)
    parser.add_argument("--save-steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        config = ColdStartConfig(**vars(options))
        metrics = cold_start(config)
    except (WalksError, ResumeError, OSError) as error:
        sys.stderr.write(f"error [{getattr(error, 'code', 'not_readable')}]: {error}\n")
        sys.exit(2)
    sys.stdout.write(json.dumps({"out": str(config.out), **metrics}) + "\n")


if __name__ == "__main__":
    main()
