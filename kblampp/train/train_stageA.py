"""Stage A: the backbone is frozen and the KB modules learn.

python -m kblampp.train.train_stageA --config configs/synth_world.yaml --backbone configs/backbone_smollm.yaml
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kblampp.answer_format import AnswerFormat
from kblampp.config import Config
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.loading import load_backbone, make_model
from kblampp.train.stages import train_from_flags


def _make(config: Config, answers: AnswerFormat, _: argparse.Namespace) -> KBInjectedModel:
    return make_model(config, load_backbone(config), answers)


def main(argv: Sequence[str] | None = None) -> int:
    """Trains the KB modules. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.train.train_stageA", description=__doc__)
    return train_from_flags(parser, _make, argv)


if __name__ == "__main__":
    sys.exit(main())
