"""Generated graphs for measurements of the KG retrieval server: one per sample, shaped like Freebase's.

In: how many subgraphs and triples, and a seed. Out: a data path whose one data set, `bench`, has the
layout `subgraphs/<sample id>.json` with `names.tsv` (docs/server.md). What is like Freebase: ids such as
`m.04kx2q`; dotted relations, of which few are common and most are rare; sizes that are log-normal with a
given median; hubs; a few relations of an entity that lead to very many others; entities that several
samples share; entities without a name, and names that several entities share.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from tqdm import tqdm

from benchmarks.kg_server_process import BenchmarkError

DATASET = "bench"
MANIFEST = "manifest.json"
GENERATOR_VERSION = 1  # a data set of another version is made anew
TRIPLES_PER_ENTITY = 2.2
MENTIONS_PER_ENTITY = 3  # samples in which an entity stands, on average
NUM_RELATIONS = 4000
MAX_FAN = 200  # most ends that one draw gives to an entity and a relation
NAMED_SHARE, SHARED_NAME_SHARE, NUM_SHARED_NAMES = 0.85, 0.04, 32
SHARED_NAMES_SEED, ENTITIES_SEED, RELATIONS_SEED, ORDER_SEED = 1, 2, 3, 4

ID_DIGITS = "0123456789bcdfghjklmnpqrstvwxyz_"
NUM_ID_DIGITS = 5
MAX_ENTITIES = len(ID_DIGITS) ** NUM_ID_DIGITS
ID_STRIDE = 7_368_787  # odd, so that multiplying by it keeps ids apart
PLAIN_SYLLABLES = [
    *("al", "an", "ar", "ba", "bel", "bo", "bra", "ca", "cor", "da", "del", "dor", "el", "en", "er"),
    *("fa", "fen", "fi", "ga", "gor", "gra", "ha", "hel", "hu", "in", "is", "jo", "ka", "kel", "kin"),
    *("la", "len", "lo", "ma", "mer", "mi", "mon", "na", "nes", "no", "or", "os", "pa", "per", "po"),
    *("qua", "ra", "ren", "ri", "ro", "sa", "sel", "son", "ta", "ten", "tor", "ul", "va", "ven", "za"),
]
NAME_SYLLABLES = [*PLAIN_SYLLABLES, "cé", "ñi", "yö"]

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DataShape:
    """What is generated. `median_triples` is of a subgraph; the mean follows from the two totals."""

    num_subgraphs: int
    num_triples: int
    median_triples: int
    seed: int

    @property
    def folder_name(self) -> str:
        """The folder of this shape under the folder of generated data."""
        return f"s{self.num_subgraphs}_t{self.num_triples}_m{self.median_triples}_seed{self.seed}"


def subgraph_sizes(shape: DataShape) -> list[int]:
    """Triples of each subgraph: the quantiles of a log-normal distribution, adding up to the total.

    Raises:
        BenchmarkError: no log-normal distribution has this median and this mean.
    """
    count, median = shape.num_subgraphs, shape.median_triples
    if count < 1 or median < 1 or shape.num_triples < count * median:
        raise BenchmarkError(
            f"{count} subgraphs with a median of {median} triples need at least {count * median}, "
            f"not {shape.num_triples}",
            "Give a larger --num_triples or a smaller --median_triples",
        )
    scores = [statistics.NormalDist().inv_cdf((index + 0.5) / count) for index in range(count)]
    low, high = 0.0, 3.0
    for _ in range(60):
        sigma = (low + high) / 2
        total = sum(median * math.exp(sigma * score) for score in scores)
        low, high = (sigma, high) if total < shape.num_triples else (low, sigma)
    sizes = [max(1, round(median * math.exp(low * score))) for score in scores]
    sizes[-1] += shape.num_triples - sum(
        sizes
    )  # rounding, and what sigma = 3 does not reach, goes to the largest
    order = np.random.default_rng([shape.seed, ORDER_SEED]).permutation(count)
    return [sizes[index] for index in order]


def ensure_data(data_dir: Path, shape: DataShape) -> Path:
    """The data path with graphs of this shape under `data_dir`, generated unless it is there already.

    It is written in a folder beside it and renamed when it is whole, so that a broken-off run leaves
    nothing that could be taken for data.

    Raises:
        BenchmarkError: the shape is impossible, or the folder cannot be written.
    """
    base = data_dir / shape.folder_name
    manifest = {"generator_version": GENERATOR_VERSION, **asdict(shape)}
    path = base / MANIFEST
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) == manifest:
        return base
    sizes = subgraph_sizes(shape)
    partial = data_dir / f".{shape.folder_name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        (partial / DATASET / "subgraphs").mkdir(parents=True)
        _write_dataset(partial / DATASET, shape, sizes)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if base.exists():
            shutil.rmtree(base)
        partial.rename(base)
    except OSError as error:
        raise BenchmarkError(
            f"cannot write generated graphs to {data_dir} ({error.strerror})", "Give another --data_dir"
        ) from error
    return base


def _write_dataset(folder: Path, shape: DataShape, sizes: list[int]) -> None:
    num_mentions = sum(_num_entities(size) for size in sizes)
    num_entities = max(64, num_mentions // MENTIONS_PER_ENTITY)
    if num_entities > MAX_ENTITIES:
        raise BenchmarkError(f"{num_entities} entities are more than there are ids ({MAX_ENTITIES})")
    relations = relation_texts(shape.seed)
    is_used = np.zeros(num_entities, dtype=bool)
    for number, size in enumerate(tqdm(sizes, desc="subgraphs", unit="graph", file=sys.stderr)):
        rng = np.random.default_rng([shape.seed, number, size])
        entities, edges = _subgraph(rng, size, num_entities)
        is_used[entities[edges[:, [0, 2]]]] = True
        ids = [entity_id(index) for index in entities.tolist()]
        triples = [(ids[head], relations[by], ids[tail]) for head, by, tail in edges.tolist()]
        path = folder / "subgraphs" / f"sample_{number:05d}.json"
        path.write_bytes(orjson.dumps({"triples": triples}))
    with (folder / "names.tsv").open("w", encoding="utf-8") as file:
        file.writelines(f"{entity}\t{name}\n" for entity, name in _names(shape.seed, is_used))


def _num_entities(size: int) -> int:
    return max(4, round(size / TRIPLES_PER_ENTITY))


def _subgraph(rng: np.random.Generator, size: int, num_entities: int) -> tuple[Indices, Indices]:
    """The entities of one graph, and its edges.

    Returns:
        entities [num_entities], and edges [size, 3] of head, relation, tail; head and tail are positions
        in the entities.
    """
    count = min(_num_entities(size), num_entities)
    num_popular = max(1, num_entities // 50)
    is_popular = rng.random(2 * count) < 0.15
    drawn = np.where(
        is_popular, rng.integers(num_popular, size=2 * count), rng.integers(num_entities, size=2 * count)
    )
    distinct, first = np.unique(drawn, return_index=True)
    entities = distinct[np.argsort(first)][:count]
    count = len(entities)
    keys: Indices = np.empty(0, dtype=np.int64)
    while len(keys) < size:
        num_fans = max(8, size)
        fan_sizes = np.minimum(rng.zipf(2.5, size=num_fans), MAX_FAN)
        centres = np.repeat((count * rng.random(num_fans) ** 3).astype(np.int64), fan_sizes)
        relations = np.repeat(_zipf_ranks(rng, num_fans), fan_sizes)
        is_forward = np.repeat(rng.random(num_fans) < 0.65, fan_sizes)
        ends = (count * rng.random(len(centres)) ** 1.3).astype(np.int64)
        heads, tails = np.where(is_forward, centres, ends), np.where(is_forward, ends, centres)
        more = (heads * NUM_RELATIONS + relations) * count + tails
        keys = np.concatenate([keys, more[heads != tails]])
        _, first = np.unique(keys, return_index=True)
        keys = keys[np.sort(first)]
    keys = keys[:size]
    rest, tails = np.divmod(keys, count)
    heads, relations = np.divmod(rest, NUM_RELATIONS)
    return entities, np.stack([heads, relations, tails], axis=1)


def _zipf_ranks(rng: np.random.Generator, count: int) -> Indices:
    """Relations with probability in proportion to 1 / (rank + 1)."""
    cumulated = np.cumsum(1.0 / np.arange(1, NUM_RELATIONS + 1))
    ranks: Indices = np.searchsorted(cumulated, rng.random(count) * cumulated[-1]).astype(np.int64)
    return ranks


def entity_id(index: int) -> str:
    """The id of an entity: a different one for every index below `MAX_ENTITIES`."""
    code = index * ID_STRIDE % MAX_ENTITIES
    digits = ""
    for _ in range(NUM_ID_DIGITS):
        code, digit = divmod(code, len(ID_DIGITS))
        digits = ID_DIGITS[digit] + digits
    return f"m.0{digits}"


def relation_texts(seed: int) -> list[str]:
    """`NUM_RELATIONS` distinct texts such as `people.person.place_of_birth`, the most common first."""
    rng = np.random.default_rng([seed, RELATIONS_SEED])
    words = [word.lower() for word in _words(rng, 400, PLAIN_SYLLABLES)]
    texts: dict[str, None] = {}
    while len(texts) < NUM_RELATIONS:
        domain, kind, first, second = rng.integers([40, 200, 400, 400]).tolist()
        rest = f"{words[first]}_{words[second]}" if second % 2 else words[first]
        texts[f"{words[domain]}.{words[kind]}.{rest}"] = None
    return list(texts)


def _names(seed: int, is_used: npt.NDArray[np.bool_]) -> Iterator[tuple[str, str]]:
    """(id, name) of the entities that are used and have a name."""
    shared = _words(np.random.default_rng([seed, SHARED_NAMES_SEED]), NUM_SHARED_NAMES)
    rng = np.random.default_rng([seed, ENTITIES_SEED])
    words = _words(rng, 8192)
    kinds = rng.random(len(is_used)).tolist()
    picks = rng.integers(len(words), size=(len(is_used), 3)).tolist()
    for index, (kind, (first, second, third)) in enumerate(zip(kinds, picks, strict=True)):
        if not is_used[index] or kind >= NAMED_SHARE:
            continue
        if kind < SHARED_NAME_SHARE:
            yield entity_id(index), shared[first % NUM_SHARED_NAMES]
        elif kind < NAMED_SHARE / 2:
            yield entity_id(index), f"{words[first]} {words[second]}"
        else:
            yield entity_id(index), f"{words[first]} of {words[second]} {words[third]}"


def _words(rng: np.random.Generator, count: int, syllables: Sequence[str] = NAME_SYLLABLES) -> list[str]:
    parts = rng.integers(len(syllables), size=(count, 3)).tolist()
    lengths = rng.integers(2, 4, size=count).tolist()
    return [
        "".join(syllables[part] for part in three[:length]).capitalize()
        for three, length in zip(parts, lengths, strict=True)
    ]
