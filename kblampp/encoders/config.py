"""Which text encoder, and how: one typed config, and the command-line flags that fill it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kblampp.encoders.errors import EncoderError
from kblampp.encoders.families import POOLINGS, Kind, Pooling

Precision = Literal["float32", "bfloat16"]
Training = Literal["lora", "full"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True)
class Named:
    """A text encoder that has a short name: its model of the hub and what its model card asks for."""

    model: str
    kind: Kind
    query_prefix: str | None = None
    """What stands before a query; None leaves it to the checkpoint and the family."""


TEXT_ENCODERS: Mapping[str, Named] = {
    "minilm": Named("sentence-transformers/all-MiniLM-L6-v2", "encoder", ""),
    "bge": Named(
        "BAAI/bge-small-en-v1.5", "encoder", "Represent this sentence for searching relevant passages: "
    ),
    "bert": Named("google-bert/bert-base-uncased", "encoder", ""),
    "roberta": Named("FacebookAI/roberta-base", "encoder", ""),
    "smollm": Named("HuggingFaceTB/SmolLM2-135M", "decoder"),
    "qwen": Named("Qwen/Qwen2.5-0.5B", "decoder"),
    "llama3": Named("meta-llama/Llama-3.2-1B", "decoder"),
    "mistral": Named("mistralai/Mistral-7B-v0.3", "decoder"),
}
DEFAULT_INSTRUCTION = "Given a question, find the texts that answer it"


@dataclass(frozen=True)
class EncoderConfig:
    """A text encoder. Raises EncoderError for values that contradict one another."""

    text_encoder: str = "minilm"
    """A name of `TEXT_ENCODERS`; says which family the checkpoint must be of."""
    model_name: str | None = None
    """Another model of the hub in its place."""
    model_path: Path | None = None
    """A folder in its place; comes before `model_name`."""
    revision: str | None = None
    """Of a model of the hub: a commit, tag or branch."""
    pooling: Pooling | None = None
    """None: as the checkpoint says, or else as its family does."""
    max_length: int = 256
    """Tokens of a text; what is longer is cut at its end."""
    batch_size: int = 32
    instruction: str = DEFAULT_INSTRUCTION
    """What decoders are told before a query."""
    trust_remote_code: bool = False
    """Runs Python code that comes with the checkpoint, as first-generation Qwen needs."""
    dtype: Precision | None = None
    """Of weights that are not quantised; None: float32 on a processor, bfloat16 elsewhere."""
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    lora_rank: int = 8
    lora_alpha: int = 16
    gradient_checkpointing: bool = False
    device: str | None = None
    """None: an accelerator where there is one."""
    cache: Path | None = None
    """A file that keeps vectors; None keeps none."""

    def __post_init__(self) -> None:
        if self.text_encoder not in TEXT_ENCODERS:
            raise EncoderError(
                f"there is no text encoder {self.text_encoder!r}; there are {', '.join(TEXT_ENCODERS)}"
            )
        if self.load_in_4bit and self.load_in_8bit:
            raise EncoderError("load_in_4bit and load_in_8bit exclude one another; give one of them")
        if self.pooling is not None and self.pooling not in POOLINGS:
            raise EncoderError(f"there is no pooling {self.pooling!r}; there are {', '.join(POOLINGS)}")
        for name in ("max_length", "batch_size", "lora_rank", "lora_alpha"):
            if getattr(self, name) < 1:
                raise EncoderError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def named(self) -> Named:
        """The entry of `TEXT_ENCODERS`."""
        return TEXT_ENCODERS[self.text_encoder]

    @property
    def model(self) -> str:
        """The folder or the model of the hub that is loaded."""
        return str(self.model_path) if self.model_path else self.model_name or self.named.model

    @property
    def num_bits(self) -> Literal[4, 8, None]:
        """Bits of a quantised weight; None where weights are not quantised."""
        return 4 if self.load_in_4bit else 8 if self.load_in_8bit else None


def add_encoder_flags(parser: argparse.ArgumentParser, default: str = "minilm") -> None:
    """The flags of a text encoder; every one is also known with underscores."""
    group = parser.add_argument_group("text encoder")

    def flag(name: str, **options: object) -> None:
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}"))
        group.add_argument(*spellings, **options)  # type: ignore[arg-type]

    flag("text-encoder", default=default, choices=tuple(TEXT_ENCODERS), help="which one")
    flag("model-name", help="another model of the hub in its place")
    flag("model-path", type=Path, help="a folder in its place")
    flag("revision", help="commit, tag or branch of a model of the hub")
    flag("pooling", choices=POOLINGS, help="default: as the checkpoint or its family says")
    flag("max-length", type=int, default=256, help="tokens of a text")
    flag("batch-size", type=int, default=32, help="texts in one forward pass")
    flag("instruction", default=DEFAULT_INSTRUCTION, help="what a decoder is told before a query")
    flag("trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    flag("dtype", choices=PRECISIONS, help="of weights; default: float32 on a processor, else bfloat16")
    flag("load-in-4bit", action="store_true", help="NF4 weights (bitsandbytes)")
    flag("load-in-8bit", action="store_true", help="8-bit weights (bitsandbytes)")
    flag("lora-rank", type=int, default=8, help="rank of LoRA's matrices")
    flag("lora-alpha", type=int, default=16, help="LoRA's scale is alpha over rank")
    flag("gradient-checkpointing", action="store_true", help="less memory in training, slower")
    flag("device", help="cpu, cuda, ...; default: an accelerator where there is one")
    flag("cache", type=Path, help="a file that keeps vectors")


def encoder_config(arguments: argparse.Namespace) -> EncoderConfig:
    """The config that the flags ask for. Raises EncoderError as `EncoderConfig` does."""
    fields = EncoderConfig.__dataclass_fields__
    return EncoderConfig(**{name: value for name, value in vars(arguments).items() if name in fields})
