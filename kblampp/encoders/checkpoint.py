"""Where a checkpoint lies and which version it is: a folder, or a model of the hub brought into one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kblampp.encoders.errors import ModelNotFound, UnknownArchitecture

# Weights in other formats would have to be unpickled.
_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.py")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a config, safetensors weights and a tokenizer; `commit` where the hub told one."""

    folder: Path
    commit: str | None = None

    def revision(self) -> str:
        """The commit, or else a digest over the names and contents of the files, which reads all of them."""
        if self.commit is not None:
            return self.commit
        digest = hashlib.sha256()
        files = sorted({path for pattern in _FILES for path in self.folder.rglob(pattern)})
        for path in files:
            digest.update(f"{path.relative_to(self.folder)}:{path.stat().st_size}\n".encode())
            with path.open("rb") as source:
                while block := source.read(_BLOCK):
                    digest.update(block)
        return digest.hexdigest()

    @property
    def is_sentence_transformer(self) -> bool:
        """Whether the checkpoint says itself how its tokens are pooled."""
        return (self.folder / "modules.json").is_file()


def find_checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """The checkpoint of a folder, or of a model of the hub, which is downloaded where it is not yet.

    Raises ModelNotFound when there is neither, or no safetensors weights in it.
    """
    folder, commit = Path(model), None
    if not folder.is_dir():
        folder = _from_hub(model, revision)
        commit = folder.name
    if not (folder / "config.json").is_file():
        raise ModelNotFound(f"{folder} has no config.json; give the folder of a transformers checkpoint")
    if not any(folder.glob("*.safetensors")):
        raise ModelNotFound(
            f"{folder} has no safetensors weights, and others are not unpickled; convert them first "
            "(model.save_pretrained writes safetensors)"
        )
    return Checkpoint(folder, commit)


def read_config(folder: Path, trust_remote_code: bool = False) -> Any:
    """The config of a checkpoint. Raises UnknownArchitecture when transformers cannot read it."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_remote_code)
    except (ValueError, KeyError) as error:
        # transformers names neither the folder nor a way out.
        raise UnknownArchitecture(
            f"transformers cannot read the config in {folder}: {str(error).splitlines()[0]}"
        ) from error


def _from_hub(model: str, revision: str | None) -> Path:
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(_FILES), etag_timeout=5))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelNotFound(
            f"{model!r} is no folder, and the hub does not give it ({reason}); download it where there is a "
            "network, and give its folder as --model-path"
        ) from error
