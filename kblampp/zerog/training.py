"""Tuning the text encoder on source graphs; what is kept is chosen on their validation nodes.

Every training node is a target once an epoch, and counts in the loss as its batch mates do. The labels of
test nodes are not looked at.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kblampp.encoders.adapting import Training, make_trainable
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.zerog.checkpoints import Record, refuse_foreign, save_checkpoint, save_record
from kblampp.zerog.errors import GraphError, OptionError
from kblampp.zerog.graph import TextGraph
from kblampp.zerog.metrics import Scores, scores
from kblampp.zerog.model import ModelConfig, encode_graph, encode_part, logits
from kblampp.zerog.sampling import Sampler, Subgraph, shuffled_batches

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Raises OptionError for impossible values."""

    training: Training = "lora"
    """'lora', or 'full' for every weight of an encoder."""
    num_epochs: int = 3
    learning_rate: float = 3e-4
    nodes_per_batch: int = 16
    """Targets of one step."""
    num_hops: int = 2
    """How far around them nodes are taken."""
    max_nodes: int = 64
    """Nodes of a step, targets included."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_epochs", "nodes_per_batch", "max_nodes"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise OptionError(f"learning_rate must be above 0, not {self.learning_rate}")
        if self.num_hops < 0:
            raise OptionError(f"num_hops must be at least 0, not {self.num_hops}")
        if self.nodes_per_batch > self.max_nodes:
            raise OptionError(
                f"max_nodes ({self.max_nodes}) has no room for nodes_per_batch ({self.nodes_per_batch})"
            )


def train(
    encoder: TextEncoder, graphs: Sequence[TextGraph], model: ModelConfig, config: TrainConfig, out: Path
) -> Record:
    """Trains, and keeps in `out` the state with the best validation macro F1, the earliest of equals.

    The state before the first step is among the candidates. Several graphs count with their mean.

    Raises:
        GraphError: a graph without nodes to train on or to choose by.
        CheckpointError: `out` is something else than a checkpoint.
        EncoderError: the encoder cannot be trained as asked.
    """
    _check(graphs)
    refuse_foreign(out)
    torch.manual_seed(config.seed)  # LoRA's matrices and dropout
    generator = torch.Generator().manual_seed(config.seed)
    trained = make_trainable(encoder, config.training)
    optimiser = torch.optim.AdamW(trained, lr=config.learning_rate)
    history = [_row(0, None, [validate(encoder, graph, model) for graph in graphs])]
    kept = _keep(encoder, graphs, model, config, history, out)
    logger.info("before training: %s", _told(history[0]))
    started = time.monotonic()
    for epoch in range(1, config.num_epochs + 1):
        loss = _epoch(encoder, graphs, model, config, optimiser, generator)
        history.append(_row(epoch, loss, [validate(encoder, graph, model) for graph in graphs]))
        is_best = history[-1]["val_macro_f1"] > max(row["val_macro_f1"] for row in history[:-1])
        if is_best:
            kept = _keep(encoder, graphs, model, config, history, out)
        left_s = (time.monotonic() - started) / epoch * (config.num_epochs - epoch)
        logger.info(
            "epoch %d/%d: %s%s, %.0f s left",
            epoch,
            config.num_epochs,
            _told(history[-1]),
            ", kept" if is_best else "",
            left_s,
        )
    kept = replace(kept, history=tuple(history))
    save_record(kept, out)
    return kept


def validate(encoder: TextEncoder, graph: TextGraph, model: ModelConfig) -> Scores:
    """The scores of a graph's validation nodes, all its nodes taking part in the aggregation."""
    nodes = graph.nodes("val")
    found = logits(encode_graph(encoder, graph), graph.edge_index, model)
    return scores(graph.y[nodes], found[nodes].argmax(dim=-1))


def step_loss(encoder: TextEncoder, graph: TextGraph, part: Subgraph, model: ModelConfig) -> Tensor:
    """The mean cross-entropy of all targets of a part ([]), with gradients."""
    found = logits(encode_part(encoder, graph, part.nodes), part.edge_index, model)
    targets = part.nodes[: part.num_targets]
    return functional.cross_entropy(found[: part.num_targets], graph.y[targets].to(found.device))


def _epoch(
    encoder: TextEncoder,
    graphs: Sequence[TextGraph],
    model: ModelConfig,
    config: TrainConfig,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> float:
    """One pass over the training nodes of all graphs, their batches mixed. Returns the mean loss a node."""
    samplers = [Sampler(graph.edge_index, graph.num_nodes) for graph in graphs]
    steps = [
        (number, batch)
        for number, graph in enumerate(graphs)
        for batch in shuffled_batches(graph.nodes("train"), config.nodes_per_batch, generator)
    ]
    total, num_nodes, told = 0.0, 0, time.monotonic()
    for done, place in enumerate(torch.randperm(len(steps), generator=generator).tolist()):
        number, batch = steps[place]
        part = samplers[number].sample(batch, config.num_hops, config.max_nodes, generator)
        encoder.model.train()  # encoding for validation has switched dropout off
        optimiser.zero_grad()
        loss = step_loss(encoder, graphs[number], part, model)
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(batch)
        num_nodes += len(batch)
        if time.monotonic() - told > 30:
            told = time.monotonic()
            logger.info("step %d/%d, loss %.3f", done + 1, len(steps), total / num_nodes)
    return total / num_nodes


def _check(graphs: Sequence[TextGraph]) -> None:
    for graph in graphs:
        for which in ("train", "val"):
            if not len(graph.nodes(which)):
                raise GraphError(f"{graph.source or graph.name}: {which}_mask is empty; training needs some")


def _row(epoch: int, loss: float | None, found: Sequence[Scores]) -> dict[str, Any]:
    def mean(name: str) -> float:
        return sum(getattr(one, name) for one in found) / len(found)

    return {"epoch": epoch, "loss": loss, "val_accuracy": mean("accuracy"), "val_macro_f1": mean("macro_f1")}


def _told(row: dict[str, Any]) -> str:
    loss = "" if row["loss"] is None else f"loss {row['loss']:.3f}, "
    return f"{loss}validation macro F1 {row['val_macro_f1']:.3f}, accuracy {row['val_accuracy']:.3f}"


def _keep(
    encoder: TextEncoder,
    graphs: Sequence[TextGraph],
    model: ModelConfig,
    config: TrainConfig,
    history: Sequence[dict[str, Any]],
    out: Path,
) -> Record:
    record = Record(
        encoder=encoder.config,
        model=model,
        training=config.training,
        epoch=history[-1]["epoch"],
        history=tuple(history),
        graphs={graph.name: graph.fingerprint() for graph in graphs},
        options=asdict(config),
    )
    save_checkpoint(encoder, record, out)
    return record
