"""What verl's places become on a processor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from tests.verl_ext import tiny
from verl_ext.value_engine import load_value_model


@pytest.mark.parametrize(("asked", "loaded"), [("eager", "eager"), (None, "sdpa")])
def test_the_critic_has_the_attention_of_the_profile(tmp_path: Path, asked: str | None, loaded: str) -> None:
    tiny.write_model(tmp_path)
    config = AutoConfig.from_pretrained(str(tmp_path), attn_implementation=asked, num_labels=1)
    model = load_value_model(str(tmp_path), torch.float32, config, False)
    assert model.config._attn_implementation == loaded
