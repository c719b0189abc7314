"""The computed memory: exact parameter counts, and no more for quantised weights than they can have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open
from transformers import AutoConfig

from kblampp.encoders.memory import SHAPES, need, table
from tests.kblampp import tiny


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "llama"])
def test_parameters_are_those_of_the_checkpoint(tmp_path: Path, model_type: str) -> None:
    folder = tiny.checkpoint(tmp_path / "m", model_type)
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        num_parameters = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118
    one = need(AutoConfig.from_pretrained(str(folder)), 10)
    assert one.num_parameters == num_parameters
    assert one.bfloat16 == 2 * num_parameters
    assert one.four_bits < one.eight_bits < one.bfloat16
    assert one.step == 34 * 10 * tiny.HIDDEN * 2
    assert one.checkpointed_step == 10 * tiny.HIDDEN * (2 * 2 + 34)


def test_seven_billion_parameters_in_four_bits_are_below_four_gib() -> None:
    one = need(AutoConfig.for_model(**SHAPES["Mistral-7B-v0.3"]), 1)
    assert 7.0e9 < one.num_parameters < 7.3e9  # 7.25 with the output layer, which an encoder has not
    assert one.four_bits < 4 * 1024**3 < one.eight_bits
    assert table({"m": one}).splitlines()[-1].startswith("| m | 7,")


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kblampp.encoders.memory", "--model-path", str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[-1].startswith("error [model_not_found]:")
