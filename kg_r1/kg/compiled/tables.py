"""The relational half of a build: from staged triples to numbered, labelled and ordered tables.

In: table `raw` (sample, head, relation, tail) and table `naming` (id, name) of a DuckDB connection. Out: the
tables that `kg_r1.kg.compiled.writing` reads the sections from. DuckDB sorts and joins outside of memory
where it must, which is what bounds the memory of a build. Texts are compared by their UTF-8 bytes, which is
the order of Python's strings.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow

from kg_r1.kg.names import make_labels

BATCH_ROWS = 1 << 18

NUMBERING = (
    """create table entity as
    select text, row_number() over (order by text) - 1 as entity
    from (select head as text from raw union select tail from raw)""",
    """create table relation as
    select relation as text, row_number() over (order by relation) - 1 as relation
    from (select distinct relation from raw)""",
    """create table triple as
    select distinct raw.sample, h.entity as head, r.relation, t.entity as tail
    from raw join entity h on raw.head = h.text join relation r on raw.relation = r.text
    join entity t on raw.tail = t.text""",
    "drop table raw",
    # Who else has the name as an id: such a name can be nobody's label where both stand in one sample.
    """create table named as
    select e.entity, e.text as id, coalesce(n.name, e.text) as name, o.entity as namesake
    from entity e left join naming n on n.id = e.text
    left join entity o on o.text = n.name and n.name <> e.text""",
    """create table node as
    select sample, entity, row_number() over (partition by sample order by entity) - 1 as node
    from (select sample, head as entity from triple union select sample, tail from triple)""",
    # A label is plain when it is the id, or a name that means nobody else in the sample.
    """create table labelled as
    select node.sample, node.node, node.entity, named.id, named.name,
        named.name = named.id
        or (count(*) over (partition by node.sample, named.name) = 1 and other.node is null) as is_plain
    from node join named using (entity)
    left join node other on other.sample = node.sample and other.entity = named.namesake""",
    """create table qualified as
    select sample, node, name || ' [' || id || ']' as label from labelled where not is_plain""",
)

CLASHES = """
    select q.sample from qualified q join labelled l on l.sample = q.sample and l.name = q.label
        where l.is_plain
    union select q.sample from qualified q join labelled l on l.sample = q.sample and l.id = q.label
        where l.node <> q.node
    union select sample from qualified group by sample, label having count(*) > 1
    order by 1
"""

ORDERING = (
    """create table ranked as
    select l.sample, l.node, l.entity, l.is_plain, row_number() over (
        partition by l.sample order by coalesce(q.label, l.name)) as rank
    from labelled l left join qualified q using (sample, node)""",
    """create table edge as
    select t.sample, h.node as head, t.relation, l.node as tail, h.rank as head_rank, l.rank as tail_rank
    from triple t join ranked h on h.sample = t.sample and h.entity = t.head
    join ranked l on l.sample = t.sample and l.entity = t.tail""",
    "drop table triple",
    """create table tail_group as
    select sample, head as node, relation, count(*) as num_edges from edge group by all""",
    """create table head_group as
    select sample, tail as node, relation, count(*) as num_edges from edge group by all""",
    "create table sample_relation as select distinct sample, relation from edge",
)


def number_and_label(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Runs every statement; yields what is done next, for a progress bar."""
    for statement in NUMBERING:
        yield statement.split()[2]
        connection.execute(statement)
    yield "clashes"
    for (sample,) in connection.execute(CLASHES).fetchall():
        _relabel(connection, sample)
    for statement in ORDERING:
        yield statement.split()[2]
        connection.execute(statement)


def insert(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, list[object]]) -> None:
    """Appends rows, given by column, to a table of the same columns."""
    batch = pyarrow.table(columns)
    connection.register("batch", batch)
    connection.execute(f"insert into {table} select * from batch")
    connection.unregister("batch")


def batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pyarrow.RecordBatch]:
    """The rows of a query, piece by piece; other statements may run in between."""
    with connection.cursor() as cursor:
        yield from cursor.sql(query).to_arrow_reader(BATCH_ROWS)


def _relabel(connection: duckdb.DuckDBPyConnection, sample: int) -> None:
    # A qualified label that is somebody's id or label: rare enough to leave to the rule itself.
    rows = connection.execute(
        "select id, name, is_plain from labelled where sample = ? order by node", [sample]
    ).fetchall()
    labels = make_labels([row[0] for row in rows], [row[1] for row in rows])
    connection.execute("delete from qualified where sample = ?", [sample])
    places = [place for place, row in enumerate(rows) if not row[2]]
    columns: dict[str, list[object]] = {
        "sample": [sample] * len(places),
        "node": list(places),
        "label": [labels[place] for place in places],
    }
    insert(connection, "qualified", columns)
