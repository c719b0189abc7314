"""Stage A: the backbone is frozen and the KB modules learn.

    python -m kblampp.train.train_stageA --config configs/synth_world.yaml \
        --backbone configs/backbone_smollm.yaml

A knowledge base with few questions can start from what a training on another one left (`--checkpoint`): how
tails are read, and how facts are told apart, is not learned anew for each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kblampp.answer_format import AnswerFormat
from kblampp.checkpoint import load_checkpoint
from kblampp.config import Config
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.loading import load_backbone, make_model
from kblampp.train.stages import train_from_flags


def _make(config: Config, answers: AnswerFormat, arguments: argparse.Namespace) -> KBInjectedModel:
    model = make_model(config, load_backbone(config), answers)
    if arguments.checkpoint is not None:
        load_checkpoint(model, config, arguments.checkpoint)
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Trains the KB modules. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.train.train_stageA", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="start from what another training left")
    return train_from_flags(parser, _make, argv)


if __name__ == "__main__":
    sys.exit(main())
