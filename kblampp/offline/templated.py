"""Questions by templates about facts that bring none, with heads and phrasings held out."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kblampp.config import PipelineConfig
from kblampp.questions import REFUSAL, Question, QuestionType
from kblampp.quintuples import Quintuple

_HELD_OUT_SHARE = 0.2  # of the heads, for dev and for test each
_TRIES = 40  # for each question that is wanted
_QUESTIONS = {
    "train": (
        "What is the {r} of {h}?",
        "Which {r} does {h} have?",
        "Tell me the {r} of {h}.",
        "Do you know the {r} of {h}?",
    ),
    "held_out": ("{h} has what {r}?", "What do we know of {h} by way of {r}?"),
}
# Of relations such as 'directed by', which 'the ... of' does not suit.
_OPEN_ENDED = {
    "train": (
        "{h} is {r} what?",
        "What is {h} {r}?",
        "Tell me what {h} is {r}.",
        "Do you know what {h} is {r}?",
    ),
    "held_out": ("As to {h}, it is {r} what?", "What, would you say, is {h} {r}?"),
}
_ENDINGS = ("as", "at", "by", "for", "from", "in", "of", "on", "to", "with")
_Draft = tuple[QuestionType, str, str, tuple[str, ...]]


def label(relation: str) -> str:
    """A relation's identifier in words: 'capital of' for 'capital_of', 'capital' for 'country.capital'."""
    return " ".join(relation.split(".")[-1].replace("_", " ").split())


def sentence(relation: str, head: str, tail: str) -> str:
    """A sentence that states a fact whose source has none."""
    words = label(relation)
    if _is_open_ended(words):
        return f"{head} is {words} {tail}."
    return f"The {words.removeprefix('has ')} of {head} is {tail}."


def _is_open_ended(words: str) -> bool:
    return words.split()[-1] in _ENDINGS


@dataclass
class _Graph:
    """The facts by head, and which answer a question alone."""

    by_head: dict[str, list[Quintuple]]

    def alone(self, fact: Quintuple) -> bool:
        """No other fact has its head and relation, at any time."""
        return sum(other.relation == fact.relation for other in self.by_head[fact.head]) == 1


def questions_about(
    facts: Sequence[Quintuple], pipeline: PipelineConfig, dataset: str
) -> dict[str, list[Question]]:
    """Single-hop, 2-hop and unanswerable questions, as many as the config asks for and the facts give.

    Only facts that are alone with their head and relation are asked about. Train, dev and test have heads of
    their own; facts that support dev or test support no train question; dev and test have other phrasings.
    """
    by_head: dict[str, list[Quintuple]] = defaultdict(list)
    for fact in facts:
        by_head[fact.head].append(fact)
    heads = list(by_head)
    random.Random(f"heads:{pipeline.seed}").shuffle(heads)
    num_held_out = round(_HELD_OUT_SHARE * len(heads))
    own = {
        "test": heads[:num_held_out],
        "dev": heads[num_held_out : 2 * num_held_out],
        "train": heads[2 * num_held_out :],
    }
    numbers = {
        "test": pipeline.num_test_questions,
        "dev": pipeline.num_dev_questions,
        "train": pipeline.num_train_questions,
    }
    graph = _Graph(by_head)
    taken: set[str] = set()
    splits = {}
    for split, number in numbers.items():
        asker = _Asker(graph, split, own[split], frozenset(taken), random.Random(f"{split}:{pipeline.seed}"))
        drafts = asker.drafts(number, pipeline)
        taken.update(id_ for draft in drafts for id_ in draft[3])
        splits[split] = [_question(dataset, split, position, draft) for position, draft in enumerate(drafts)]
    return {split: splits[split] for split in ("train", "dev", "test")}


def _question(dataset: str, split: str, position: int, draft: _Draft) -> Question:
    kind, text, answer, supporting = draft
    return Question(
        qid=f"{dataset}-{split}-{position:06d}",
        dataset=dataset,
        question=text,
        answer=answer,
        type=kind,
        supporting_facts=supporting,
        tags=() if split == "train" else ("unseen-head", "unseen-phrasing"),
    )


@dataclass
class _Asker:
    graph: _Graph
    split: str
    heads: list[str]
    taken: frozenset[str]
    generator: random.Random

    def drafts(self, number: int, pipeline: PipelineConfig) -> list[_Draft]:
        """So many questions, or as many as there are."""
        if not self.heads:
            return []
        num_multi = round(number * pipeline.share_multi_hop_of(self.split))
        num_unanswerable = round(number * pipeline.share_unanswerable)
        kinds: tuple[tuple[int, Callable[[], _Draft | None]], ...] = (
            (num_multi, lambda: self._chain(2)),
            (num_unanswerable, self._unanswerable),
            (number - num_multi - num_unanswerable, lambda: self._chain(1)),
        )
        found: dict[str, _Draft] = {}
        for num, draw in kinds:
            size = len(found) + num
            for _ in range(_TRIES * num):
                if len(found) < size and (draft := draw()) is not None:
                    found.setdefault(draft[1], draft)
        drafts = list(found.values())
        self.generator.shuffle(drafts)
        return drafts

    def _filled(self, relation: str, head: str) -> str:
        words = label(relation)
        templates = _OPEN_ENDED if _is_open_ended(words) else _QUESTIONS
        template = self.generator.choice(templates["train" if self.split == "train" else "held_out"])
        text = template.format(r=words.removeprefix("has "), h=head)
        return text[0].upper() + text[1:]

    def _chain(self, num_hops: int) -> _Draft | None:
        chain: list[Quintuple] = []
        head = self.generator.choice(self.heads)
        met = {head}
        while len(chain) < num_hops:
            usable = [fact for fact in self.graph.by_head.get(head, ()) if self._is_usable(fact, met)]
            if not usable:
                return None
            chain.append(self.generator.choice(usable))
            head = chain[-1].tail
            met.add(head)
        named = chain[0].head
        for fact in chain[:-1]:
            words = label(fact.relation)
            is_open_ended = _is_open_ended(words)
            named = (
                f"what {named} is {words}"
                if is_open_ended
                else f"the {words.removeprefix('has ')} of {named}"
            )
        supporting = tuple(fact.id for fact in chain)
        kind: QuestionType = "single-hop" if num_hops == 1 else "multi-hop"
        return kind, self._filled(chain[-1].relation, named), chain[-1].tail, supporting

    def _is_usable(self, fact: Quintuple, met: set[str]) -> bool:
        is_own = self.split != "train" or fact.head in self._own
        return is_own and fact.id not in self.taken and fact.tail not in met and self.graph.alone(fact)

    def __post_init__(self) -> None:
        self._own = frozenset(self.heads)
        self._relations = sorted({fact.relation for head in self.heads for fact in self.graph.by_head[head]})

    def _unanswerable(self) -> _Draft | None:
        head, relation = self.generator.choice(self.heads), self.generator.choice(self._relations)
        if any(fact.relation == relation for fact in self.graph.by_head[head]):
            return None
        return "unanswerable", self._filled(relation, head), REFUSAL, ()
