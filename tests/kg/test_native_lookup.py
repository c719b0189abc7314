"""The look-ups in C: the same as in Python, and an error for anything that a sound store cannot hold."""

from __future__ import annotations

import random
from array import array
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kg_r1.kg.compiled.dataset import MappedDataset
from kg_r1.kg.compiled.graph import MappedGraph
from kg_r1.kg.compiled.texts import escaped, folded_hash, quick_fold
from kg_r1.kg.knowledge_graph import Triple
from tests.kg.test_compiled_graph import compiled

_lookup = pytest.importorskip("kg_r1.kg.compiled._lookup", reason="no C compiler where it was installed")

NAMES = ["a", "A", "b", 'q"', "é", "N [a]", "N", "N [x]", "c\n", "d", "e", "f"]


def drawn(seed: int, num_triples: int) -> list[Triple]:
    draw = random.Random(seed)
    return [(draw.choice(NAMES), draw.choice("rst"), draw.choice(NAMES)) for _ in range(num_triples)]


@pytest.fixture(scope="module")
def dataset() -> MappedDataset:
    samples: dict[str | None, list[Triple]] = {f"s{seed}": drawn(seed, 8 + 5 * seed) for seed in range(5)}
    return compiled(samples, {"a": "N", "b": "N", "c\n": "The C", "d": "b", "e": "E", "f": "é"})


