"""Which facts a baseline shows in the prompt: those along the evidence path, or those BM25 finds."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from kg_r1.data.evidence_path import Chain, Without
from kg_r1.data.oracle import plan_of
from kg_r1.kg.knowledge_graph import KnowledgeGraph, Triple
from kg_r1.kg.paths import Hop
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.question import Question

MAX_INDICES = 8  # of graphs kept at once; a data set with one graph a question needs one at a time


def gold_facts(graph: KnowledgeGraph, question: Question) -> list[Triple]:
    """Every triple that the question's evidence path walks over, as labels, in the order of the walk.

    A question without a path has the shortest one that the graph offers; [] where there is none.
    """
    chains = plan_of(graph, question) or []
    return list(dict.fromkeys(fact for chain in chains for fact in _chain_facts(graph, chain)))


def _chain_facts(graph: KnowledgeGraph, chain: Chain) -> Iterable[Triple]:
    entities = graph.resolve(chain.topic)
    for part in chain.steps:
        if isinstance(part, Without):
            left_out = set(graph.resolve(part.topic))
            entities = [entity for entity in entities if entity not in left_out]
            continue
        reached: dict[int, None] = {}
        for entity in entities:
            for neighbour in _neighbours(graph, entity, part):
                pair = (entity, neighbour) if part.direction == "tail" else (neighbour, entity)
                yield graph.label(pair[0]), part.relation, graph.label(pair[1])
                reached[neighbour] = None
        entities = list(reached)


def _neighbours(graph: KnowledgeGraph, entity: int, hop: Hop) -> list[int]:
    return (graph.tails if hop.direction == "tail" else graph.heads)(entity, hop.relation)


class TripleSearch:
    """BM25 over the triples of a graph, each a document of its own words (head, relation, tail).

    The variant is Lucene's (Robertson and Zaragoza 2009, k1 = 1.5, b = 0.75) as `bm25s` computes it; words
    are runs of letters and digits in lower case, and an underscore in a relation parts them. Of the question,
    the small words of English ('which', 'I') are left out unless a topic entity's name has them: in a graph
    they are rare, which BM25 takes for telling.

    Args:
        store: where the graphs come from; each is indexed when it is first asked about.
    """

    def __init__(self, store: GraphStore) -> None:
        self._store = store
        self._indices: OrderedDict[tuple[str, str | None], tuple[Any, list[Triple]]] = OrderedDict()

    def facts(self, question: Question, num_facts: int) -> list[Triple]:
        """The `num_facts` triples that fit the question's text best, best first; fewer in a smaller graph.

        Triples that share no word with it are left out. Raises what `GraphStore.graph` raises.
        """
        retriever, triples = self._index(question)
        known = [word for word in _query_words(question) if word in retriever.vocab_dict]
        if not known:
            return []
        found, scores = retriever.retrieve(
            [known], k=min(num_facts, len(triples)), show_progress=False, n_threads=0
        )
        return [triples[int(number)] for number, score in zip(found[0], scores[0], strict=True) if score > 0]

    def _index(self, question: Question) -> tuple[Any, list[Triple]]:
        sample_id = None if self._store.is_shared(question.dataset_name) else question.sample_id
        key = (question.dataset_name, sample_id)
        if key not in self._indices:
            triples = self._store.graph(*key).labelled_triples()
            self._indices[key] = (_indexed(triples), triples)
            if len(self._indices) > MAX_INDICES:
                self._indices.popitem(last=False)
        self._indices.move_to_end(key)
        return self._indices[key]


def _query_words(question: Question) -> list[str]:
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    kept = {word for name in question.topic_entities for word in tokens_of(name)}
    small = set(STOPWORDS_EN_PLUS) - kept
    return [word for word in tokens_of(question.question) if word not in small]


def tokens_of(text: str) -> list[str]:
    """The words of a text, for search: runs of letters and digits, in lower case."""
    return "".join(character if character.isalnum() else " " for character in text.casefold()).split()


def _indexed(triples: list[Triple]) -> Any:
    import bm25s

    # It tells every step of indexing on stderr, in the middle of the progress bar.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    retriever = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    retriever.index([tokens_of(" ".join(triple)) for triple in triples], show_progress=False)
    return retriever
