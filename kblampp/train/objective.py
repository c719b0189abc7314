"""One training step's loss: retrieve, choose, inject, and weigh the losses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kblampp.config import Config
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.query_tensors import QueryTensors
from kblampp.retrieved import Retrieved
from kblampp.retriever import Retriever
from kblampp.selector import Selection
from kblampp.train import losses
from kblampp.train.alignment import align
from kblampp.train.batches import Batch
from kblampp.train.lower_layers import LowerLayers


@dataclass(frozen=True)
class Step:
    """The losses of a batch."""

    loss: Tensor
    parts: dict[str, float]
    """Each loss before its weight, and shares of what was right, for the log."""


class Objective:
    """The weighted sum of the losses.

    Args:
        config: weights, how many facts are chosen.
        retriever: the facts.
    """

    def __init__(self, config: Config, retriever: Retriever) -> None:
        self.lower: LowerLayers | None = None
        """Of the training questions, where kept; those of validation go through all layers."""
        self.config = config
        self.retriever = retriever
        self._generator = torch.Generator().manual_seed(config.train.seed)

    def __call__(self, model: KBInjectedModel, batch: Batch) -> Step:
        """The losses; the supporting facts are among the chosen whatever their scores."""
        query = self._noisy(batch.query) if model.training else batch.query
        found = self.retriever.retrieve(model.selector, query, must_have=batch.gold_rows)
        must_have = found.is_among(batch.gold_rows)
        selection: Selection = model.selector(query, found, self.config.K_top, must_have)
        logits = self._logits(model, batch, selection)
        target = losses.selector_target(found, batch.gold_rows, batch.is_unanswerable)
        parts = self._parts(model, batch, found, selection, target, logits)
        weights = self.config.losses
        loss = sum(getattr(weights, name) * part for name, part in parts.items())
        assert isinstance(loss, Tensor)
        shown = {name: float(part.detach()) for name, part in parts.items()}
        return Step(loss, shown | self._shares(batch, selection, target, logits))

    def _noisy(self, query: QueryTensors) -> QueryTensors:
        return replace(query, vectors=self._moved(query.vectors), masked=self._moved(query.masked))

    def _moved(self, vectors: Tensor) -> Tensor:
        noise = torch.randn(vectors.shape, generator=self._generator).to(vectors.device)
        moved = vectors + self.config.train.question_noise * nn.functional.normalize(noise, dim=-1)
        return nn.functional.normalize(moved, dim=-1)

    def _logits(self, model: KBInjectedModel, batch: Batch, selection: Selection) -> Tensor:
        """[B, A, V], at the places that choose the answers' tokens."""
        knowledge, num_kept = model.knowledge_of(selection), batch.targets.shape[1] + 1
        if self.lower is None or not model.training:
            done = model(knowledge, **batch.inputs, logits_to_keep=num_kept, use_cache=False)
        else:
            ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
            states, early = self.lower.states(batch.numbers, ids.shape[1])
            with self.lower.above():
                done = model.forward_from(
                    knowledge,
                    ids,
                    early,
                    states,
                    attention_mask=mask,
                    logits_to_keep=num_kept,
                    use_cache=False,
                )
        logits: Tensor = done.logits[:, :-1]
        return logits

    def _parts(
        self,
        model: KBInjectedModel,
        batch: Batch,
        found: Retrieved,
        selection: Selection,
        target: Tensor,
        logits: Tensor,
    ) -> dict[str, Tensor]:
        weights, selector = self.config.losses, model.selector
        temperature = selector.log_temperature
        parts = {"answer": losses.answer_loss(logits, batch.targets, batch.is_target)}
        if weights.selector:
            parts["selector"] = losses.selector_loss(selection.scores, target, temperature)
        if weights.attention:
            parts["attention"] = losses.attention_loss(model.injected, align(batch, selection))
        if weights.time:
            parts["time"] = losses.time_loss(selection.scores, found, target, batch.query.asked)
        if weights.path:
            log_alpha = (selection.scores / temperature.exp()).log_softmax(-1)
            corrupted = losses.corrupt_paths(target, found.is_real, self._generator)
            parts["path"] = losses.path_loss(log_alpha, target, corrupted)
        if weights.identity:
            maps = (selector.query_map, selector.path_map)
            parts["identity"] = torch.stack([it.distance_from_identity() for it in maps]).sum()
        return parts

    @staticmethod
    def _shares(batch: Batch, selection: Selection, target: Tensor, logits: Tensor) -> dict[str, float]:
        right = (logits.argmax(-1) == batch.targets) | ~batch.is_target
        teaches = target.sum(-1) > 0
        chosen = target.gather(1, selection.scores.argmax(-1, keepdim=True)).squeeze(1) > 0
        return {
            "token_accuracy": float((right & batch.is_target).sum() / batch.is_target.sum()),
            "exact": float(right.all(-1).float().mean()),
            "selector_accuracy": float(chosen[teaches].float().mean()) if teaches.any() else 0.0,
        }
