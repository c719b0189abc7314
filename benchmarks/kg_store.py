"""Seconds, memory and size of compiling one large generated graph, and what the parts of an answer cost.

    python benchmarks/kg_store.py --num_triples 50000000
    python benchmarks/kg_store.py --num_triples 1000000 --parts

In: how many triples, a seed. The graph is written as `triples.tsv`, entities and relations drawn with
density falling off, a sixth as many entities as triples and no names, and compiled by `kg-r1 build store` in
a process of its own. Out: a line for the build; with `--parts` a line per part of an answer, least of nine
means, for one request asked over and over, so with everything in the processor's caches.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kg_r1.data.build_store import describe_store
from kg_r1.kg.compiled.dataset import MappedDataset
from kg_r1.kg.compiled.graph import MappedGraph
from kg_r1.kg.store import GraphStore
from kg_r1.search.retriever import KnowledgeGraphRetriever

KG = "generated"
BATCH = 500_000
NUM_RELATIONS = 3_000
TRIPLES_PER_ENTITY = 6
NUM_MEANS, NUM_CALLS = 9, 20_000


def write_triples(path: Path, num_triples: int, seed: int) -> None:
    """A line 'head<tab>relation<tab>tail' each; repeats are left for the build to find."""
    rng = np.random.default_rng(seed)
    num_entities = max(2, num_triples // TRIPLES_PER_ENTITY)
    with path.open("w", encoding="utf-8") as file, tqdm(total=num_triples, unit=" triples") as bar:
        for start in range(0, num_triples, BATCH):
            count = min(BATCH, num_triples - start)
            heads = (num_entities * rng.random(count) ** 1.5).astype(int).tolist()
            tails = (num_entities * rng.random(count) ** 2.5).astype(int).tolist()
            relations = (NUM_RELATIONS * rng.random(count) ** 3).astype(int).tolist()
            for head, relation, tail in zip(heads, relations, tails, strict=True):
                file.write(f"m.{head:07x}\trel.{relation:04}.of\tm.{tail:07x}\n")
            bar.update(count)


def build(base: Path, out: Path, max_memory_mib: int) -> str:
    """Compiles in a process of its own; gives its seconds, processor time and peak memory as text."""
    command = [sys.executable, "-m", "kg_r1.data.build", "store", "--base_data_path", str(base), "--kg", KG]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(
        [*command, "--out", str(out), "--max-memory-mib", str(max_memory_mib)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{seconds:.0f} s, {processor_s:.0f} s of processor time, peak {after.ru_maxrss / 1e6:.2f} GB"


def least_us(job: Callable[[], object]) -> float:
    """Microseconds of a call: the least of `NUM_MEANS` means over `NUM_CALLS` calls."""
    return min(timeit.repeat(job, number=NUM_CALLS, repeat=NUM_MEANS)) / NUM_CALLS * 1e6


def parts_of_an_answer(stores: Path) -> dict[str, float]:
    """Microseconds of an answer and of its parts."""
    store = GraphStore(stores)
    graph = store.graph(KG)
    entity = next(index for index in range(graph.num_entities) if len(graph.tail_relations(index)) > 1)
    relation = graph.tail_relations(entity)[0]
    request = {
        "action_type": "get_tail_entities",
        "dataset_name": KG,
        "entity_id": graph.entity_id(entity),
        "relation": relation,
    }
    retriever, fresh = KnowledgeGraphRetriever(store), KnowledgeGraphRetriever(store)
    fresh._quick._cache.max_bytes = 0  # keeps nothing, so that every answer is put together anew
    for _ in range(3):
        retriever.quick(request)
    dataset = MappedDataset(stores / KG, KG)
    view = MappedGraph(dataset, 0)
    name = graph.entity_id(entity)
    return {
        "an answer that was kept": least_us(lambda: retriever.quick(request)),
        "an answer that was not": least_us(lambda: fresh.quick(request)),
        "of that: the view of the graph, at hand": least_us(lambda: store.at_hand(KG, None)),
        "a view made anew": least_us(lambda: MappedGraph(dataset, 0)),
        "the entity that a text means": least_us(lambda: view.find_spelt(name)),
        "the labels of its neighbours": least_us(lambda: view.encoded_neighbours("tail", entity, relation)),
        "retrieve, the general way": least_us(lambda: retriever.retrieve(request)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Compiles a generated graph, and times the parts of an answer."
    )
    parser.add_argument("--num_triples", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max_memory_mib", type=int, default=1024, help="for sorting (default: 1024)")
    parser.add_argument(
        "--work_dir", type=Path, help="where 40 bytes a triple fit (default: a temporary one)"
    )
    parser.add_argument("--parts", action="store_true", help="time the parts of an answer as well")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(dir=options.work_dir, prefix="kg_store_"))
    try:
        raw = folder / "raw" / KG
        raw.mkdir(parents=True)
        write_triples(raw / "triples.tsv", options.num_triples, options.seed)
        told = build(raw.parent, folder / "stores" / KG, options.max_memory_mib)
        print(describe_store(folder / "stores" / KG).partition(": ")[2])
        print(f"built in {told}")
        if options.parts:
            for part, microseconds in parts_of_an_answer(folder / "stores").items():
                print(f"{part:42}{microseconds:8.2f} us")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
