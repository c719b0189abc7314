"""Relations one after the other as vectors: what a chain of facts is asked by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kblampp.encoders.text_encoder import TextEncoder
from kblampp.entity_names import MASK

Path = tuple[int, ...]
"""Relations as numbers, from the entity that a question names outwards."""
MAX_KEPT = 50_000
"""Paths whose vectors are kept: 220 MiB at 384 dimensions."""
NUM_VIEWS = 3
"""Ways to say a path: its text, its text about somebody, and its relations one beside the other."""


class RelationPaths:
    """The vectors of relation paths, encoded when they are first met and kept.

    'The mayor of Ada's home town' is the path (residence, mayor), with the texts 'mayor of the residence' and
    'mayor of the residence of X': no name is in it, and one vector serves every chain of these relations.

    Args:
        encoder: of keys and questions.
        names: of the store's relations, by number.
        relations: their vectors, float [num_relations, d].
    """

    def __init__(self, encoder: TextEncoder, names: Sequence[str], relations: np.ndarray) -> None:
        self.encoder = encoder
        self._names = names
        self.relations = np.asarray(relations, dtype=np.float32)
        self._views: dict[Path, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._views)

    def text(self, path: Path) -> str:
        """'r2 of the r1' of (r1, r2)."""
        return " of the ".join(self._names[relation] for relation in reversed(path))

    def vectors(self, paths: Sequence[Path]) -> np.ndarray:
        """float32 [len(paths), d], of length 1: the mean of the two texts."""
        return _unit(self.views(paths)[:, :2].sum(1))

    def views(self, paths: Sequence[Path]) -> np.ndarray:
        """float32 [len(paths), NUM_VIEWS, d], of length 1."""
        new = [path for path in dict.fromkeys(paths) if path not in self._views]
        if new:
            self._views.update(zip(new, self._encoded(new), strict=True))
        found = np.stack([self._views[path] for path in paths])
        while len(self._views) > MAX_KEPT:
            del self._views[next(iter(self._views))]  # the oldest
        return found

    def _encoded(self, paths: Sequence[Path]) -> np.ndarray:
        texts = [self.text(path) for path in paths]
        texts += [f"{text} of {MASK}" for text in texts]
        bare, about = np.split(self.encoder.encode(texts, normalise=True).astype(np.float32), 2)
        beside = _unit(np.stack([self.relations[list(path)].sum(0) for path in paths]))
        return np.stack([bare, about, beside], 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
