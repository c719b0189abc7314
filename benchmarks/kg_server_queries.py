"""The queries of the measurements, drawn from a data set on disk, with the true answers of some of them.

In: a data path whose data set is of the layout `subgraphs/<sample id>.json` or `triples.tsv`, with or
without `names.tsv`. Out: a `Workload`, which a folder can hold. True answers come from the files, by
reading every triple of the graph; nothing of the code that is measured is used for them.
"""

from __future__ import annotations

import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from tqdm import tqdm

from benchmarks.kg_server_process import BenchmarkError

Triple = Sequence[str]  # head id, relation, tail id
ACTIONS = {
    "get_tail_entities": 0.40,
    "get_head_entities": 0.25,
    "get_relations": 0.15,
    "get_tail_relations": 0.10,
    "get_head_relations": 0.10,
}
NAME_SHARE = 0.5
BLOCK = 256  # whole blocks of queries are checked, so that every batch size has batches that are
CHECKED_BLOCK_STRIDE = 16
MAX_DRAWS = 20  # tries to find a triple whose entity has a name


@dataclass(frozen=True)
class Workload:
    """Queries in the order in which they are asked.

    Attributes:
        requests: one request a query, as JSON.
        truths: query number -> the true result, as JSON with sorted keys; {"code": code} for an error.
        warmup: one request for every sample.
        num_distinct: how many of the requests differ.
        num_triples: triples in the data set.
    """

    requests: list[bytes]
    truths: dict[int, bytes]
    warmup: list[bytes]
    num_distinct: int
    num_triples: int

    def save(self, folder: Path) -> None:
        """Writes the requests and truths, for the helpers to read."""
        (folder / "requests.jsonl").write_bytes(b"\n".join(self.requests))
        (folder / "warmup.jsonl").write_bytes(b"\n".join(self.warmup))
        numbered = [orjson.dumps(number) + b"\t" + truth for number, truth in self.truths.items()]
        (folder / "truths.tsv").write_bytes(b"\n".join(numbered))


def read_requests(folder: Path, name: str = "requests") -> list[bytes]:
    """The requests that `Workload.save` wrote; `name` is "requests" or "warmup"."""
    return (folder / f"{name}.jsonl").read_bytes().split(b"\n")


def read_truths(folder: Path) -> dict[int, bytes]:
    """The true results that `Workload.save` wrote, by the number of the query."""
    lines = (folder / "truths.tsv").read_bytes().split(b"\n")
    return {int(number): truth for number, _, truth in (line.partition(b"\t") for line in lines if line)}


def comparable(result: Mapping[str, Any]) -> bytes:
    """A result as `Workload.truths` has it: of an error only the code counts."""
    kept = {"code": result.get("code")} if "error" in result else dict(result)
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


class Graph:
    """One graph as it stands in its file, its entities called as docs/server.md says."""

    def __init__(self, triples: Sequence[Triple], names: Mapping[str, str]) -> None:
        self.triples = triples
        self.ids = {entity for head, _, tail in triples for entity in (head, tail)}
        named = {entity: names.get(entity, entity) for entity in self.ids}
        bearers: dict[str, list[str]] = defaultdict(list)
        for entity in sorted(self.ids):
            bearers[named[entity]].append(entity)
        self.names, self.bearers = named, dict(bearers)

    def label(self, entity: str) -> str:
        """What the server shows for an entity."""
        name = self.names[entity]
        is_plain = name == entity or (len(self.bearers[name]) == 1 and name not in self.ids)
        return name if is_plain else f"{name} [{entity}]"

    def meant(self, text: str) -> list[str]:
        """The entities that an id or a name, spelt exactly, means."""
        return [text] if text in self.ids else self.bearers.get(text, [])

    def answer(self, action: str, text: str, relation: str | None) -> dict[str, list[str]]:
        """The true result of a query that has one, by going through every triple."""
        entities = self.meant(text)
        found: dict[str, None] = {}
        for one in entities:
            found.update(dict.fromkeys(sorted(self._scan(action, one, relation))))
        notes = {"matched_entities": [self.label(one) for one in entities]} if len(entities) > 1 else {}
        field = "relations" if action == "get_relations" else action.removeprefix("get_")
        return {field: list(found), **notes}

    def _scan(self, action: str, entity: str, relation: str | None) -> set[str]:
        if action == "get_tail_entities":
            return {self.label(t) for h, r, t in self.triples if h == entity and r == relation}
        if action == "get_head_entities":
            return {self.label(h) for h, r, t in self.triples if t == entity and r == relation}
        wants_tail, wants_head = action != "get_head_relations", action != "get_tail_relations"
        return {
            relation
            for head, relation, tail in self.triples
            if (wants_tail and head == entity) or (wants_head and tail == entity)
        }


