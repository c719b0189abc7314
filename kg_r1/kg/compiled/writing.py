"""The other half of a build: the tables of `kg_r1.kg.compiled.tables` become the sections of a file set.

Every section is written in one pass over one ordered query, so that no list of triples or entities is ever
held in memory. What the sections mean: `kg_r1.kg.compiled.dataset`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

import duckdb
import numpy as np
import pyarrow

from kg_r1.kg.compiled.dataset import EXTENTS
from kg_r1.kg.compiled.file_set import FileSetWriter, Section
from kg_r1.kg.compiled.spelling import CODE_POINT_BITS, MAX_SCANNED
from kg_r1.kg.compiled.tables import batches, insert
from kg_r1.kg.compiled.texts import escaped, folded_hash, quick_fold
from kg_r1.kg.errors import DataError, KGError

NUMPY_ITEMS = {"H": "<u2", "I": "<u4", "Q": "<u8"}
MAX_ENTITIES = 1 << 31
TRIGRAM_WEIGHTS = (1 << 2 * CODE_POINT_BITS, 1 << CODE_POINT_BITS, 1)
KEYS_PER_BUCKET = 2


def item_for(largest: int) -> str:
    """The narrowest item that holds integers up to `largest`."""
    return "H" if largest < 1 << 16 else "I" if largest < 1 << 32 else "Q"


class StoreWriter:
    """Writes all sections of one data set.

    Args:
        connection: holds the finished tables.
        files: the file set to fill.
        sample_slices: the samples' ids as JSON, ascending; a sample's number is its place here.
        is_shared: whether the one sample is the graph of all.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: FileSetWriter,
        sample_slices: Sequence[bytes],
        is_shared: bool,
    ) -> None:
        self.connection = connection
        self.files = files
        self.sample_slices = sample_slices
        self.is_shared = is_shared
        self.extents = self._extents()
        self.num_entities = self._number("select count(*) from entity")
        if self.num_entities >= MAX_ENTITIES:
            raise KGError(f"{self.num_entities} entities are more than a store can number ({MAX_ENTITIES})")

    def steps(self) -> Iterator[str]:
        """Writes section after section; yields what is written next, for a progress bar."""
        yield "texts"
        self._texts()
        yield "spellings"
        self._spellings()
        yield "nodes"
        marked = "select entity * 2 + (not is_plain)::int from ranked order by sample, node"
        self._integers("nodes", "I", marked)
        for side, near in (("tail", "head"), ("head", "tail")):
            yield f"{side}s"
            self._adjacency(side, near)
        item = item_for(self._number("select count(*) from relation"))
        self._integers(
            "sample_relations", item, "select relation from sample_relation order by sample, relation"
        )
        yield "labels"
        self._qualified()
        yield "trigrams"
        self._trigrams()

    def facts(self) -> dict[str, object]:
        """What the manifest says beside the sections."""
        return {
            "is_shared": self.is_shared,
            "num_samples": len(self.sample_slices),
            "num_entities": self.num_entities,
            "num_relations": self._number("select count(*) from relation"),
            "num_triples": int(self.extents[-1, EXTENTS.index("edges")]),
        }

    def _texts(self) -> None:
        self._text_table("samples", iter(self.sample_slices), sum(map(len, self.sample_slices)))
        keys = sorted((crc32(one), place) for place, one in enumerate(self.sample_slices))
        _write(self.files.section("sample_keys", "I"), [key for key, _ in keys])
        _write(self.files.section("sample_places", "I"), [place for _, place in keys])
        for name, query in (
            ("names", "select name from named order by entity"),
            ("ids", "select case when name = id then '' else id end from named order by entity"),
            ("relations", "select text from relation order by relation"),
        ):
            num_bytes = self._number(f"select coalesce(sum(strlen(columns(*))), 0) from ({query})")
            # Escaping makes six bytes of one at most.
            self._text_table(name, map(_escaped, self._column(query)), 6 * num_bytes)

    def _text_table(self, name: str, slices: Iterator[bytes], max_bytes: int) -> None:
        data = self.files.section(name, "B")
        starts = self.files.section(f"{name.removesuffix('s')}_starts", item_for(max(max_bytes, 1 << 16)))
        end = 0
        _write(starts, [0])
        for piece in _pieces(slices):
            ends = end + np.cumsum([len(one) for one in piece])
            data.write(b"".join(piece))
            _write(starts, ends)
            end = int(ends[-1])

    def _spellings(self) -> None:
        connection = self.connection
        connection.execute("create table spelling (key uinteger, entity uinteger)")
        for batch in batches(connection, "select entity, id, name from named"):
            keys: list[object] = []
            entities: list[object] = []
            for entity, identifier, name in zip(*map(pyarrow.Array.to_pylist, batch.columns), strict=True):
                for folded in {quick_fold(identifier), quick_fold(name)}:
                    keys.append(folded_hash(folded))
                    entities.append(entity)
            insert(connection, "spelling", {"key": keys, "entity": entities})
        num_keys = self._number("select count(*) from spelling")
        num_bits = min(28, max(0, (num_keys // KEYS_PER_BUCKET).bit_length() - 1))
        query = "select key, entity from spelling order by key, entity"
        hashes = self.files.section("spelling_hashes", "I")
        entities_section = self.files.section("spelling_entities", "I")
        in_bucket = np.zeros(1 << num_bits, dtype=np.int64)
        for batch in batches(connection, query):
            key_array, entity_array = (column.to_numpy() for column in batch.columns)
            _write(hashes, key_array)
            _write(entities_section, entity_array)
            in_bucket += np.bincount(key_array.astype(np.int64) >> (32 - num_bits), minlength=1 << num_bits)
        buckets = self.files.section("spelling_buckets", "I")
        _write(buckets, np.concatenate([[0], np.cumsum(in_bucket)]))
        connection.execute("drop table spelling")

    def _adjacency(self, side: str, near: str) -> None:
        # The `side` nodes of every `near` node: the tails of a head, or the heads of a tail.
        group, sizes = f"{side}_group", np.diff(self.extents, axis=0)
        largest = {name: int(sizes[:, column].max(initial=0)) for column, name in enumerate(EXTENTS)}
        num_relations = self._number("select count(*) from relation")
        self._integers(
            f"{side}_rows",
            item_for(largest[f"{side}_groups"]),
            f"""select sum(coalesce(g.num_groups, 0)) over (partition by n.sample order by n.node)::ubigint
            from node n left join
            (select sample, node, count(*) as num_groups from {group} group by all) g using (sample, node)
            order by n.sample, n.node""",
        )
        self._integers(
            f"{side}_relations",
            item_for(num_relations),
            f"select relation from {group} order by sample, node, relation",
        )
        self._integers(
            f"{side}_ends",
            item_for(largest["edges"]),
            f"""select sum(num_edges) over (partition by sample order by node, relation)::ubigint
            from {group} order by sample, node, relation""",
        )
        self._integers(
            f"{side}_nodes",
            item_for(largest["nodes"]),
            f"select {side} from edge order by sample, {near}, relation, {side}_rank",
        )

    def _qualified(self) -> None:
        connection = self.connection
        connection.execute(
            "create table label_order (sample uinteger, place uinteger, slice blob, key uinteger)"
        )
        query = """select sample, row_number() over (partition by sample order by node) - 1, label
            from qualified order by sample, node"""
        self._integers("qualified_nodes", "I", "select node from qualified order by sample, node")

        def slices() -> Iterator[bytes]:
            for batch in batches(connection, query):
                samples, places, labels = map(pyarrow.Array.to_pylist, batch.columns)
                made = [_escaped(label) for label in labels]
                keys = [folded_hash(quick_fold(label)) for label in labels]
                columns = {"sample": samples, "place": places, "slice": made, "key": keys}
                insert(connection, "label_order", columns)
                yield from made

        num_bytes = self._number("select coalesce(sum(strlen(label)), 0) from qualified")
        self._text_table("qualified_labels", slices(), 6 * num_bytes)
        for name, column, order in (
            ("qualified_by_label", "place", "slice"),
            ("qualified_folded", "key", "key, place"),
            ("qualified_by_folded", "place", "key, place"),
        ):
            self._integers(name, "I", f"select {column} from label_order order by sample, {order}")
        connection.execute("drop table label_order")

    def _trigrams(self) -> None:
        connection = self.connection
        connection.execute("create table trigram (key ubigint, node uinteger)")
        if self.is_shared and self._number("select count(*) from node") > MAX_SCANNED:
            labels = """select l.node, coalesce(q.label, l.name)
                from labelled l left join qualified q using (sample, node)"""
            for batch in batches(connection, labels):
                nodes, texts = map(pyarrow.Array.to_pylist, batch.columns)
                padded: list[object] = [f"  {quick_fold(text)} " for text in texts]
                connection.register("batch", pyarrow.table({"node": nodes, "padded": padded}))
                parts = (
                    f"ord(substring(padded, place + {offset}, 1))::bigint * {weight}"
                    for offset, weight in enumerate(TRIGRAM_WEIGHTS)
                )
                connection.execute(
                    f"""insert into trigram select distinct {" + ".join(parts)}, node from
                    (select node, padded, unnest(range(1, length(padded) - 1)) as place from batch)"""
                )
                connection.unregister("batch")
        self._integers("trigram_keys", "Q", "select distinct key from trigram order by key")
        num_postings = self._number("select count(*) from trigram")
        self._integers(
            "trigram_ends",
            item_for(num_postings),
            """select sum(num) over (order by key)::ubigint from
            (select key, count(*) as num from trigram group by key) order by key""",
        )
        self._integers("trigram_nodes", "I", "select node from trigram order by key, node")

    def _extents(self) -> np.ndarray:
        """[num_samples + 1, 6] where each sample's items start; written as a section at once."""
        sizes = np.zeros((len(self.sample_slices) + 1, len(EXTENTS)), dtype=np.int64)
        tables = ("node", "tail_group", "head_group", "edge", "sample_relation", "qualified")
        for column, table in enumerate(tables):
            counted = self.connection.execute(f"select sample, count(*) from {table} group by 1").fetchall()
            for sample, size in counted:
                sizes[sample + 1, column] = size
        extents = np.cumsum(sizes, axis=0)
        _write(self.files.section("extents", "Q"), extents.ravel())
        return extents

    def _integers(self, name: str, item: str, query: str) -> None:
        section = self.files.section(name, item)
        for batch in batches(self.connection, query):
            _write(section, batch.column(0).to_numpy())

    def _column(self, query: str) -> Iterator[str]:
        for batch in batches(self.connection, query):
            yield from batch.column(0).to_pylist()

    def _number(self, query: str) -> int:
        return int(self.connection.execute(query).fetchall()[0][0])


def _write(section: Section, values: Sequence[int] | np.ndarray) -> None:
    array = np.asarray(values)
    if array.size and int(array.max()) >> (8 * np.dtype(NUMPY_ITEMS[section.item]).itemsize):
        raise KGError(f"{int(array.max())} does not fit an item of {section.file.name}")
    section.write(array.astype(NUMPY_ITEMS[section.item]).tobytes())


def _escaped(text: str) -> bytes:
    slice_ = escaped(text)
    if slice_ is None:
        raise DataError(f"{text!r} is not valid Unicode")
    return slice_


def _pieces(slices: Iterable[bytes], max_texts: int = 1 << 16) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    for one in slices:
        piece.append(one)
        if len(piece) == max_texts:
            yield piece
            piece = []
    if piece:
        yield piece
