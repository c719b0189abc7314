"""The index over a million keys: seconds to build, memory, and what its graph finds against exact search.

    python benchmarks/knowledge_index.py --config configs/synth_world.yaml store.path=store/world100k

A million facts take hours to encode on two cores, so keys are made of a store's: each is the mean of two keys
of one relation, scaled to length 1. Relations and their clusters are real, a head is one between two.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kblampp.config import add_config_flags, config_from_flags, parse_flags
from kblampp.kb_store import KBStore
from kblampp.knowledge_index import hnsw_over
from kblampp.offline.build_index import compare


def mixed_keys(store: KBStore, num_keys: int, seed: int) -> np.ndarray:
    """float16 [num_keys, d], of length 1."""
    generator = np.random.default_rng(seed)
    keys, relations = store.array("K"), np.asarray(store.array("relations"))
    by_relation = np.argsort(relations, kind="stable")
    sizes = np.bincount(relations)
    starts = np.cumsum(sizes) - sizes
    made = np.empty((num_keys, keys.shape[1]), dtype=np.float16)
    for start in range(0, num_keys, 50_000):
        first = generator.integers(len(keys), size=min(50_000, num_keys - start))
        of = relations[first]
        second = by_relation[starts[of] + generator.integers(sizes[of])]
        mean = keys[first].astype(np.float32) + keys[second].astype(np.float32)
        made[start : start + len(first)] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-keys", type=int, default=1_000_000)
    parser.add_argument("--num-queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    add_config_flags(parser)
    arguments = parse_flags(parser, argv)
    config = config_from_flags(arguments)
    keys = mixed_keys(KBStore(Path(config.store.path)), arguments.num_keys, arguments.seed)
    started = time.perf_counter()
    index = hnsw_over(keys, config.store)
    seconds = time.perf_counter() - started
    built = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = f"{len(index):,} keys of {keys.shape[1]} dimensions"
    print(f"{size}: built in {seconds:.0f} s, {built:.2f} GiB at most")
    for ef_search in (config.store.ef_search, 2 * config.store.ef_search, 4 * config.store.ef_search):
        index.ef_search = ef_search
        recall, milliseconds, exact = compare(keys, index, arguments.num_queries, arguments.seed)
        print(
            f"ef_search {ef_search}: recall@16 {recall:.4f}, {milliseconds:.2f} ms a query, {exact:.1f} exact"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{peak:.2f} GiB at most with the exact index beside it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
