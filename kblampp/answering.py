"""Questions in, answers out, with the facts that they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kblampp.answer_format import AnswerFormat
from kblampp.config import Config
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.loading import device_of, load_answer_format, load_model, load_retriever
from kblampp.query_tensors import QueryTensors, encode_queries
from kblampp.questions import REFUSAL
from kblampp.quintuples import Quintuple
from kblampp.retrieved import NO_ROW
from kblampp.retriever import Retriever
from kblampp.selector import Selection
from kblampp.time_window import TIMELESS, TimeWindow


@dataclass(frozen=True)
class Query:
    """A question as it is asked."""

    question: str
    time: TimeWindow = TIMELESS


@dataclass(frozen=True)
class Evidence:
    """A fact that was injected."""

    fact: Quintuple
    row: int
    alpha: float
    """Its share of the selector's weight; the shares of all facts and the refusal sum to 1."""
    way: tuple[int, ...] = ()
    """Rows of the facts over which it was found, from one about the named entity to itself."""


@dataclass(frozen=True)
class Answer:
    """What was said, and on which facts."""

    text: str
    evidence: tuple[Evidence, ...]
    """The K chosen facts, heaviest first."""
    refusal_alpha: float
    """Weight of the null fact, which says that nothing known answers the question."""
    betas: dict[int, float]
    """By layer: how far its gate was open when the answer's first token was chosen."""
    num_prompt_tokens: int
    num_answer_tokens: int

    @property
    def is_refusal(self) -> bool:
        """Whether it says that it does not know."""
        return self.text == REFUSAL


