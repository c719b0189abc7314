"""Stage B: LoRA on the last layers of the backbone, the KB modules still learning.

    python -m kblampp.train.train_stageB --config configs/synth_world.yaml \
        --checkpoint runs/kblampp/synth_world/final train.output=runs/kblampp/synth_world_b
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from peft import LoraConfig, get_peft_model

from kblampp.answer_format import AnswerFormat
from kblampp.checkpoint import load_checkpoint
from kblampp.config import Config
from kblampp.errors import ConfigError
from kblampp.families import decoder_layers
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.loading import load_backbone, make_model
from kblampp.train.stages import train_from_flags

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of every family in `families.FAMILIES`."""


def add_lora(model: KBInjectedModel, config: Config) -> None:
    """Puts LoRA around the last `lora.num_layers` layers, in place.

    Raises:
        ConfigError: the backbone has fewer layers.
    """
    num_layers = len(decoder_layers(model.backbone))
    if not 1 <= config.lora.num_layers <= num_layers:
        raise ConfigError(
            f"lora.num_layers is {config.lora.num_layers}; the backbone has {num_layers} layers"
        )
    settings = LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        target_modules=list(TARGETS),
        layers_to_transform=list(range(num_layers - config.lora.num_layers, num_layers)),
        task_type="CAUSAL_LM",
    )
    model.take_out()
    model.backbone = get_peft_model(model.backbone, settings)
    model.put_in()


def _make(config: Config, answers: AnswerFormat, arguments: argparse.Namespace) -> KBInjectedModel:
    model = make_model(config, load_backbone(config), answers)
    load_checkpoint(model, config, arguments.checkpoint)
    add_lora(model, config)
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Trains LoRA and the KB modules. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.train.train_stageB", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="what stage A left")
    return train_from_flags(parser, _make, argv)


if __name__ == "__main__":
    sys.exit(main())
