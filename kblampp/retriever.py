"""Candidates as tensors, for one batch of questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from kblampp.candidates import Asked, CandidateFinder, Found
from kblampp.entity_names import EntityNames
from kblampp.kb_store import NO_ENTITY
from kblampp.query_tensors import QueryTensors
from kblampp.readings import NUM_FITS, QuestionReader
from kblampp.relation_paths import Path
from kblampp.retrieved import NO_ROW, Retrieved
from kblampp.selector import KBSelector, Selection


class Retriever:
    """Looks facts up for questions.

    Args:
        finder: of candidates, over one store and its index.
    """

    def __init__(self, finder: CandidateFinder) -> None:
        self.finder = finder
        self.store = finder.store
        self.index = finder.index
        self.names = EntityNames(finder.store)
        self.reader = QuestionReader(finder.paths.encoder, finder.store.array("R"))

    def retrieve(
        self,
        selector: KBSelector,
        query: QueryTensors,
        must_have: Sequence[Sequence[int]] | None = None,
        without: Sequence[Sequence[int]] | None = None,
    ) -> Retrieved:
        """The candidates of questions.

        Args:
            selector: maps the questions into the space of the keys.
            query: B questions.
            must_have: rows that are among the candidates whatever the index says, for training.
            without: rows that are treated as if the store did not have them.
        """
        with torch.no_grad():
            queries = selector.query_map(query.vectors).float().cpu().numpy()
            path_queries = selector.path_map(query.masked).float().cpu().numpy()
        masked, readings = query.masked.float().cpu().numpy(), query.readings.cpu().numpy()
        entities = query.entities.tolist()
        asked = [
            Asked(
                query=queries[number],
                path_query=path_queries[number],
                masked=masked[number],
                readings=readings[number],
                entities=tuple(it for it in entities[number] if it != NO_ENTITY),
                must_have=tuple(must_have[number]) if must_have else (),
                without=frozenset(without[number]) if without else frozenset(),
            )
            for number in range(len(query))
        ]
        return self._as_tensors(asked, self.finder.find(asked), query.vectors.device)

    def _as_tensors(
        self, asked: list[Asked], found: list[dict[int, Found]], device: torch.device
    ) -> Retrieved:
        width = max([1, *map(len, found)])
        shape = (len(found), width)
        rows, roots, depth, which = (np.zeros(shape, dtype=np.int64) for _ in range(4))
        ways = np.full((*shape, max(1, self.finder.num_hops)), NO_ROW, dtype=np.int64)
        is_real = np.zeros(shape, dtype=bool)
        fits = np.zeros((*shape, NUM_FITS), dtype=np.float32)
        numbers: dict[tuple[int, ...], int] = {}
        for number, some in enumerate(found):
            n = len(some)
            rows[number, :n] = list(some)
            rows[number, n:] = next(iter(some), 0)
            roots[number, :n] = [it.rows[0] for it in some.values()]
            for place, it in enumerate(some.values()):
                ways[number, place, : len(it.rows)] = it.rows
            depth[number, :n] = [it.depth for it in some.values()]
            which[number, :n] = [numbers.setdefault(it.path, len(numbers)) for it in some.values()]
            is_real[number, :n] = True
            fits[number, :n] = self._fits(asked[number], [it.path for it in some.values()])
        paths = self.finder.paths.views(list(numbers) or [()])
        root_words = self.store.array("name_words")[roots].astype(np.int64)
        return Retrieved(
            facts=self.store.take(rows, device),
            depth=torch.from_numpy(depth).to(device),
            is_real=torch.from_numpy(is_real).to(device),
            ways=torch.from_numpy(ways).to(device),
            root_words=torch.from_numpy(root_words).to(device),
            paths=torch.from_numpy(paths[which].astype(np.float32)).to(device),
            fits=torch.from_numpy(fits).to(device),
        )

    def _fits(self, asked: Asked, paths: list[Path]) -> np.ndarray:
        different = {path: number for number, path in enumerate(dict.fromkeys(paths))}
        return self.finder.fits(asked, list(different))[[different[path] for path in paths]]

    def select(
        self,
        selector: KBSelector,
        query: QueryTensors,
        k: int,
        without: Sequence[Sequence[int]] | None = None,
    ) -> Selection:
        """Retrieves and chooses k facts."""
        selection: Selection = selector(query, self.retrieve(selector, query, without=without), k)
        return selection
