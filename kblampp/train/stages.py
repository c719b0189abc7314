"""The command of both training stages; they differ in what of the backbone is trained."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint

from kblampp.answer_format import AnswerFormat
from kblampp.checkpoint import save_checkpoint
from kblampp.command import run
from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.encoders.loading import load_encoder
from kblampp.errors import ConfigError
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.loading import load_answer_format, load_retriever
from kblampp.questions import read_questions
from kblampp.train import trackers
from kblampp.train.alignment import num_not_copied
from kblampp.train.batches import QuestionDataset
from kblampp.train.calibration import calibrate_refusal
from kblampp.train.lower_layers import LowerLayers, can_be_kept
from kblampp.train.objective import Objective
from kblampp.train.trainer import KBTrainer, training_arguments

logger = logging.getLogger(__name__)
MakeModel = Callable[[Config, AnswerFormat, argparse.Namespace], KBInjectedModel]


def train_from_flags(parser: argparse.ArgumentParser, make: MakeModel, argv: Sequence[str] | None) -> int:
    """Adds the flags of both stages to a parser, and trains. Exit code 2 for a user's mistake.

    Args:
        parser: with the flags of one stage alone.
        make: the model with what is to be trained unfrozen.
        argv: arguments; None takes the process's own.
    """
    parser.add_argument("--max_steps", "--max-steps", type=int, help="end after that many steps")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in train.output"
    )
    add_config_flags(parser)

    def body(arguments: argparse.Namespace) -> None:
        if arguments.max_steps is not None:
            arguments.overrides.append(f"train.max_steps={arguments.max_steps}")
        config = config_from_flags(arguments)
        trackers.set_defaults(config)
        output = train(config, lambda answers: make(config, answers, arguments), arguments.resume)
        sys.stdout.write(f"trained modules in {output}\n")

    return run(parser, body, argv)


def train(config: Config, make: Callable[[AnswerFormat], KBInjectedModel], is_resumed: bool) -> Path:
    """Trains by a config and returns the folder of the checkpoint. Raises KblamppError."""
    answers = load_answer_format(config)
    encoder = load_encoder(config.encoder)
    retriever = load_retriever(config, encoder, answers)
    store = retriever.store
    train_set, dev_set = (
        QuestionDataset(
            read_questions(Path(path)),
            store,
            retriever.names,
            retriever.reader,
            encoder,
            answers,
            config.max_seq_len,
        )
        for path in (config.train_qa_path, config.dev_qa_path)
    )
    if train_set.num_left_out:
        logger.warning("%d questions are longer than max_seq_len and left out", train_set.num_left_out)
    if number := num_not_copied(train_set.examples, store):
        logger.warning(
            "%d of %d answers do not hold their fact's %s word for word, and are not learned from its values "
            "(pipeline.answer_form and store.value_text say what both are)",
            number,
            len(train_set),
            config.store.value_text,
        )
    model = make(answers)
    if config.train.gradient_checkpointing:
        model.backbone.gradient_checkpointing_enable({"use_reentrant": False})
        model.backbone.enable_input_require_grads()
    num_trained = sum(it.numel() for it in model.parameters() if it.requires_grad)
    logger.info("%d questions, %d weights trained", len(train_set), num_trained)
    objective = Objective(config, retriever)
    if config.train.keep_lower_layers and not config.train.gradient_checkpointing:
        objective.lower = _lower_layers(config, model, train_set, answers)
    trainer = KBTrainer(
        config,
        model,
        objective,
        train_set,
        dev_set,
        training_arguments(config),
        answers.tokenizer.pad_token_id,
    )
    trainer.train(resume_from_checkpoint=_last_checkpoint(config) if is_resumed else None)
    trainer.evaluate()
    shift = calibrate_refusal(model, objective, dev_set, config.batch_size, answers)
    logger.info("refusals calibrated on the validation questions: null score %+.2f", shift)
    output = Path(config.train.output) / "final"
    save_checkpoint(model, config, output)
    return output


def _lower_layers(
    config: Config, model: KBInjectedModel, questions: QuestionDataset, answers: AnswerFormat
) -> LowerLayers | None:
    if reason := can_be_kept(model):
        logger.info("every step goes through all layers: %s", reason)
        return None
    folder = Path(config.store.path) / "lower_layers"
    return LowerLayers(model, questions.examples, folder, answers.tokenizer.pad_token_id)


def _last_checkpoint(config: Config) -> str:
    folder = Path(config.train.output)
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if last is None:
        raise ConfigError(f"--resume: there is no checkpoint in {folder}; leave --resume out")
    return str(last)
