"""Seconds a pack and resident memory of an update over packs that differ in length.

    python benchmarks/allocator.py --model models/SmolLM2-135M-Instruct
    python benchmarks/allocator.py --model models/SmolLM2-135M-Instruct --as-a-training

The second with what `verl_ext.allocator` sets for a training (jemalloc, few cached primitives), in a
process of its own. Each line is the mean over ten packs of 380 to 768 tokens, forward and backward through
twelve layers.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from verl_ext.allocator import allocator_environment

NUM_LAYERS = 12
SHORTEST, LONGEST = 380, 768
EVERY = 10


def train(model_path: str, num_packs: int, seed: int) -> None:
    """One optimizer step, and one line, every ten packs."""
    shape = AutoConfig.from_pretrained(model_path)
    shape.num_hidden_layers = NUM_LAYERS
    model = AutoModelForCausalLM.from_config(shape, attn_implementation="sdpa", dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    generator = random.Random(seed)
    started = time.perf_counter()
    for number in range(1, num_packs + 1):
        length = generator.randint(SHORTEST, LONGEST)
        first = generator.randint(100, length - 100)
        positions = torch.cat([torch.arange(first), torch.arange(length - first)]).unsqueeze(0)
        num_sampled = int(length * generator.uniform(0.3, 0.6))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(
                input_ids=torch.zeros_like(positions),
                position_ids=positions,
                use_cache=False,
                logits_to_keep=num_sampled,
            )
        output.logits.float().logsumexp(-1).sum().backward()
        if number % EVERY == 0:
            optimizer.step()
            optimizer.zero_grad()
            seconds = (time.perf_counter() - started) / EVERY
            resident = psutil.Process().memory_info().rss / 1024**3
            print(f"{number} packs: {seconds:.2f} s a pack, {resident:.2f} GiB", flush=True)
            started = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--num-packs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--as-a-training", action="store_true")
    options = parser.parse_args()
    if options.as_a_training:
        again = [argument for argument in sys.argv if argument != "--as-a-training"]
        command = [sys.executable, *again]
        sys.exit(
            subprocess.run(command, env={**os.environ, **allocator_environment()}, check=False).returncode
        )
    train(options.model, options.num_packs, options.seed)


if __name__ == "__main__":
    main()
