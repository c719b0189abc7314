"""From texts to a score for each node and label: encode, aggregate, compare with the encoded labels.

Li et al., "ZeroG" (KDD 2024). Node texts, label texts and the description of the data go through the same
text encoder. Vectors are brought to length 1 before they are aggregated: their lengths say little of what a
text means, and a label would win for having a long one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from kblampp.encoders.text_encoder import TextEncoder
from kblampp.zerog.errors import OptionError
from kblampp.zerog.graph import TextGraph
from kblampp.zerog.propagation import normalised_adjacency, propagate


@dataclass(frozen=True)
class ModelConfig:
    """What is done with the vectors. Raises OptionError for impossible values."""

    num_rounds: int = 2
    """R, of aggregation; 0 looks at each text alone."""
    use_prompt: bool = True
    """Whether the prompt node is joined to all others."""
    scale: float = 20.0
    """Of the scores, which are cosines where R is 0; matters to training alone."""

    def __post_init__(self) -> None:
        if self.num_rounds < 0:
            raise OptionError(f"num_rounds must be at least 0, not {self.num_rounds}")
        if not self.scale > 0:
            raise OptionError(f"scale must be above 0, not {self.scale}")


@dataclass(frozen=True)
class GraphVectors:
    """The encoded texts, of length 1 each: nodes [n, d], prompt [1, d], labels [C, d]."""

    nodes: Tensor
    prompt: Tensor
    labels: Tensor


def encode_graph(encoder: TextEncoder, graph: TextGraph) -> GraphVectors:
    """All texts of a graph, without gradients, on the CPU."""

    def encoded(texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(encoder.encode(texts, normalise=True))

    return GraphVectors(encoded(graph.texts), encoded([graph.description]), encoded(graph.label_texts))


def encode_part(encoder: TextEncoder, graph: TextGraph, nodes: Tensor) -> GraphVectors:
    """The texts of some nodes (int64 [n]), with gradients, `batch_size` of the encoder's config at a time."""
    texts = [graph.texts[node] for node in nodes.tolist()] + [graph.description, *graph.label_texts]
    size = encoder.config.batch_size
    parts = [encoder.forward(texts[start : start + size]) for start in range(0, len(texts), size)]
    vectors = functional.normalize(torch.cat(parts).float(), dim=-1)
    num_nodes = len(nodes)
    return GraphVectors(vectors[:num_nodes], vectors[num_nodes : num_nodes + 1], vectors[num_nodes + 1 :])


def logits(vectors: GraphVectors, edge_index: Tensor, config: ModelConfig) -> Tensor:
    """Scores of every label for every node, float32 [n, C].

    Args:
        edge_index: int64 [2, E], between the nodes of `vectors`.
    """
    num_nodes = len(vectors.nodes)
    features = vectors.nodes
    if config.num_rounds:
        if config.use_prompt:
            features = torch.cat([features, vectors.prompt])
        edges = edge_index.to(features.device)
        adjacency = normalised_adjacency(edges, num_nodes, has_prompt=config.use_prompt)
        features = propagate(adjacency, features, config.num_rounds)
    return config.scale * features[:num_nodes] @ vectors.labels.T


def text_only(config: ModelConfig) -> ModelConfig:
    """The same without aggregation."""
    return replace(config, num_rounds=0)
