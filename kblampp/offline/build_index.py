"""The HNSW graph of a store: `python -m kblampp.offline.build_index --config configs/synth_world.yaml`.

With `--compare N` it also asks N keys, moved a little at random, of the graph and of the exact search, and
prints how many of the 16 nearest both agree on, and the time of a query.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kblampp.command import run
from kblampp.config import Config, add_config_flags, config_from_flags
from kblampp.kb_store import KBStore
from kblampp.knowledge_index import KnowledgeIndex, build_hnsw, exact_over, save_hnsw

K = 16
_NOISE = 0.5
_ROUNDING = 1e-5  # of an inner product of float32


def build(config: Config) -> tuple[KBStore, KnowledgeIndex, float]:
    """Builds and writes the graph; returns it with its store and the seconds it took.

    Raises:
        ArtefactMissing: there is no store.
    """
    store = KBStore(Path(config.store.path))
    started = time.perf_counter()
    index = build_hnsw(store, config.store)
    seconds = time.perf_counter() - started
    save_hnsw(index, store, config.store)
    return store, index, seconds


def compare(
    keys: np.ndarray, index: KnowledgeIndex, num_queries: int, seed: int
) -> tuple[float, float, float]:
    """Recall@16 of the graph against exact search, and milliseconds a query of each.

    Of the graph's 16 those count that are as near as the exact search's last: which of several equal keys is
    given is chance.

    Queries are keys with noise of half their length, so that none is its own answer; one is asked at a time.
    """
    generator = np.random.default_rng(seed)
    rows = generator.choice(len(keys), size=min(num_queries, len(keys)), replace=False)
    asked = keys[np.sort(rows)].astype(np.float32)
    noise = generator.standard_normal(asked.shape).astype(np.float32)
    queries = asked + _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    exact = exact_over(keys)
    found: list[np.ndarray] = []
    milliseconds = []
    for some in (index, exact):
        started = time.perf_counter()
        found.append(np.stack([some.search(query[None], K)[0][0] for query in queries]))
        milliseconds.append((time.perf_counter() - started) * 1000 / len(queries))
    recall = float((found[0] >= found[1][:, -1:] - _ROUNDING).mean())
    return recall, milliseconds[0], milliseconds[1]


def build_and_compare(arguments: argparse.Namespace) -> None:
    """Builds the index of a config's store. Raises KblamppError."""
    store, index, seconds = build(config_from_flags(arguments))
    sys.stdout.write(f"{len(index):,} keys in {store.folder}/index_hnsw, built in {seconds:.1f} s\n")
    if arguments.compare:
        recall, milliseconds, exact = compare(store.array("K"), index, arguments.compare, arguments.seed)
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        sys.stdout.write(
            f"recall@{K} against exact search {recall:.4f}; {milliseconds:.2f} ms a query, {exact:.2f} exact"
            f"; peak memory {gib:.2f} GiB\n"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Builds the index of a config's store. Exit code 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="kblampp.offline.build_index", description=__doc__)
    parser.add_argument(
        "--compare", type=int, default=0, metavar="N", help="queries to compare with exact search"
    )
    parser.add_argument("--seed", type=int, default=0, help="of those queries")
    add_config_flags(parser)
    return run(parser, build_and_compare, argv)


if __name__ == "__main__":
    sys.exit(main())