class QuestionAnswerer:
    """A model with injected facts, ready to be asked. `load_answerer` makes one.

    `retriever` may be replaced between two calls: the model is not loaded anew for another store.
    """

    def __init__(
        self,
        config: Config,
        model: KBInjectedModel,
        encoder: TextEncoder,
        answers: AnswerFormat,
        retriever: Retriever,
    ) -> None:
        self.config = config
        self.model = model
        self.encoder = encoder
        self.answers = answers
        self.retriever = retriever

    @property
    def device(self) -> str:
        """Where the model is."""
        return device_of(self.config)

    def encode(self, queries: Sequence[Query]) -> QueryTensors:
        """The questions as the selector reads them."""
        encoded = encode_queries(
            [query.question for query in queries],
            [query.time for query in queries],
            self.encoder,
            self.retriever.names,
            self.retriever.reader,
        )
        return encoded.to(self.device)

    @torch.no_grad()
    def select(
        self,
        queries: Sequence[Query],
        *,
        without: Sequence[Sequence[int]] | None = None,
        k: int | None = None,
    ) -> Selection:
        """The facts of each question; `without`: rows treated as if the store did not have them."""
        return self.retriever.select(
            self.model.selector, self.encode(queries), k or self.config.K_top, without=without
        )

    @torch.no_grad()
    def answer(
        self, queries: Sequence[Query], *, without: Sequence[Sequence[int]] | None = None
    ) -> list[Answer]:
        """Greedy answers, one batch."""
        selection = self.select(queries, without=without)
        prompts = [self.answers.prompt(query.question) for query in queries]
        with self.model.given(self.model.knowledge_of(selection)):
            made, betas = self._generate(prompts)
        return [self._answer(selection, number, made, betas) for number in range(len(queries))]

    @torch.no_grad()
    def complete(self, prompts: Sequence[str]) -> list[str]:
        """What the backbone alone says after prompts, greedily: for baselines."""
        with self.model.given(None):
            made, _ = self._generate(prompts)
        return [self.answers.text_of(ids) for ids in made["answers"]]

    @torch.no_grad()
    def log_probability(
        self,
        queries: Sequence[Query],
        texts: Sequence[str],
        *,
        without: Sequence[Sequence[int]] | None = None,
    ) -> list[float]:
        """The log-probability of each answer, its end token included, in nats."""
        knowledge = self.model.knowledge_of(self.select(queries, without=without))
        prompts = [self.answers.encode(self.answers.prompt(query.question)) for query in queries]
        answers = [[*self.answers.answer_ids(text), self.answers.end_id] for text in texts]
        batch = left_padded(
            [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)],
            self.answers.tokenizer.pad_token_id,
            self.device,
        )
        longest = max(len(answer) for answer in answers)
        logits = self.model(knowledge, **batch, logits_to_keep=longest + 1).logits
        scores = logits[:, :-1].float().log_softmax(-1)
        targets = batch["input_ids"][:, -longest:]
        picked = scores.gather(-1, targets[..., None]).squeeze(-1)
        return [float(picked[row, -len(answer) :].sum()) for row, answer in enumerate(answers)]

    def _generate(self, prompts: Sequence[str]) -> tuple[dict[str, Any], dict[int, list[float]]]:
        ids = [self.answers.encode(prompt) for prompt in prompts]
        tokenizer = self.answers.tokenizer
        batch = left_padded(ids, tokenizer.pad_token_id, self.device)
        first = _FirstGates(self.model)
        made = self.model.backbone.generate(
            **batch,
            max_new_tokens=self.config.max_new_tokens,
            do_sample=False,
            eos_token_id=[self.answers.end_id, tokenizer.eos_token_id],
            pad_token_id=tokenizer.pad_token_id,
            logits_processor=[first],
        )
        width = batch["input_ids"].shape[1]
        return {"answers": made[:, width:].tolist(), "num_prompt": [len(it) for it in ids]}, first.betas

    def _answer(
        self, selection: Selection, number: int, made: dict[str, Any], betas: dict[int, list[float]]
    ) -> Answer:
        alpha = selection.alpha[number]
        order = alpha[:-1].argsort(descending=True).tolist()
        rows = selection.facts.rows[number].tolist()
        ways = selection.ways[number].tolist()
        ids = made["answers"][number]
        end = ids.index(self.answers.end_id) if self.answers.end_id in ids else len(ids)
        return Answer(
            text=self.answers.text_of(ids),
            evidence=tuple(
                Evidence(
                    self.retriever.store.fact(rows[place]),
                    rows[place],
                    float(alpha[place]),
                    tuple(row for row in ways[place] if row != NO_ROW),
                )
                for place in order
                if alpha[place] > 0
            ),
            refusal_alpha=float(alpha[-1]),
            betas={layer: values[number] for layer, values in betas.items()},
            num_prompt_tokens=made["num_prompt"][number],
            num_answer_tokens=end,
        )


class _FirstGates:
    """Reads the gates when the first token is chosen; a logits processor that changes no logit."""

    def __init__(self, model: KBInjectedModel) -> None:
        self.model = model
        self.betas: dict[int, list[float]] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not self.betas:
            self.betas = {layer: done.beta[:, -1].tolist() for layer, done in self.model.injected.items()}
        return scores


def left_padded(ids: Sequence[Sequence[int]], pad_id: int, device: str) -> dict[str, Tensor]:
    """input_ids and attention_mask, int64 [B, T], every row ending at the right edge."""
    width = max(len(row) for row in ids)
    return {
        "input_ids": torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in ids], device=device),
        "attention_mask": torch.tensor(
            [[0] * (width - len(row)) + [1] * len(row) for row in ids], device=device
        ),
    }


def load_answerer(config: Config, checkpoint: Path | None = None) -> QuestionAnswerer:
    """Loads everything that a config names, with the trained modules of a checkpoint.

    Raises:
        KblamppError: something is missing, stale or cannot be; says what.
        EncoderError: the text encoder cannot be loaded.
    """
    answers = load_answer_format(config)
    encoder = load_encoder(config.encoder)
    retriever = load_retriever(config, encoder, answers)
    return QuestionAnswerer(config, load_model(config, answers, checkpoint), encoder, answers, retriever)
