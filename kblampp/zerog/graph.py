"""A text-attributed graph: a text for every node, undirected edges, named labels, three sets of nodes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from kblampp.zerog.errors import GraphError

NO_LABEL = -1
SPLITS = ("train", "val", "test")
VAL_SHARE = 0.2
TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class TextGraph:
    """A graph that classification can work on. Raises GraphError, naming the field, where parts do not fit.

    Shapes: N nodes, E edges, C labels.
    """

    name: str
    description: str
    """What the data are; encoded, it becomes the prompt node."""
    texts: tuple[str, ...]
    """One for each node, [N]."""
    label_names: tuple[str, ...]
    """[C]."""
    label_texts: tuple[str, ...]
    """What is encoded for each label, [C]: its name, or more about it."""
    edge_index: Tensor
    """int64 [2, E], node numbers; either direction or both, repetitions do no harm."""
    y: Tensor
    """int64 [N], label numbers; NO_LABEL where a node has none."""
    train_mask: Tensor
    """bool [N], as the next two; no node is in two of them, and each node in one has a label."""
    val_mask: Tensor
    test_mask: Tensor
    source: str = ""
    """The file it came from, for messages."""

    def __post_init__(self) -> None:
        self._check_texts()
        self._check_edges()
        self._check_labels()
        self._check_masks()

    @property
    def num_nodes(self) -> int:
        return len(self.texts)

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def nodes(self, which: str) -> Tensor:
        """The node numbers (int64 [n]) of 'train', 'val' or 'test', or of 'all' that have a label."""
        mask = self.y != NO_LABEL if which == "all" else getattr(self, f"{which}_mask")
        return torch.nonzero(mask).flatten()

    def fingerprint(self) -> str:
        """A digest of texts and label names: by it a checkpoint knows the graphs that it has seen."""
        digest = hashlib.sha256()
        for text in (*self.texts, "", *self.label_names):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()

    def _wrong(self, field: str, problem: str) -> GraphError:
        return GraphError(f"{self.source or self.name}: {field} {problem}")

    def _check_texts(self) -> None:
        if not self.texts:
            raise self._wrong("texts", "is empty; a graph needs nodes")
        for field in ("texts", "label_names", "label_texts"):
            for number, text in enumerate(getattr(self, field)):
                if not isinstance(text, str):
                    raise self._wrong(f"{field}[{number}]", f"is {text!r:.60}, not text")

    def _check_edges(self) -> None:
        edges = self.edge_index
        if edges.dtype != torch.int64 or edges.dim() != 2 or edges.shape[0] != 2:
            raise self._wrong(
                "edge_index",
                f"is {edges.dtype} of shape {list(edges.shape)}; whole numbers [2, edges] belong",
            )
        wrong = torch.nonzero((edges < 0) | (edges >= self.num_nodes))
        if len(wrong):
            row, column = wrong[0].tolist()
            raise self._wrong(
                f"edge_index[{row}][{column}]",
                f"is {int(edges[row, column])}; nodes are numbered 0 to {self.num_nodes - 1}",
            )

    def _check_labels(self) -> None:
        if len(self.label_names) < 2:
            raise self._wrong("label_names", f"has {len(self.label_names)} labels; give at least two")
        if len(set(self.label_names)) != len(self.label_names):
            double = next(name for name in self.label_names if self.label_names.count(name) > 1)
            raise self._wrong("label_names", f"has {double!r} twice; make them different")
        if len(self.label_texts) != len(self.label_names):
            raise self._wrong(
                "label_texts", f"has {len(self.label_texts)} entries for {len(self.label_names)} label_names"
            )
        if self.y.dtype != torch.int64 or self.y.shape != (self.num_nodes,):
            raise self._wrong(
                "y", f"is {self.y.dtype} of shape {list(self.y.shape)}; {self.num_nodes} whole numbers belong"
            )
        wrong = torch.nonzero((self.y < NO_LABEL) | (self.y >= self.num_labels)).flatten()
        if len(wrong):
            number = int(wrong[0])
            raise self._wrong(
                f"y[{number}]",
                f"is {int(self.y[number])}; labels are numbered 0 to {self.num_labels - 1}, "
                f"{NO_LABEL} is a node without one",
            )

    def _check_masks(self) -> None:
        used = torch.zeros(self.num_nodes, dtype=torch.int64)
        for which in SPLITS:
            field = f"{which}_mask"
            mask: Tensor = getattr(self, field)
            if mask.dtype != torch.bool or mask.shape != (self.num_nodes,):
                raise self._wrong(
                    field,
                    f"is {mask.dtype} of shape {list(mask.shape)}; {self.num_nodes} truth values belong",
                )
            bare = torch.nonzero(mask & (self.y == NO_LABEL)).flatten()
            if len(bare):
                raise self._wrong(f"{field}[{int(bare[0])}]", "is true, but that node has no label")
            used += mask
        twice = torch.nonzero(used > 1).flatten()
        if len(twice):
            raise self._wrong("the split masks", f"share node {int(twice[0])}; a node is in one set at most")


def random_split(y: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Masks (bool [N] each) of train, val and test: 60, 20 and 20 % of the nodes with a label, by seed."""
    labelled = torch.nonzero(y != NO_LABEL).flatten()
    order = labelled[torch.randperm(len(labelled), generator=torch.Generator().manual_seed(seed))]
    num_val, num_test = round(VAL_SHARE * len(order)), round(TEST_SHARE * len(order))
    parts = (order[num_val + num_test :], order[:num_val], order[num_val : num_val + num_test])
    masks = [torch.zeros(len(y), dtype=torch.bool) for _ in parts]
    for mask, part in zip(masks, parts, strict=True):
        mask[part] = True
    return masks[0], masks[1], masks[2]
