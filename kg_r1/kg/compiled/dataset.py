"""One compiled data set: everything its graphs share, and a view of each graph.

Sections, by name (all lists are in the order of the things' numbers; a sample's own lists follow one another,
`extents` says where each starts):

    names, ids            texts of entities, in the order of their ids; a name is the id where there is none,
                          and the id is left empty where it is the name
    relations, samples    texts, ascending
    sample_keys, _places  the checksum of each sample's slice, ascending, and the sample's number
    extents               [num_samples + 1, 6]: first node, tail group, head group, edge, relation, qualified
    nodes                 entity number * 2, + 1 when the label is qualified in this sample; ascending
    tail_rows, head_rows  per node: the end of its groups, counted within the sample
    *_relations, *_ends   per group of one node and one relation: the relation, the end of its edges
    *_nodes               per edge: the node at the other end, sorted by label within the group
    sample_relations      the relations of a sample, ascending
    qualified_*           nodes with the label 'Name [id]', the labels, their orders by label and folded key
    spelling_*            (key of a folded id or name, entity) by key, and where each bucket of keys starts
    trigram_*             keys, ends and nodes of the trigrams of labels, in large shared graphs only
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kg_r1.kg.compiled.file_set import FileSet, broken
from kg_r1.kg.compiled.texts import TextTable, escaped
from kg_r1.kg.errors import DataError
from kg_r1.kg.records import unknown_sample

try:
    from kg_r1.kg.compiled._lookup import Lookup
except ImportError:  # no compiler where the project was installed
    Lookup = None  # type: ignore[assignment, misc]

MAX_NUMBERS = 1 << 16
EXTENTS = ("nodes", "tail_groups", "head_groups", "edges", "relations", "qualified")
TWO_EXTENTS = Struct(f"<{2 * len(EXTENTS)}Q")
EXTENT_BYTES = 8 * len(EXTENTS)


class Adjacency(NamedTuple):
    """One direction of all edges of a data set; see the module's text."""

    rows: memoryview
    relations: memoryview
    ends: memoryview
    nodes: memoryview


class Spellings(NamedTuple):
    """Entities by the key of a folded id or name; see the module's text. `shift` makes a bucket of a key."""

    buckets: memoryview
    hashes: memoryview
    entities: memoryview
    shift: int


class Qualified(NamedTuple):
    """Nodes whose label is not their name; see the module's text."""

    nodes: memoryview
    labels: TextTable
    by_label: memoryview
    folded: memoryview
    by_folded: memoryview


class Trigrams(NamedTuple):
    """The nodes that have a trigram in their label; see the module's text."""

    keys: memoryview
    ends: memoryview
    nodes: memoryview


class MappedDataset:
    """A compiled data set, open. Safe to read from many threads.

    Args:
        folder: a compiled store.
        name: what messages call the data set.
        verify: see `FileSet`.

    Raises:
        StoreError: the store cannot be used.
    """

    def __init__(self, folder: Path, name: str, verify: bool = True) -> None:
        files = FileSet(folder, verify)
        self.folder = folder
        self.name = name
        self.is_shared = bool(files.facts.get("is_shared"))
        self.num_triples = int(files.facts.get("num_triples", 0))
        failures = files.facts.get("failures")
        self.failures: Mapping[str, str] = failures if isinstance(failures, dict) else {}
        self.ids = self._texts(files, "ids")
        self.names = self._texts(files, "names")
        self.samples = self._texts(files, "samples")
        self.sample_keys, self.sample_places = files.view("sample_keys"), files.view("sample_places")
        relations = self._texts(files, "relations")
        # Few, and asked for by text in every other request: these alone are held in memory.
        self.relations = [relations.slice(index) for index in range(len(relations))]
        self.relation_numbers = {relations.text(index): index for index in range(len(relations))}
        self._numbers: dict[str | None, int] = {}  # of samples that were asked for
        self.lock = threading.Lock()  # for what views keep of whole graphs
        self.extents = files.view("extents")
        self.nodes = files.view("nodes")
        self.tails = self._adjacency(files, "tail")
        self.heads = self._adjacency(files, "head")
        self.sample_relations = files.view("sample_relations")
        buckets = files.view("spelling_buckets")
        num_bits = (len(buckets) - 1).bit_length() - 1
        self.spellings = Spellings(
            buckets, files.view("spelling_hashes"), files.view("spelling_entities"), 32 - num_bits
        )
        texts = (self.ids.data, self.ids.starts, self.names.data, self.names.starts)
        self.spelling_parts = (*self.spellings, *texts)
        self.qualified = Qualified(
            files.view("qualified_nodes"),
            self._texts(files, "qualified_labels"),
            files.view("qualified_by_label"),
            files.view("qualified_folded"),
            files.view("qualified_by_folded"),
        )
        self.trigrams = Trigrams(
            files.view("trigram_keys"), files.view("trigram_ends"), files.view("trigram_nodes")
        )
        self.lookup = self._native_lookup(files)
        if len(self.extents) != (len(self.samples) + 1) * len(EXTENTS):
            raise broken(folder / "extents.bin", "does not fit the samples")

    @property
    def num_samples(self) -> int:
        """Graphs in the data set; 1 for a shared one."""
        return len(self.samples)

    def sample_number(self, sample_id: str | None) -> int:
        """The number of a sample; of the shared graph for any `sample_id`.

        Raises:
            UnknownSample: there is no such sample, or none was named and the graph is not shared.
            DataError: the sample's graph could not be read when the store was built; says why.
        """
        if self.is_shared:
            return 0
        number = self._numbers.get(sample_id)
        if number is None:
            number = self._look_up(sample_id)
            if len(self._numbers) == MAX_NUMBERS:
                self._numbers.clear()
            self._numbers[sample_id] = number
        return number

    def _look_up(self, sample_id: str | None) -> int:
        num_samples = len(self.samples) + len(self.failures)
        if sample_id is None:
            raise unknown_sample(self.name, None, num_samples)
        if sample_id in self.failures:
            raise DataError(self.failures[sample_id])
        key = escaped(sample_id)
        if key is not None:
            wanted = crc32(key)
            place = bisect_left(self.sample_keys, wanted)
            while place < len(self.sample_keys) and self.sample_keys[place] == wanted:
                if self.samples.slice(self.sample_places[place]) == key:
                    return self.sample_places[place]
                place += 1
        raise unknown_sample(self.name, sample_id, num_samples)

    def extent(self, sample: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Where a sample's items start, and where the next one's do, in the order of `EXTENTS`."""
        numbers = TWO_EXTENTS.unpack_from(self.extents, sample * EXTENT_BYTES)
        return numbers[: len(EXTENTS)], numbers[len(EXTENTS) :]

    def _native_lookup(self, files: FileSet) -> Lookup | None:
        """The inner loops in C; None where they were not built."""
        if Lookup is None:
            return None
        texts = (files.view("ids"), self.ids.starts, files.view("names"), self.names.starts)
        spellings = self.spellings[:3]
        labels = (self.qualified.nodes, files.view("qualified_labels"), self.qualified.labels.starts)
        sections = (*spellings, *texts, self.nodes, *self.tails, *self.heads, *labels)
        return Lookup(sections, self.spellings.shift)

    @staticmethod
    def _texts(files: FileSet, name: str) -> TextTable:
        return TextTable(files.data(name), files.view(f"{name.removesuffix('s')}_starts"))

    @staticmethod
    def _adjacency(files: FileSet, side: str) -> Adjacency:
        return Adjacency(*(files.view(f"{side}_{part}") for part in Adjacency._fields))
