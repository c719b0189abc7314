"""The memory of a phase is within 15 % of what a process really takes for it, by its resident memory.

A model of 26 million parameters, whose phases dwarf what the libraries take, runs through verl's engines in a
process of its own, once for each way of training.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from verl.plugin.platform.platform_manager import get_platform

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 0.15
SHAPE = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 16384,
}
LORA = (
    "actor_rollout_ref.model.lora_rank=32",
    "actor_rollout_ref.model.enable_gradient_checkpointing=true",
    "actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "actor_rollout_ref.actor.fsdp_config.model_dtype=bfloat16",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=2304",
    "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=2304",
)
# glibc gives blocks of this size back to the machine as soon as they are freed.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "OMP_NUM_THREADS": "1"}
NOT_HANDED_ON = ("LD_PRELOAD", "MALLOC_CONF", "MALLOC_MMAP_MAX_", "MALLOC_ARENA_MAX")

pytestmark = pytest.mark.skipif(
    get_platform().device_name != "cpu" or not Path("/proc/self/clear_refs").exists(),
    reason="resident memory is measured on Linux, with verl on the processor",
)


def measured(model: Path, role: str, *overrides: str) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes by phase, real and computed."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    models = [f"actor_rollout_ref.model.path={model}", f"critic.model.path={model}"]
    command = [sys.executable, "-m", "tests.verl_ext.real_memory", role, *models, *overrides]
    finished = subprocess.run(
        command, cwd=ROOT, env=inherited | ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    sizes = json.loads(finished.stdout)
    return sizes["real"], sizes["computed"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True)).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    ("role", "overrides"),
    [("actor", ()), ("actor", LORA), ("critic", ())],
    ids=["full weights", "LoRA, checkpointed", "critic"],
)
def test_a_real_process_takes_what_was_computed(model: Path, role: str, overrides: tuple[str, ...]) -> None:
    real, computed = measured(model, role, *overrides)
    assert set(real) == set(computed) == {"update", "inference"}
    # Far above what differs from start to start, so that the tolerance is one of the model's own memory.
    assert min(real.values()) > 300 * 1024**2
    for phase, size in real.items():
        assert computed[phase] == pytest.approx(size, rel=TOLERANCE), (phase, real, computed)
