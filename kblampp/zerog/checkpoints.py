"""What training keeps: the adapter, or all weights, as safetensors, and how it was made."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from kblampp.encoders.adapting import load_adapter, save_adapter
from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.errors import EncoderError
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.files import write_text
from kblampp.zerog.errors import CheckpointError
from kblampp.zerog.model import ModelConfig

RECORD = "zerog.json"
WEIGHTS = "weights.safetensors"
# What makes a vector; the rest of an encoder's config is about the machine.
_OF_THE_MODEL = (
    "text_encoder",
    "model_name",
    "model_path",
    "revision",
    "pooling",
    "max_length",
    "instruction",
    "dtype",
    "load_in_4bit",
    "load_in_8bit",
    "lora_rank",
    "lora_alpha",
)


@dataclass(frozen=True)
class Record:
    """How a checkpoint was made."""

    encoder: EncoderConfig
    model: ModelConfig
    training: str
    """'lora' or 'full'."""
    epoch: int
    """After which it was kept; 0 is before the first."""
    history: tuple[dict[str, Any], ...]
    """A row an epoch, those after the kept one included: its number, loss, and validation scores."""
    graphs: dict[str, str]
    """Name and fingerprint of each graph trained on."""
    options: dict[str, Any]
    """The rest of the training's configuration."""


def save_checkpoint(encoder: TextEncoder, record: Record, folder: Path) -> None:
    """Writes a checkpoint, all of it or nothing; one that is there is replaced."""

    def write(unfinished: Path) -> None:
        if record.training == "lora":
            save_adapter(encoder, unfinished)
        else:
            weights = {name: value.contiguous() for name, value in encoder.model.state_dict().items()}
            safetensors.torch.save_file(weights, unfinished / WEIGHTS)
        save_record(record, unfinished)

    write_whole(folder, write)


def save_record(record: Record, folder: Path) -> None:
    """Writes the record of a checkpoint, or puts a new one in the old one's place."""
    text = json.dumps(asdict(record), default=str, indent=1, ensure_ascii=False)
    write_text(folder / RECORD, text + "\n")


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Makes `folder` from what `write` puts into a temporary one; if that fails, what was there stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        made, old = Path(temporary) / "new", Path(temporary) / "old"
        made.mkdir()
        write(made)
        if folder.exists():
            folder.rename(old)
        try:
            made.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise


def refuse_foreign(folder: Path) -> None:
    """Raises CheckpointError when a checkpoint written to `folder` would replace something else."""
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not (folder / RECORD).is_file():
        raise CheckpointError(f"{folder} is there and is no checkpoint of zerog; give another --out")


def read_record(folder: Path) -> Record:
    """Raises CheckpointError when the folder holds no record of a checkpoint."""
    path = folder / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        encoder = values.pop("encoder")
        for name in ("model_path", "cache"):
            encoder[name] = Path(encoder[name]) if encoder[name] else None
        history = tuple(values.pop("history"))
        model = ModelConfig(**values.pop("model"))
        return Record(encoder=EncoderConfig(**encoder), model=model, history=history, **values)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); give a folder that 'train' wrote"
        ) from error
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, EncoderError) as error:
        raise CheckpointError(
            f"{path}: is no record of a checkpoint ({type(error).__name__}: {error})"
        ) from error


def encoder_of(record: Record, machine: EncoderConfig) -> EncoderConfig:
    """The config of a checkpoint's encoder, with device, cache and batch size as `machine` has them."""
    return replace(machine, **{name: getattr(record.encoder, name) for name in _OF_THE_MODEL})


def load_checkpoint(folder: Path, machine: EncoderConfig) -> TextEncoder:
    """The trained encoder.

    Raises:
        CheckpointError: there is no checkpoint, or its weights do not fit the encoder.
        EncoderError: the encoder that it was trained from cannot be loaded.
    """
    record = read_record(folder)
    encoder = load_encoder(encoder_of(record, machine))
    if record.training == "lora":
        try:
            load_adapter(encoder, folder)
        except EncoderError as error:
            raise CheckpointError(str(error)) from error
        return encoder
    path = folder / WEIGHTS
    try:
        encoder.model.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: does not fit {encoder.config.model} ({first})") from error
    encoder.mark_changed()
    return encoder
