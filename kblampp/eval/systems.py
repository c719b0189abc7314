"""What is compared: injected facts, and the same backbone with facts in its prompt or with none."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import bm25s
import numpy as np

from kblampp.answering import Query, QuestionAnswerer
from kblampp.eval.metrics import Judged, judge
from kblampp.kb_store import KBStore
from kblampp.questions import Question
from kblampp.quintuples import Quintuple

NUM_IN_PROMPT = 5
NUM_DEMONSTRATIONS = 3
FindFacts = Callable[[Sequence[Question]], list[list[Quintuple]]]


def in_words(fact: Quintuple) -> str:
    """A fact as a line of a prompt: its sentence, or a plain one where the source has none."""
    return fact.context or f"The {fact.relation} of {fact.head} is {fact.tail}."


def injection(answerer: QuestionAnswerer, questions: Sequence[Question]) -> list[Judged]:
    """Facts as vectors, nothing in the prompt."""
    answers = answerer.answer([Query(it.question, it.question_time) for it in questions])
    return [
        judge(question, answer.text, 0, [it.fact.id for it in answer.evidence], answer.refusal_alpha)
        for question, answer in zip(questions, answers, strict=True)
    ]


class InPrompt:
    """The plain backbone with facts in words before the question, after demonstrations of the same form.

    Args:
        answerer: whose backbone is asked.
        find: the facts of questions; None puts none in (closed book).
        examples: training questions that demonstrations are drawn from, one of them unanswerable if there is.
        seed: of the draw.
    """

    def __init__(
        self, answerer: QuestionAnswerer, find: FindFacts | None, examples: Sequence[Question], seed: int = 0
    ) -> None:
        self.answerer = answerer
        self.find = find
        generator = random.Random(seed)
        answerable = [it for it in examples if it.type == "single-hop"]
        refused = [it for it in examples if it.type == "unanswerable"]
        chosen = generator.sample(answerable, min(NUM_DEMONSTRATIONS - bool(refused), len(answerable)))
        chosen += generator.sample(refused, min(1, len(refused)))
        generator.shuffle(chosen)
        self._demonstrations = [
            answerer.answers.demonstration(it.question, it.answer, information)
            for it, information in zip(chosen, self._information(chosen)[1], strict=True)
        ]

    def __call__(self, questions: Sequence[Question]) -> list[Judged]:
        """Asks them, one batch."""
        answers = self.answerer.answers
        facts, information = self._information(questions)
        prompts = [
            answers.prompt(it.question, information=told, demonstrations=self._demonstrations)
            for it, told in zip(questions, information, strict=True)
        ]
        texts = self.answerer.complete(prompts)
        return [
            judge(
                question,
                text,
                len(answers.encode(prompt)) - len(answers.encode(answers.prompt(question.question))),
                [fact.id for fact in found] if self.find is not None else None,
            )
            for question, text, prompt, found in zip(questions, texts, prompts, facts, strict=True)
        ]

    def _information(self, questions: Sequence[Question]) -> tuple[list[list[Quintuple]], list[str]]:
        if self.find is None:
            return [[] for _ in questions], ["" for _ in questions]
        found = self.find(questions)
        return found, ["\n".join(in_words(fact) for fact in facts) for facts in found]


def gold_facts(store: KBStore) -> FindFacts:
    """The supporting facts themselves: the ceiling of what can be found."""

    def find(questions: Sequence[Question]) -> list[list[Quintuple]]:
        return [[store.fact(store.row_of[fact]) for fact in it.supporting_facts] for it in questions]

    return find


def dense(answerer: QuestionAnswerer) -> FindFacts:
    """The nearest keys of the same encoder, untrained."""
    retriever = answerer.retriever

    def find(questions: Sequence[Question]) -> list[list[Quintuple]]:
        vectors = answerer.encoder.encode([it.question for it in questions], as_queries=True, normalise=True)
        _, rows = retriever.index.search(vectors, NUM_IN_PROMPT)
        return [[retriever.store.fact(row) for row in found] for found in rows.tolist()]

    return find


def lexical(store: KBStore) -> FindFacts:
    """BM25 over the facts in words."""
    index = bm25s.BM25()
    texts = [in_words(store.fact(row)) for row in range(len(store))]
    index.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)

    def find(questions: Sequence[Question]) -> list[list[Quintuple]]:
        asked = bm25s.tokenize([it.question for it in questions], show_progress=False)
        rows = index.retrieve(asked, k=min(NUM_IN_PROMPT, len(store)), show_progress=False)[0]
        return [[store.fact(int(row)) for row in found] for found in np.asarray(rows)]

    return find