class GraphFiles:
    """The graphs of one data set as files.

    Raises:
        BenchmarkError: no data set under the path, or not the one named, has one of the two layouts.
    """

    def __init__(self, base: Path, dataset: str | None = None) -> None:
        folders = [base / dataset] if dataset else (sorted(base.iterdir()) if base.is_dir() else [])
        fitting = [one for one in folders if _sample_paths(one) or (one / "triples.tsv").is_file()]
        if not fitting:
            asked = f"data set {dataset!r}" if dataset else "any data set"
            raise BenchmarkError(
                f"{base} does not hold {asked} of the layout subgraphs/*.json or triples.tsv",
                "Convert it (docs/server.md), or leave --base_data_path out to have graphs generated",
            )
        self.folder = fitting[0]
        self.paths = _sample_paths(self.folder)
        names = self.folder / "names.tsv"
        lines = names.read_text(encoding="utf-8").splitlines() if names.is_file() else []
        pairs = (line.split("\t") for line in lines if line.strip())
        self.names = {entity: name for entity, name in pairs if name.strip()}

    def __len__(self) -> int:
        return len(self.paths) or 1

    def __iter__(self) -> Iterator[tuple[str | None, Graph]]:
        """Sample id and graph; the sample id is None where one graph is shared."""
        if not self.paths:
            lines = (self.folder / "triples.tsv").read_text(encoding="utf-8").splitlines()
            distinct = dict.fromkeys(tuple(line.split("\t")) for line in lines if line.strip())
            yield None, Graph(list(distinct), self.names)
        for path in self.paths:
            triples = dict.fromkeys(map(tuple, orjson.loads(path.read_bytes())["triples"]))
            yield path.stem, Graph(list(triples), self.names)


def _sample_paths(folder: Path) -> list[Path]:
    return sorted((folder / "subgraphs").glob("*.json"))


def draw_workload(files: GraphFiles, num_queries: int, seed: int, error_share: float) -> Workload:
    """Draws queries uniformly over samples and, within each, over triples.

    Args:
        num_queries: how many; a multiple of `BLOCK`.
        error_share: share of queries that name an entity or a relation that does not exist, half each.
    """
    rng = random.Random(seed)
    of_sample: dict[int, list[int]] = defaultdict(list)
    for number in range(num_queries):
        of_sample[rng.randrange(len(files))].append(number)
    requests, truths, warmup = [b""] * num_queries, {}, []
    num_triples = 0
    bar = tqdm(files, total=len(files), desc="queries", unit="graph", file=sys.stderr)
    for position, (sample, graph) in enumerate(bar):
        num_triples += len(graph.triples)
        row = {"dataset_name": files.folder.name} | ({"sample_id": sample} if sample is not None else {})
        first = {"action_type": "get_relations", "entity_id": graph.triples[0][0]}
        warmup.append(orjson.dumps({**row, **first}))
        for number in of_sample[position]:
            fields, code = _draw(rng, graph, error_share)
            requests[number] = orjson.dumps({**row, **fields})
            if number // BLOCK % CHECKED_BLOCK_STRIDE == 0:
                truth: Mapping[str, Any] = {"code": code} if code else _answer(graph, fields)
                truths[number] = orjson.dumps(truth, option=orjson.OPT_SORT_KEYS)
    num_distinct = sum(1 for _ in Counter(requests))
    return Workload(requests, dict(sorted(truths.items())), warmup, num_distinct, num_triples)


def _answer(graph: Graph, fields: Mapping[str, str]) -> dict[str, list[str]]:
    return graph.answer(fields["action_type"], fields["entity_id"], fields.get("relation"))


def _draw(rng: random.Random, graph: Graph, error_share: float) -> tuple[dict[str, str], str]:
    """The fields of one query, and the code of its error; "" when it has an answer."""
    action = rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
    is_tail_known = action in ("get_head_entities", "get_head_relations") or (
        action == "get_relations" and rng.random() < 0.5
    )
    by_name = rng.random() < NAME_SHARE
    for _ in range(MAX_DRAWS):
        triple = rng.choice(graph.triples)
        entity = triple[2] if is_tail_known else triple[0]
        if not by_name or graph.names[entity] != entity:
            break
    text = graph.names[entity] if by_name and graph.names[entity] not in graph.ids else entity
    fields = {"action_type": action, "entity_id": text}
    if action.endswith("entities"):
        fields["relation"] = triple[1]
    if rng.random() >= error_share:
        return fields, ""
    if "relation" in fields and rng.random() < 0.5:
        return {**fields, "relation": f"{triple[1]}_of_nobody"}, "unknown_relation"
    return {**fields, "entity_id": f"{text} (nobody)"}, "unknown_entity"