def test_both_ways_agree(dataset: MappedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dataset.lookup is not None
    texts = [*NAMES, "The C", "E", "N [b]", "nobody", "", "the c"]
    answers = []
    for _ in range(2):
        found: list[object] = []
        for sample in range(dataset.num_samples):
            graph = MappedGraph(dataset, sample)
            found.extend(graph.find_spelt(text) for text in texts)
            for entity in range(graph.num_entities):
                for relation in ("r", "s", "t", "none"):
                    for side in ("tail", "head"):
                        found.append(graph.encoded_neighbours(side, entity, relation))
        answers.append(found)
        monkeypatch.setattr(dataset, "lookup", None)
    assert answers[0] == answers[1]
    assert any(answer for answer in answers[0])


SECTIONS = ("buckets", "hashes", "entities", "ids", "id_starts", "names", "name_starts", "nodes")
SIDE = ("rows", "relations", "ends", "nodes")


def sections_of(dataset: MappedDataset, folder_view: dict[str, memoryview]) -> dict[str, memoryview]:
    named = dict(zip(SECTIONS[:3], dataset.spellings[:3], strict=True))
    named |= {name: folder_view[name] for name in ("ids", "names")}
    named |= {"id_starts": dataset.ids.starts, "name_starts": dataset.names.starts, "nodes": dataset.nodes}
    named |= {f"tail {part}": view for part, view in zip(SIDE, dataset.tails, strict=True)}
    named |= {f"head {part}": view for part, view in zip(SIDE, dataset.heads, strict=True)}
    labels = dataset.qualified.labels
    views = (dataset.qualified.nodes, memoryview(labels.data), labels.starts)
    return named | dict(zip(QUALIFIED, views, strict=True))


QUALIFIED = ("qualified nodes", "qualified labels", "qualified starts")
ORDER = [*SECTIONS, *(f"{side} {part}" for side in ("tail", "head") for part in SIDE), *QUALIFIED]


@pytest.fixture
def sections(dataset: MappedDataset) -> dict[str, memoryview]:
    texts = {"ids": memoryview(dataset.ids.data), "names": memoryview(dataset.names.data)}
    return sections_of(dataset, texts)


def exercise(lookup: Any, dataset: MappedDataset, texts: bytes) -> tuple[int, int]:
    """Every look-up of every sample; gives how many were answered and how many raised IndexError.

    What is answered must come from the sections: entities of the graph, and bytes that stand in `texts`.
    """
    num_answers = num_errors = 0
    for sample in range(dataset.num_samples):
        start, end = dataset.extent(sample)
        everyone = range(end[0] - start[0])
        for text in NAMES:
            try:
                found = lookup.find(escaped(text), folded_hash(quick_fold(text)), start[0], end[0])
            except IndexError:
                num_errors += 1
                continue
            num_answers += 1
            assert all(entity in everyone for entity in ([found] if isinstance(found, int) else found))
        for side, entity, relation in product((0, 1), everyone, range(4)):
            graph = (start[0], start[1 + side], start[3], start[5], end[5])
            try:
                joined, num_labels = lookup.neighbours(side, graph, entity, relation)
            except IndexError:
                num_errors += 1
                continue
            num_answers += 1
            assert num_labels or not joined
            assert all(label in texts for label in joined.split(b'","'))
    return num_answers, num_errors


def texts_of(sections: dict[str, memoryview]) -> bytes:
    return b"".join(bytes(sections[name]) for name in ("names", "qualified labels"))


def test_sound_sections_raise_nothing(dataset: MappedDataset, sections: dict[str, memoryview]) -> None:
    lookup = _lookup.Lookup(tuple(sections[name] for name in ORDER), dataset.spellings.shift)
    num_answers, num_errors = exercise(lookup, dataset, texts_of(sections))
    assert num_answers > 100 and num_errors == 0


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("damage", ["empty", "short", "huge", "random"])
def test_an_inconsistent_store_cannot_make_it_read_elsewhere(
    dataset: MappedDataset, sections: dict[str, memoryview], name: str, damage: str
) -> None:
    """Whatever stands in a section, an answer comes from the sections, or there is an IndexError."""
    item, draw = sections[name].format, random.Random(name)
    values = array(item, sections[name].tolist())
    if damage == "empty":
        values = array(item)
    elif damage == "short":
        values = values[: len(values) // 2]
    elif damage == "huge":
        values = array(item, [2 ** (8 * values.itemsize) - 1] * len(values))
    else:
        values = array(item, [draw.randrange(2 ** (8 * values.itemsize)) for _ in values])
    changed = {**sections, name: memoryview(values)}
    lookup = _lookup.Lookup(tuple(changed[one] for one in ORDER), dataset.spellings.shift)
    sound = _lookup.Lookup(tuple(sections[one] for one in ORDER), dataset.spellings.shift)
    num_answers, num_errors = exercise(lookup, dataset, texts_of(changed))
    assert num_answers + num_errors == exercise(sound, dataset, texts_of(sections))[0]
    if damage == "empty" and len(sections[name]):
        assert num_errors > 0


@pytest.mark.parametrize(
    "arguments", [(), ((), 3), ((b"",) * 19, 99), ((b"",) * 19, -1), (("text",) * 19, 3), ((b"",) * 16, 3)]
)
def test_what_is_no_set_of_sections_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises((TypeError, ValueError, BufferError)):
        _lookup.Lookup(*arguments)


def test_wrong_arguments_are_refused(dataset: MappedDataset, tmp_path: Path) -> None:
    assert dataset.lookup is not None
    for arguments in ((), ("text", 1, 2, 3), (b"a", "1", 2, 3), (b"a", -1, 2, 3), (b"a", 1, 2)):
        with pytest.raises((TypeError, OverflowError)):
            dataset.lookup.find(*arguments)  # type: ignore[arg-type]
    graph = (0, 0, 0, 0, 0)
    for numbers in (
        (),
        (0, graph, 0),
        (0, graph, 0, "r"),
        (0, graph, -1, 0),
        (0, (0, 0), 0, 0),
        (0, 5, 0, 0),
    ):
        with pytest.raises((TypeError, OverflowError)):
            dataset.lookup.neighbours(*numbers)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="inconsistent"):
        dataset.lookup.neighbours(0, (10**9, 0, 0, 0, 0), 0, 0)
    with pytest.raises(IndexError, match="inconsistent"):
        dataset.lookup.neighbours(0, (2**64 - 1,) * 5, 2**64 - 1, 0)
