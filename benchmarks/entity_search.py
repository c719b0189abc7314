"""How well and how fast entities are found by a name that is not quite right.

For each data set, seeded samples of its names are changed in one way each (a slip of the keyboard, a word
missing, two words swapped, lower case, no accents, the beginning only), and every candidate looks them up.
Prints recall at 1 and at 5, milliseconds a look-up (median and 95th percentile, one thread), bytes of the
index and seconds to build it. A name is found when an entity of that very name is among the first; several
changed names fit many entities equally well, so 1.0 cannot always be reached.

    python benchmarks/entity_search.py --base_data_path data_kg --datasets world metaqa
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import string
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz import fuzz, process

from kg_r1.kg.knowledge_graph import KnowledgeGraph
from kg_r1.kg.name_search import NameSearch, key_of
from kg_r1.kg.store import GraphStore

NUM_RESULTS = 5
NUM_RERANKED = 100
MIN_CHARS = 4
KINDS = ("typo", "missing word", "swapped words", "lower case", "no accents", "prefix")
Look = Callable[[str], list[int]]


@dataclass(frozen=True)
class Candidate:
    """A way to look names up: its index, when it took how long to build, and its size in bytes."""

    name: str
    look: Look
    num_bytes: int
    build_s: float


def without_accents(name: str) -> str:
    """`name` with every mark over or under a letter taken away."""
    return "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))


def with_typo(name: str, rng: random.Random) -> str:
    """`name` with one character replaced, dropped, added or swapped with the next, not at its ends."""
    at, letter = rng.randrange(1, len(name) - 1), rng.choice(string.ascii_lowercase)
    before, after = name[:at], name[at + 1 :]
    return rng.choice(
        [
            before + letter + after,
            before + after,
            before + letter + name[at] + after,
            before + after[:1] + name[at] + after[1:],
        ]
    )


def changed(name: str, rng: random.Random) -> dict[str, str]:
    """Kind of change -> the changed name, for the kinds that apply to it."""
    words = name.split()
    made = {
        "typo": with_typo(name, rng),
        "lower case": name.lower(),
        "no accents": without_accents(name),
        "prefix": name[: max(MIN_CHARS, round(0.6 * len(name)))],
    }
    if len(words) >= 3:
        left_out = rng.randrange(len(words))
        made["missing word"] = " ".join(words[:left_out] + words[left_out + 1 :])
    if len(words) >= 2:
        at = rng.randrange(len(words) - 1)
        words[at : at + 2] = words[at + 1], words[at]
        made["swapped words"] = " ".join(words)
    return {kind: text for kind, text in made.items() if text != name}


def cases_of(names: Sequence[str], num_cases: int, seed: int) -> dict[str, list[tuple[str, str]]]:
    """Kind -> [at most num_cases] pairs (changed name, name). Numbers and very short names are left out."""
    rng = random.Random(seed)
    pool = sorted({name for name in names if len(name) >= MIN_CHARS and any(map(str.isalpha, name))})
    rng.shuffle(pool)
    cases: dict[str, list[tuple[str, str]]] = {kind: [] for kind in KINDS}
    for name in pool:
        for kind, text in changed(name, rng).items():
            if len(cases[kind]) < num_cases:
                cases[kind].append((text, name))
    return cases


def candidates(graph: KnowledgeGraph, names: Sequence[str]) -> Iterator[Candidate]:
    """Every candidate, each built when its turn comes."""
    keys = [key_of(name) for name in names]
    index_of = {graph.label(entity): entity for entity in range(graph.num_entities)}
    started = time.perf_counter()
    graph.close_labels("warm up")
    yield Candidate(
        "close_labels (today's hints)",
        lambda query: [index_of[label] for label in graph.close_labels(query, NUM_RESULTS)],
        0,
        time.perf_counter() - started,
    )
    size = sum(map(sys.getsizeof, keys)) + sys.getsizeof(keys)
    for name, scorer in (
        ("ratio", fuzz.ratio),
        ("token_sort", fuzz.token_sort_ratio),
        ("WRatio", fuzz.WRatio),
    ):
        yield Candidate(f"rapidfuzz {name}", _scan(keys, names, scorer), size, 0.0)
    started = time.perf_counter()
    shipped = NameSearch.of(graph)
    yield Candidate(
        "shipped (stages, rapidfuzz)",
        lambda query: shipped.search(query, NUM_RESULTS),
        shipped.num_bytes(),
        time.perf_counter() - started,
    )
    for name, options, question in (
        ("fts5 trigram", "tokenize='trigram'", trigrams_of),
        ("fts5 unicode61 prefix", "tokenize='unicode61', prefix='2 3 4'", words_of),
    ):
        started = time.perf_counter()
        table, size = _full_text(keys, options)
        took = time.perf_counter() - started
        yield Candidate(name, _match(table, question, NUM_RESULTS), size, took)
        wide = _match(table, question, NUM_RERANKED)
        yield Candidate(f"{name}, reranked", _reranked(wide, keys, names), size, took)
    started = time.perf_counter()
    staged = FullTextLast(
        [graph.name(one) for one in range(graph.num_entities)], graph.labels(range(len(names)))
    )
    yield Candidate(
        "stages, fts5 trigram",
        lambda query: staged.search(query, NUM_RESULTS),
        staged.num_bytes() + staged.table_bytes,
        time.perf_counter() - started,
    )


class FullTextLast(NameSearch):
    """What is shipped, with a full-text index where it compares spellings."""

    def __init__(self, names: Sequence[str], labels: Sequence[str]) -> None:
        super().__init__(names, labels)
        table, self.table_bytes = _full_text(self._keys, "tokenize='trigram'")
        self._look = _match(table, trigrams_of, NUM_RERANKED)

    def _similar(self, key: str) -> list[int]:
        return self._look(key)


def trigrams_of(key: str) -> list[str]:
    """The terms of a trigram query."""
    return [f'"{key[at : at + 3]}"' for at in range(len(key) - 2)]


def words_of(key: str) -> list[str]:
    """The terms of a word query, each standing for every word that starts so."""
    return [f'"{word}" *' for word in key.split()]


def _scan(keys: Sequence[str], names: Sequence[str], scorer: Callable[..., float]) -> Look:
    def look(query: str) -> list[int]:
        hits = process.extract(key_of(query), keys, scorer=scorer, processor=None, limit=NUM_RERANKED)
        return [entity for _, _, entity in sorted(hits, key=lambda hit: (-hit[1], names[hit[2]]))][
            :NUM_RESULTS
        ]

    return look


def _full_text(keys: Sequence[str], options: str) -> tuple[sqlite3.Connection, int]:
    table = sqlite3.connect(":memory:")
    table.execute(f"create virtual table names using fts5(key, {options})")
    table.executemany("insert into names(rowid, key) values (?, ?)", enumerate(keys))
    table.commit()
    (num_pages,), (page_bytes,) = (
        table.execute(f"pragma {one}").fetchone() for one in ("page_count", "page_size")
    )
    return table, num_pages * page_bytes


def _match(table: sqlite3.Connection, question: Callable[[str], list[str]], limit: int) -> Look:
    def look(query: str) -> list[int]:
        terms = list(dict.fromkeys(question(key_of(query))))
        asked = "select rowid from names where names match ? order by rank limit ?"
        return [entity for (entity,) in table.execute(asked, (" OR ".join(terms), limit))] if terms else []

    return look


def _reranked(wide: Look, keys: Sequence[str], names: Sequence[str]) -> Look:
    def look(query: str) -> list[int]:
        key = key_of(query)

        def likeness(entity: int) -> float:
            own = keys[entity]
            return max(fuzz.ratio(key, own), 0.95 * fuzz.token_sort_ratio(key, own))

        return sorted(wide(query), key=lambda entity: (-likeness(entity), names[entity]))[:NUM_RESULTS]

    return look


def line(candidate: Candidate, cases: dict[str, list[tuple[str, str]]], names: Sequence[str]) -> str:
    """One row of the table."""
    seconds: list[float] = []
    cells = []
    for pairs in cases.values():
        ranks = []
        for text, name in pairs:
            started = time.perf_counter()
            found = candidate.look(text)
            seconds.append(time.perf_counter() - started)
            named = [names[entity] for entity in found]
            ranks.append(named.index(name) if name in named else NUM_RESULTS)
        at_1 = sum(rank == 0 for rank in ranks) / max(1, len(ranks))
        at_5 = sum(rank < NUM_RESULTS for rank in ranks) / max(1, len(ranks))
        cells.append(f"{at_1:.2f} / {at_5:.2f}")
    median, late = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    size = f"{candidate.num_bytes / 1e6:.1f}" if candidate.num_bytes else "-"
    figures = [f"{1000 * median:.1f}", f"{1000 * late:.1f}", size, f"{candidate.build_s:.2f}"]
    return f"| {candidate.name} | {' | '.join([*cells, *figures])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Finding entities by a name that is not quite right.")
    parser.add_argument("--base_data_path", type=Path, default=Path("data_kg"))
    parser.add_argument("--datasets", nargs="+", default=["world", "metaqa"])
    parser.add_argument("--num-cases", type=int, default=200, help="names of each kind of change")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    store = GraphStore(options.base_data_path)
    for dataset in options.datasets:
        graph = store.graph(dataset)
        names = [graph.name(entity) for entity in range(graph.num_entities)]
        cases = cases_of(names, options.num_cases, options.seed)
        counts = ", ".join(f"{len(pairs)} {kind}" for kind, pairs in cases.items())
        print(f"\n{dataset}: {graph.num_entities} entities; recall at 1 / at 5 over {counts}\n")
        print(f"| candidate | {' | '.join(cases)} | ms | ms, 95 % | MB | s to build |")
        print("|---" * (len(cases) + 5) + "|")
        for candidate in candidates(graph, names):
            print(line(candidate, cases, names), flush=True)


if __name__ == "__main__":
    main()
