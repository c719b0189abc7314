"""Text-attributed graphs from an export of the world KG (`triples.tsv` and `names.tsv`).

Three graphs, of countries, of places, and of kinds of things. The first two share labels and no nodes; the
third has labels of its own. The words of a graph's labels are taken out of all its texts (`leaks`), and a
graph that still has one is refused.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kblampp.zerog.errors import FileError, GraphError, OptionError
from kblampp.zerog.graph import NO_LABEL, TextGraph, random_split
from kblampp.zerog.leaks import label_pattern, refuse_leaks, without_labels

KINDS = {
    "country": "country",
    "city": "city",
    "airport": "airport",
    "currency": "currency",
    "language": "language",
    "timezone": "time zone",
}
_CODES = ("iata_code", "icao_code", "currency_code", "internet_domain", "calling_code")


@dataclass(frozen=True)
class WorldKG:
    """The facts. `tails[relation][head]` lists the tails; `names[entity]` is how people call it."""

    triples: Sequence[tuple[str, str, str]]
    tails: Mapping[str, Mapping[str, Sequence[str]]]
    names: Mapping[str, str]

    def of(self, entity: str, relation: str) -> list[str]:
        """The names of the tails; [] where there are none."""
        return [self.names[tail] for tail in self.tails.get(relation, {}).get(entity, ())]

    def first(self, entity: str | None, relation: str) -> str | None:
        """The first tail, as an entity."""
        found = self.tails.get(relation, {}).get(entity or "", ())
        return found[0] if found else None

    def entities(self, kind: str) -> list[str]:
        """All entities of a kind such as 'city', sorted."""
        return sorted(entity for entity in self.names if entity.startswith(f"{kind}:"))


def read_world(folder: Path) -> WorldKG:
    """Reads an export. Raises FileError when a file is missing or a line is malformed, with file and line."""
    names = {}
    for _, (entity, name) in _lines(folder / "names.tsv", 2):
        names[entity] = name
    triples: list[tuple[str, str, str]] = []
    tails: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    path = folder / "triples.tsv"
    for line, (head, relation, tail) in _lines(path, 3):
        for entity in (head, tail):
            if entity not in names:
                raise FileError(
                    f"{path}:{line}: {entity!r} has no name in names.tsv; build the world KG anew"
                )
        triples.append((head, relation, tail))
        tails[relation][head].append(tail)
    return WorldKG(triples, tails, names)


def _lines(path: Path, num_fields: int) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                fields = line.rstrip("\n").split("\t")
                if len(fields) != num_fields:
                    raise FileError(f"{path}:{number}: has {len(fields)} fields where {num_fields} belong")
                yield number, fields
    except OSError as error:
        raise FileError(
            f"{path}: cannot be read ({error.strerror}); python -m kg_r1.data.build world --out data_kg "
            "makes it"
        ) from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def countries(kg: WorldKG, seed: int = 0, max_nodes: int | None = None) -> TextGraph:
    """Countries with their facts; an edge is a border, a label the continent. `max_nodes`: a random part."""

    def text(country: str) -> str:
        facts = [f"{kg.names[country]}."]
        for title, relation in (
            ("Capital", "capital"),
            ("Largest town", "largest_city"),
            ("Money", "currency"),
            ("Spoken", "language"),
            ("Domain", "internet_domain"),
        ):
            if values := kg.of(country, relation):
                facts.append(f"{title}: {', '.join(values)}.")
        return " ".join(facts)

    nodes = _some(kg.entities("country"), max_nodes, seed)
    continents = [kg.first(country, "continent") for country in nodes]
    return _graph(
        "countries",
        "Countries of the world and the borders between them. The label is the part of the world.",
        nodes,
        [text(country) for country in nodes],
        [continent and kg.names[continent] for continent in continents],
        _edges_between(kg, nodes, {"borders"}),
        seed,
    )


def places(kg: WorldKG, seed: int = 0, max_nodes: int | None = None) -> TextGraph:
    """Airports, the cities they serve and the capitals of those cities' countries; a label is the continent.

    Edges run from an airport to its cities and from a city to the capital. An airport's text has only its
    name and codes. `max_nodes` is the limit before capitals are added.
    """
    chosen: dict[str, None] = {}
    airports = kg.entities("airport")
    for airport in _some(airports, len(airports), seed, is_sorted=False):
        group = (airport, *kg.tails["city_served"].get(airport, ()))
        if max_nodes is not None and len({*chosen, *group}) > max_nodes:
            break
        chosen.update(dict.fromkeys(group))
    pairs = []
    for city in [node for node in chosen if node.startswith("city:")]:
        capital = kg.first(kg.first(city, "country"), "capital")
        if capital is not None and capital != city:
            chosen[capital] = None
            pairs.append((city, capital))
    nodes = sorted(chosen)
    edges = [*_edges_between(kg, nodes, {"city_served"}), *pairs]

    def country_of(node: str) -> str | None:
        return kg.first(kg.first(node, "city_served") or node, "country")

    def text(node: str) -> str:
        if node.startswith("airport:"):
            codes = [code for relation in ("iata_code", "icao_code") for code in kg.of(node, relation)]
            return f"{kg.names[node]}." + (f" Codes: {', '.join(codes)}." if codes else "")
        return ". ".join([kg.names[node], *kg.of(node, "state"), *kg.of(node, "country")]) + "."

    continents = [kg.first(country_of(node), "continent") for node in nodes]
    return _graph(
        "places",
        "Cities and airports, joined where an airport serves a city. The label is the part of the world.",
        nodes,
        [text(node) for node in nodes],
        [continent and kg.names[continent] for continent in continents],
        edges,
        seed,
    )


def kinds(kg: WorldKG, seed: int = 0, max_nodes: int | None = None) -> TextGraph:
    """Things of six kinds with their codes; an edge is any fact between two, a label the kind.

    `max_nodes` is shared out evenly among the kinds.
    """
    each = None if max_nodes is None else max(1, max_nodes // len(KINDS))
    chosen: list[str] = []
    for kind in KINDS:
        if kind != "city":
            chosen += _some(kg.entities(kind), each, seed)
    # Cities that the airports serve, so that there are edges.
    served = sorted({city for node in chosen for city in kg.tails["city_served"].get(node, ())})
    nodes = sorted({*chosen, *_some(served, each, seed)})

    def text(node: str) -> str:
        codes = [code for relation in _CODES for code in kg.of(node, relation)]
        return f"{kg.names[node]}. {', '.join(codes)}".strip()

    return _graph(
        "kinds",
        "Things in an atlas, joined by facts about them. The label is what sort of thing it is.",
        nodes,
        [text(node) for node in nodes],
        [KINDS[node.partition(":")[0]] for node in nodes],
        _edges_between(kg, nodes, None),
        seed,
    )


GRAPHS: Mapping[str, Callable[..., TextGraph]] = {"countries": countries, "places": places, "kinds": kinds}


def _some(entities: Sequence[str], number: int | None, seed: int, is_sorted: bool = True) -> list[str]:
    """At most `number` of them, by the seed."""
    if number is None:
        return list(entities)
    if number < 1:
        raise OptionError(f"max_nodes must be at least 1, not {number}")
    drawn = random.Random(seed).sample(list(entities), min(number, len(entities)))
    return sorted(drawn) if is_sorted else drawn


def _edges_between(kg: WorldKG, nodes: Iterable[str], relations: set[str] | None) -> list[tuple[str, str]]:
    """The facts between two of the nodes, of those relations or of all."""
    inside = set(nodes)
    return [
        (head, tail)
        for head, relation, tail in kg.triples
        if head in inside and tail in inside and (relations is None or relation in relations)
    ]


def _graph(
    name: str,
    description: str,
    nodes: Sequence[str],
    texts: Sequence[str],
    labels: Sequence[str | None],
    edges: Sequence[tuple[str, str]],
    seed: int,
) -> TextGraph:
    label_names = sorted({label for label in labels if label})
    if len(label_names) < 2:
        raise GraphError(
            f"{name}: its nodes have {len(label_names)} labels, two are needed; raise --max-nodes"
        )
    pattern = label_pattern(label_names)
    kept = tuple(without_labels(text, pattern) for text in texts)
    refuse_leaks(name, [*kept, description], pattern)
    number_of = {node: number for number, node in enumerate(nodes)}
    pairs = [(number_of[head], number_of[tail]) for head, tail in edges]
    y = torch.tensor([label_names.index(label) if label else NO_LABEL for label in labels], dtype=torch.int64)
    train, val, test = random_split(y, seed)
    return TextGraph(
        name=name,
        description=description,
        texts=kept,
        label_names=tuple(label_names),
        label_texts=tuple(label_names),
        edge_index=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T.contiguous(),
        y=y,
        train_mask=train,
        val_mask=val,
        test_mask=test,
    )
