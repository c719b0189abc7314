"""What every knowledge graph can be asked, wherever its triples lie.

`Subgraph` holds them in memory, `MappedGraph` in files that are mapped into it, `SparqlGraph` asks an
endpoint. Actions, oracle walks and reports are written against this Protocol, so that they work on all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

Triple = tuple[str, str, str]  # (head id, relation, tail id)
Side = Literal["tails", "heads"]


class KnowledgeGraph(Protocol):
    """A set of triples. An entity is an integer that means something in its own graph only. Thread-safe.

    Raises:
        DataError: any method, where the triples cannot be read.
    """

    @property
    def num_entities(self) -> int:
        """Entities that stand in at least one triple."""

    @property
    def num_relations(self) -> int:
        """Distinct relations."""

    @property
    def num_triples(self) -> int:
        """Distinct triples."""

    def resolve(self, entity: str) -> list[int]:
        """The entities that a text means, ascending; several when a name is shared, [] when unknown.

        The first of these that matches decides: id, label, name, case-folded spelling of any of them (white
        space at the ends and Unicode composition set aside).
        """

    def close_labels(self, entity: str, max_labels: int = 3) -> list[str]:
        """Up to `max_labels` labels spelt most like `entity`, best first; [] when nothing is near."""

    def prefetch_names(self, names: Sequence[str]) -> None:
        """Says which texts `resolve` will be asked for, so that a graph behind a network asks once."""

    def prefetch(self, entities: Sequence[int], side: Side, relation: str | None = None) -> None:
        """Says whose neighbours will be asked for: by one relation, or which relations there are (None)."""

    def entity_id(self, index: int) -> str:
        """The id of an entity, as it stands in the triples."""

    def name(self, index: int) -> str:
        """The name of an entity; its id when it has none."""

    def label(self, index: int) -> str:
        """What is shown for an entity: its name, or 'Name [id]' where the name alone is ambiguous here."""

    def labels(self, indices: Iterable[int]) -> list[str]:
        """The labels of several entities, in the order given."""

    def relations(self) -> list[str]:
        """Every relation of the graph, sorted."""

    def has_relation(self, relation: str) -> bool:
        """Whether any triple has exactly this relation."""

    def tail_relations(self, entity: int) -> list[str]:
        """The relations of the triples whose head is `entity` (they lead to tails), sorted."""

    def head_relations(self, entity: int) -> list[str]:
        """The relations of the triples whose tail is `entity` (they lead to heads), sorted."""

    def tails(self, entity: int, relation: str) -> list[int]:
        """Every t with (entity, relation, t), sorted by label; [] when there is none."""

    def heads(self, entity: int, relation: str) -> list[int]:
        """Every h with (h, relation, entity), sorted by label; [] when there is none."""

    def triples(self) -> Iterator[Triple]:
        """Every triple once, as ids, sorted by head, relation and tail."""

    def labelled_triples(self) -> list[Triple]:
        """Every triple once, with labels in place of ids, in the order of `triples`. A fresh list."""
