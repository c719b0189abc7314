"""Episodes packed end to end into one row are computed as if each were alone.

verl hands transformers a pack with position ids that start anew and no mask; that attention stops at an
episode's border is transformers' doing, and an update of it that lost this would spoil training in silence.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.verl_ext import tiny

EPISODES = [[5, 6, 7, 8, 9], [9, 8, 7], [11, 12, 13, 14]]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_packed_episode_does_not_see_its_neighbours(tmp_path: Path, attention: str) -> None:
    tiny.write_model(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(
        str(tmp_path), dtype=torch.float32, attn_implementation=attention
    ).eval()
    ids = torch.tensor([[token for episode in EPISODES for token in episode]])
    positions = torch.tensor([[place for episode in EPISODES for place in range(len(episode))]])
    with torch.no_grad():
        packed = model(input_ids=ids, attention_mask=None, position_ids=positions, use_cache=False).logits[0]
        alone = torch.cat([model(input_ids=torch.tensor([episode])).logits[0] for episode in EPISODES])
        unmarked = model(input_ids=ids, use_cache=False).logits[0]
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(unmarked, alone, atol=1e-3)
