"""What training leaves: the KB modules as safetensors, the config, and LoRA's adapter if there is one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf
from peft import PeftModel
from safetensors.torch import load_file, save_file

from kblampp.config import Config, load_config
from kblampp.errors import CheckpointError
from kblampp.files import whole, write_text
from kblampp.injection_wrapper import KBInjectedModel

WEIGHTS = "kb.safetensors"
CONFIG = "config.yaml"
ADAPTER = "lora"
_OF_THE_MODEL = (
    "inject_layers",
    "early_layer",
    "value_source",
    "d_attention",
    "d_k",
    "use_graph",
    "use_chat_template",
    "copy_head",
)


def save_checkpoint(model: KBInjectedModel, config: Config, folder: Path) -> None:
    """Writes the KB modules, the config, and the adapter of a PEFT backbone; nothing of the backbone."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: it.detach().contiguous().cpu() for name, it in model.kb_state().items()}
    with whole(folder / WEIGHTS) as temporary:
        save_file(state, temporary)
    write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(asdict(config))))
    if hasattr(model.backbone, "peft_config"):
        model.backbone.save_pretrained(folder / ADAPTER)


def checkpoint_config(folder: Path) -> Config:
    """The config that a checkpoint was trained with. Raises CheckpointError."""
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder / CONFIG} is not there; python -m kblampp.train.train_stageA makes it"
        )
    return load_config([folder / CONFIG])


def load_checkpoint(model: KBInjectedModel, config: Config, folder: Path) -> None:
    """Puts trained KB modules into a model, and the adapter around its backbone.

    Raises:
        CheckpointError: the folder has none, or it was trained for another backbone or injection.
    """
    trained = checkpoint_config(folder)
    for name in _OF_THE_MODEL:
        if getattr(trained, name) != getattr(config, name):
            raise CheckpointError(
                f"{folder} was trained with {name}={getattr(trained, name)}, the config says "
                f"{getattr(config, name)}; they must be the same"
            )
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{path} is not there; python -m kblampp.train.train_stageA makes it")
    state, wanted = load_file(path), model.kb_state()
    if wrong := sorted(state.keys() ^ wanted.keys()):
        raise CheckpointError(f"{path}: {wrong[0]} is in one of checkpoint and model alone")
    for name, it in state.items():
        if it.shape != wanted[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(it.shape)}, the model's {tuple(wanted[name].shape)}; "
                f"it was trained for {trained.backbone} with store.max_tail_tokens="
                f"{trained.store.max_tail_tokens}, or by an older version"
            )
    model.load_state_dict(state, strict=False)
    if (folder / ADAPTER).is_dir():
        _load_adapter(model, folder / ADAPTER)


def _load_adapter(model: KBInjectedModel, folder: Path) -> None:
    """Into the adapter that is there, to be trained on; else around the backbone, frozen."""
    if hasattr(model.backbone, "peft_config"):
        model.backbone.load_adapter(str(folder), adapter_name="default", is_trainable=True)
        return
    model.take_out()
    model.backbone = PeftModel.from_pretrained(model.backbone, str(folder))
    model.put_in()
