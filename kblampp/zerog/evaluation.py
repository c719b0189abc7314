"""One table for a graph: the most frequent label, untrained encoders with and without edges, trained ones."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.zerog.checkpoints import Record, encoder_of, load_checkpoint, read_record
from kblampp.zerog.errors import CheckpointError, OptionError
from kblampp.zerog.graph import TextGraph
from kblampp.zerog.measuring import Measured
from kblampp.zerog.metrics import Scores, scores
from kblampp.zerog.model import ModelConfig, encode_graph, logits, text_only

logger = logging.getLogger(__name__)
NODES = ("all", "train", "val", "test")


@dataclass(frozen=True)
class EvalConfig:
    """What to evaluate."""

    encoders: tuple[EncoderConfig, ...]
    """Untrained ones."""
    checkpoints: tuple[Path, ...]
    """Folders that training wrote; each one's untrained encoder is evaluated as well."""
    machine: EncoderConfig
    """Device, cache and batch size for the encoders of checkpoints."""
    model: ModelConfig
    nodes: str = "all"
    """Which nodes are scored: 'train', 'val', 'test', or 'all' that have a label."""

    def __post_init__(self) -> None:
        if self.nodes not in NODES:
            raise OptionError(f"there are no nodes {self.nodes!r} to choose; there are {', '.join(NODES)}")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    system: str
    family: str
    """'encoder', 'decoder', or '-' where no text is read."""
    num_rounds: int
    scores: Scores
    seconds: float
    """Of encoding all texts and of classification, without loading the model."""
    peak_mib: float

    def as_values(self) -> dict[str, Any]:
        """Flat, for JSON."""
        values = asdict(self)
        return values | values.pop("scores")


def evaluate(graph: TextGraph, config: EvalConfig) -> Iterator[Row]:
    """The rows of the table, each as soon as it is known.

    Raises:
        CheckpointError: a folder holds no checkpoint, or one that was trained on nodes that would be scored.
        EncoderError: an encoder cannot be loaded.
        GraphError: no node would be scored.
    """
    records = [(folder, read_record(folder)) for folder in config.checkpoints]
    for folder, record in records:
        _refuse_seen(graph, config.nodes, folder, record)
    yield _majority(graph, config.nodes)
    untrained = [*config.encoders, *(encoder_of(record, config.machine) for _, record in records)]
    for encoder_config in dict.fromkeys(untrained):
        encoder = load_encoder(encoder_config)
        yield from _rows(f"untrained {_short(encoder_config)}", encoder, graph, config)
        _release(encoder)
        del encoder
        gc.collect()
    for folder, record in records:
        encoder = load_checkpoint(folder, config.machine)
        name = f"{folder.name} ({record.training}, epoch {record.epoch})"
        yield from _rows(name, encoder, graph, config)
        _release(encoder)
        del encoder
        gc.collect()


def _refuse_seen(graph: TextGraph, nodes: str, folder: Path, record: Record) -> None:
    if nodes in ("all", "train", "val") and graph.fingerprint() in record.graphs.values():
        raise CheckpointError(
            f"{folder} was trained on this graph ({graph.name}), and its {nodes} nodes would be scored; give "
            "--nodes test, or another graph"
        )


def _majority(graph: TextGraph, which: str) -> Row:
    """The label that most of the scored nodes have: more than a zero-shot system is told."""
    nodes = graph.nodes(which)
    with Measured() as measured:
        truth = graph.y[nodes]
        guess = truth.mode().values.expand_as(truth) if len(truth) else truth
        found = scores(truth, guess)
    return Row("most frequent label", "-", 0, found, measured.seconds, measured.peak_mib)


def _rows(name: str, encoder: TextEncoder, graph: TextGraph, config: EvalConfig) -> Iterator[Row]:
    nodes = graph.nodes(config.nodes)
    with Measured() as encoding:
        vectors = encode_graph(encoder, graph)
    models = dict.fromkeys([text_only(config.model), config.model])
    for model in models:
        with Measured() as classifying:
            predicted = logits(vectors, graph.edge_index, model).argmax(dim=-1)
        row = Row(
            f"{name}, text only" if model.num_rounds == 0 else name,
            encoder.family.kind,
            model.num_rounds,
            scores(graph.y[nodes], predicted[nodes]),
            encoding.seconds + classifying.seconds,
            max(encoding.peak_mib, classifying.peak_mib),
        )
        logger.info("%s, R = %d: macro F1 %.3f", row.system, row.num_rounds, row.scores.macro_f1)
        yield row


def _release(encoder: TextEncoder) -> None:
    encoder.close()
    if torch.cuda.is_available():
        encoder.model.to("cpu") if encoder.config.num_bits is None else None
        torch.cuda.empty_cache()


def _short(config: EncoderConfig) -> str:
    return Path(config.model).name


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    head = ("system", "family", "R", "accuracy", "micro F1", "macro F1", "seconds", "MiB")
    lines = [head]
    for row in rows:
        found = row.scores
        lines.append(
            (
                row.system,
                row.family,
                str(row.num_rounds),
                f"{found.accuracy:.3f}",
                f"{found.micro_f1:.3f}",
                f"{found.macro_f1:.3f}",
                f"{row.seconds:.1f}",
                f"{row.peak_mib:.0f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = (
        [line[0].ljust(widths[0]), line[1].ljust(widths[1]), *map(str.rjust, line[2:], widths[2:])]
        for line in lines
    )
    return "\n".join("  ".join(cells).rstrip() for cells in aligned) + "\n"
