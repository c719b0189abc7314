"""Questions about a synthetic world, split so that neither heads nor facts nor phrasings are shared.

Train has its own heads, dev and test have theirs; no fact that supports a question of dev or test supports
one of train; and each side has its own templates. Two relations are asked about in dev and test alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from kblampp.config import PipelineConfig
from kblampp.offline.grammar import UNSEEN_RELATIONS, Relation, Wording, filled, without_time
from kblampp.offline.synth_index import Edge, WorldIndex
from kblampp.offline.synth_world import LAST_YEAR, RELATIONS
from kblampp.questions import REFUSAL, Question, QuestionType
from kblampp.quintuples import statement_of
from kblampp.time_window import TIMELESS, TimeWindow

DATASET = "synth_world"
_TIMES = {
    "train": ("in {y}", "during {y}", "in the year {y}", "from {y} to {z}", "between {y} and {z}"),
    "held_out": ("back in {y}", "over the course of {y}", "in the years {y} to {z}"),
}
_SHARE_THREE_HOPS = 0.4  # of the multi-hop questions
_UNSEEN_WEIGHT = 3  # unseen relations come that much more often in dev and test, to be measurable
_TRIES = 60  # for each question that is wanted
Draft = tuple[str, str, tuple[Edge, ...], TimeWindow, Relation]
"""Question, answer, supporting facts, time, and the relation that is asked for."""


@dataclass
class Maker:
    """Makes the questions of one split after the other; what one takes is not there for the next."""

    index: WorldIndex
    pipeline: PipelineConfig
    reword: Callable[[str, list[str]], str] | None = None
    """Rewords a question and keeps the texts of the list."""
    _taken: set[str] = field(default_factory=set)
    _texts: set[str] = field(default_factory=set)

    def splits(self) -> dict[str, list[Question]]:
        """Train, dev and test."""
        made = {split: self._questions(split) for split in ("test", "dev", "train")}
        return {split: made[split] for split in ("train", "dev", "test")}

    def num_wanted(self, split: str) -> int:
        """How many questions the config asks for."""
        return {
            "train": self.pipeline.num_train_questions,
            "dev": self.pipeline.num_dev_questions,
            "test": self.pipeline.num_test_questions,
        }[split]

    def _questions(self, split: str) -> list[Question]:
        generator = random.Random(f"{split}:{self.pipeline.seed}")
        asker = _Asker(self.index, split, generator, frozenset(self._taken))
        num = self.num_wanted(split)
        num_multi = round(num * self.pipeline.share_multi_hop_of(split))
        num_three = round(num_multi * _SHARE_THREE_HOPS)
        num_temporal = round(num * self.pipeline.share_temporal)
        num_unanswerable = round(num * self.pipeline.share_unanswerable)
        wanted: tuple[tuple[QuestionType, int, Callable[[], Draft | None]], ...] = (
            ("multi-hop", num_three, lambda: asker.multi_hop(3)),
            ("multi-hop", num_multi - num_three, lambda: asker.multi_hop(2)),
            ("temporal", num_temporal, asker.temporal),
            ("unanswerable", num_unanswerable, asker.unanswerable),
            ("single-hop", num - num_multi - num_temporal - num_unanswerable, asker.single_hop),
        )
        drafts = []
        for kind, number, draw in wanted:
            drafts += [(kind, draft) for draft in self._drawn(number, draw)]
        generator.shuffle(drafts)
        # What one held-out split uses, neither the other nor train may use.
        self._taken.update(edge.id for _, draft in drafts for edge in draft[2])
        return [self._question(split, number, kind, draft) for number, (kind, draft) in enumerate(drafts)]

    def _drawn(self, number: int, draw: Callable[[], Draft | None]) -> list[Draft]:
        drafts: list[Draft] = []
        for _ in range(_TRIES * number):
            if len(drafts) == number:
                break
            draft = draw()
            if draft is not None and draft[0] not in self._texts:
                self._texts.add(draft[0])
                drafts.append(draft)
        return drafts

    def _question(self, split: str, number: int, kind: QuestionType, draft: Draft) -> Question:
        text, answer, edges, time, relation = draft
        tags = () if split == "train" else ("unseen-head", "unseen-phrasing")
        if not UNSEEN_RELATIONS.isdisjoint({relation.name, *(edge.relation.name for edge in edges)}):
            tags = (*tags, "unseen-relation")
        if self.reword is not None and edges:
            years = [str(side.year) for side in (time.start, time.end) if side]
            reworded = self.reword(text, [edges[0].head, *dict.fromkeys(years)])
            # A wording that gives the answer away, or that another question has, is not used.
            text = text if answer in reworded or reworded in self._texts else reworded
            self._texts.add(text)
        if edges and self.pipeline.answer_form == "sentence":
            answer = statement_of(relation.name, answer)
        return Question(
            qid=f"{DATASET}-{split}-{number:06d}",
            dataset=DATASET,
            question=text,
            answer=answer,
            type=kind,
            supporting_facts=tuple(edge.id for edge in edges),
            question_time=time,
            tags=tags,
        )


class _Asker:
    """Draws one question of a split; None when what was drawn does not make one."""

    def __init__(
        self, index: WorldIndex, split: str, generator: random.Random, taken: frozenset[str]
    ) -> None:
        self._index = index
        self._split = split
        self._generator = generator
        self._taken = taken
        self._is_train = split == "train"
        relations = [
            relation
            for relation in RELATIONS.values()
            if index.by_relation[split, relation.name]
            and not (self._is_train and relation.name in UNSEEN_RELATIONS)
        ]
        self._relations = relations + [
            relation for relation in relations if relation.name in UNSEEN_RELATIONS
        ] * (_UNSEEN_WEIGHT - 1)

    def _wording(self, relation: Relation) -> Wording:
        return relation.train if self._is_train else relation.held_out

    def _times(self) -> tuple[str, ...]:
        return _TIMES["train" if self._is_train else "held_out"]

    def _edge(self, relations: list[Relation]) -> Edge | None:
        if not relations:
            return None
        relation = self._generator.choice(relations)
        edge = self._generator.choice(self._index.by_relation[self._split, relation.name])
        return None if edge.id in self._taken else edge

    def single_hop(self) -> Draft | None:
        """A fact whose head has no other value of the relation."""
        edge = self._edge(self._relations)
        if edge is None or not self._index.is_functional(edge):
            return None
        text = filled(without_time(self._drawn_template(edge.relation)), {"h": edge.head})
        return text, edge.tail, (edge,), TIMELESS, edge.relation

    def _drawn_template(self, relation: Relation) -> str:
        return self._generator.choice(self._wording(relation).questions)

    def multi_hop(self, num_hops: int) -> Draft | None:
        """A chain of facts, each the only one of its head and relation, that meets no entity twice."""
        first = self._edge([relation for relation in self._relations if relation.leads_on])
        if first is None or not self._index.is_functional(first):
            return None
        edges = [first]
        while len(edges) < num_hops:
            is_last = len(edges) == num_hops - 1
            following = [
                edge
                for edge in self._index.edges_of(edges[-1].tail)
                if self._may_follow(edge, edges) and (is_last or edge.relation.leads_on)
            ]
            if not following:
                return None
            edges.append(self._generator.choice(following))
        met = [first.head, *(edge.tail for edge in edges)]
        if len(set(met)) < len(met):
            return None
        named = first.head
        for edge in edges[:-1]:
            named = self._generator.choice(self._wording(edge.relation).phrases).format(h=named)
        text = filled(without_time(self._drawn_template(edges[-1].relation)), {"h": named})
        return text, edges[-1].tail, tuple(edges), TIMELESS, edges[-1].relation

    def _may_follow(self, edge: Edge, chain: list[Edge]) -> bool:
        if edge.id in self._taken or not self._index.is_functional(edge):
            return False
        if any(edge.relation is passed.relation for passed in chain):
            return False
        # A head of train questions is never the first head of a dev or test question, and the reverse.
        is_train_only = (
            self._index.split_of[edge.head] == "train" and edge.relation.name not in UNSEEN_RELATIONS
        )
        return is_train_only or not self._is_train

    def temporal(self) -> Draft | None:
        """A fact among several of one head and relation, which the words of time tell apart."""
        edge = self._edge([relation for relation in self._relations if relation.is_temporal])
        if edge is None or self._index.is_functional(edge):
            return None
        window = edge.window
        if window.start is None:
            return None
        last = window.end.year if window.end else LAST_YEAR
        words, time = self._asked_time(window.start.year, max(window.start.year, last))
        others = [other for other in self._index.edges_of(edge.head, edge.relation) if other is not edge]
        if not window.overlaps(time) or any(other.window.overlaps(time) for other in others):
            return None
        text = filled(self._drawn_template(edge.relation), {"h": edge.head, "w": words})
        return text, edge.tail, (edge,), time, edge.relation

    def _asked_time(self, first: int, last: int) -> tuple[str, TimeWindow]:
        start = self._generator.randint(first, last)
        template = self._generator.choice(self._times())
        is_span = "{z}" in template
        end = self._generator.randint(start, min(last, start + 5)) if is_span else start
        if is_span and end == start:
            template, end = self._times()[0], start
        return template.format(y=start, z=end), TimeWindow(date(start, 1, 1), date(end, 12, 31))

    def unanswerable(self) -> Draft | None:
        """A head without the relation, or a name that nobody in the world has."""
        seen = [relation for relation in self._relations if relation.name not in UNSEEN_RELATIONS]
        relation = self._generator.choice(seen)
        heads = self._index.heads[self._split, relation.head_kind]
        if not heads:
            return None
        if self._generator.random() < 0.5:
            # Most heads have most relations: without more tries nearly all names would be nobody's.
            drawn = (self._generator.choice(heads) for _ in range(_TRIES))
            lacking = next((head for head in drawn if self._index.lacks(head, relation)), None)
            if lacking is None:
                return None
            head = lacking
        else:
            head = _mixed(self._generator.choice(heads), self._generator.choice(heads))
            if head in self._index.names:
                return None
        template, time = self._drawn_template(relation), TIMELESS
        slots = {"h": head}
        if relation.is_temporal and self._generator.random() < 0.5:
            # Otherwise words of time would give away that there is an answer.
            slots["w"], time = self._asked_time(1955, LAST_YEAR)
        else:
            template = without_time(template)
        return filled(template, slots), REFUSAL, (), time, relation


def _mixed(one: str, other: str) -> str:
    """The first word of one name with the last of another, or halves of names of one word."""
    if " " in one and " " in other:
        return f"{one.split()[0]} {other.split()[-1]}"
    return one[: len(one) // 2] + other[len(other) // 2 :]
