"""The recipe of the 24 GB card with the shapes of Qwen2.5-3B, on a GPU that may be larger: ``make test-gpu``.

Weights are random, since a machine for tests may have no hub; the tokenizer is the tiny world's. What a
policy like that earns is made different by a price on tokens, so that every step has something to learn
from.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from tests.verl_ext import tiny
from tests.verl_ext.card_of_24_gb import CARD_GIB
from tests.verl_ext.running import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

GIB = 1024**3
# config.json of Qwen/Qwen2.5-3B-Instruct and of Qwen/Qwen2.5-0.5B-Instruct.
SHAPE_3B = {
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
}
SHAPE_CRITIC = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
}
VOCABULARY = 151936


def write_model(folder: Path, tokenizer_of: Path, shape: dict[str, int]) -> Path:
    """Random weights in bfloat16, made on the GPU."""
    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_of))
    config = Qwen2Config(
        **shape,
        vocab_size=VOCABULARY,
        tie_word_embeddings=True,
        max_position_embeddings=32768,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    del model
    torch.cuda.empty_cache()
    return folder


@pytest.fixture(scope="module")
def models(world: World) -> list[str]:
    """Overrides that name both models."""
    policy = write_model(world.folder / "3b", world.folder / "random", SHAPE_3B)
    critic = write_model(world.folder / "half_b", world.folder / "random", SHAPE_CRITIC)
    return [f"actor_rollout_ref.model.path={policy}", f"critic.model.path={critic}"]


@contextmanager
def most_used() -> Iterator[list[int]]:
    """Bytes of the GPU in use by all processes together: a list whose largest number is the answer."""
    samples: list[int] = []
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.is_set():
            free, total = torch.cuda.mem_get_info()
            samples.append(total - free)
            time.sleep(0.1)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
def test_the_recipe_fits_and_goes_on_after_its_end(
    world: World, models: list[str], estimator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"card-{estimator}"
    share = 0.45 * CARD_GIB * GIB / torch.cuda.get_device_properties(0).total_memory
    overrides = [
        *models,
        f"algorithm.adv_estimator={estimator}",
        "actor_rollout_ref.model.external_lib=[verl_ext.sampled_logits,tests.verl_ext.card_of_24_gb]",
        f"actor_rollout_ref.rollout.gpu_memory_utilization={share}",
        "data.train_batch_size=8",  # all that the tiny world has: half of the profile's
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "critic.ppo_mini_batch_size=8",
        "actor_rollout_ref.rollout.n=5",
        "data.max_prompt_length=1024",
        "data.max_response_length=1024",
        "reward.kg.cost_token=0.001",
        "actor_rollout_ref.actor.optim.lr=3e-5",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.total_epochs=4",
        "trainer.logger=[console,file]",
        "trainer.save_freq=2",
    ]
    before = torch.cuda.mem_get_info()
    with most_used() as samples:
        world.run(name, *overrides, "trainer.total_training_steps=2", profile="rtx4090_3b")
        world.run(name, *overrides, "trainer.total_training_steps=3", profile="rtx4090_3b")
    folder = world.folder / name
    first, resumed = (tiny.read_metrics(folder / file) for file in ("metrics.jsonl", "metrics.2.jsonl"))
    assert sorted(first) == [1, 2]
    assert sorted(resumed) == [3]
    for metrics in (*first.values(), *resumed.values()):
        assert metrics["actor/grad_norm"] > 0
        # The adapter has reached the engine.
        assert metrics["training/rollout_actor_probs_pearson_corr"] > 0.98
    used = max(samples) - (before[1] - before[0])
    with capsys.disabled():
        row = {key: first[2].get(key) for key in ("timing_s/step", "perf/max_memory_allocated_gb")}
        sys.stdout.write(
            json.dumps({"estimator": estimator, "most_used_gib": round(used / GIB, 2), **row}) + "\n"
        )
    assert used < CARD_GIB * GIB
