"""Facts and questions from HotpotQA: ``python -m kblampp.offline.build_5tuple_from_hotpot --config FILE``.

HotpotQA has no triples: the facts come from the sentences of its paragraphs, by the extraction of
kblampp.offline.extraction. A question stays when its answer is the tail of a fact of a supporting sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tqdm import tqdm

from kblampp.command import run
from kblampp.errors import DataError
from kblampp.offline.extraction import Extractor
from kblampp.offline.sources import (
    FactBook,
    numbered,
    records,
    source_from_flags,
    source_parser,
    split,
    wanted,
    write_all,
)
from kblampp.questions import Question
from kblampp.quintuples import Quintuple

Place = tuple[str, int]
"""Article's title and the sentence's number in it."""
DATASET = "hotpot"
_MAX_WORDS_BEFORE = 6


@dataclass
class Sample:
    """A question with its paragraphs."""

    question: str
    answer: str
    support: list[Place]
    sentences: dict[Place, str]

    @classmethod
    def from_record(cls, where: str, record: dict[str, Any]) -> Sample:
        """Of the official fields. Raises DataError."""
        sentences = {}
        for item in wanted(where, record, "context", list):
            try:
                title, texts = item
                sentences.update({(str(title), number): str(text) for number, text in enumerate(texts)})
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{where}: a paragraph is [title, [sentence, ...]], not {item!r:.80}"
                ) from error
        try:
            support = [
                (title, int(number)) for title, number in wanted(where, record, "supporting_facts", list)
            ]
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: a supporting fact is [title, number of the sentence]") from error
        question, answer = (wanted(where, record, name, str) for name in ("question", "answer"))
        # Some official support points beyond its paragraph.
        return cls(
            question.strip(), answer.strip(), [place for place in support if place in sentences], sentences
        )


@dataclass
class Maker:
    """Facts by sentence, then questions."""

    book: FactBook = field(default_factory=FactBook)
    counts: Counter[str] = field(default_factory=Counter)
    _ids: dict[tuple[Place, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def extract(self, samples: Sequence[Sample]) -> None:
        """Takes in the facts of every sentence of every paragraph, each sentence once."""
        sentences = {(place, text) for sample in samples for place, text in sample.sentences.items()}
        ordered = sorted(sentences)
        found = Extractor().facts((place[0], text) for place, text in ordered)
        shown = tqdm(zip(ordered, found, strict=True), total=len(ordered), desc="sentences", unit="sentence")
        for (place, text), facts in shown:
            context = " ".join(text.split())
            source = f"{DATASET}:{place[0]}:{place[1]}"
            for fact in facts:
                id_ = self.book.add(fact.head, fact.relation, fact.tail, context, source=source)
                self._ids[place, text].append(id_)

    def question(self, sample: Sample) -> Question | None:
        """The question with its facts; None when its answer is not in a supporting sentence."""
        places = [place for place in sample.support if sample.answer in sample.sentences[place]]
        if sample.answer.lower() in ("yes", "no"):
            self.counts["yes or no"] += 1
            return None
        if not places:
            self.counts["answer in no supporting sentence"] += 1
            return None
        self.counts["answer in a supporting sentence"] += 1
        facts = [fact for place in places for fact in self._facts(sample, place)]
        gold = next((fact for fact in facts if fact.tail == sample.answer), None)
        if gold is not None:
            self.counts["answer extracted"] += 1
        else:
            if sample.answer == places[0][0]:
                self.counts["answer is the article itself"] += 1
                return None
            gold = self._stated(sample, places[0])
        bridge = self._bridge(sample, gold)
        supporting = (gold.id,) if bridge is None else (bridge.id, gold.id)
        return Question(
            qid="-",
            dataset=DATASET,
            question=sample.question,
            answer=sample.answer,
            type="single-hop" if bridge is None else "multi-hop",
            supporting_facts=supporting,
        )

    def _facts(self, sample: Sample, place: Place) -> list[Quintuple]:
        return [self.book.facts[int(id_[1:])] for id_ in self._ids[place, sample.sentences[place]]]

    def _stated(self, sample: Sample, place: Place) -> Quintuple:
        """A fact made for an answer that the extraction missed: the words before it are the relation."""
        context = " ".join(sample.sentences[place].split())
        before = context.split(" ".join(sample.answer.split()))[0].split()
        relation = " ".join(before[-_MAX_WORDS_BEFORE:]).strip(" ,;:(\"'") or "mentions"
        id_ = self.book.add(place[0], relation, sample.answer, context, source=f"{DATASET}:answer")
        return self.book.facts[int(id_[1:])]

    def _bridge(self, sample: Sample, gold: Quintuple) -> Quintuple | None:
        """A fact of another supporting article: one that leads to the gold fact's head, else its first."""
        others = [
            fact
            for place in sample.support
            if place[0] != gold.head
            for fact in self._facts(sample, place)
            if fact.id != gold.id and fact.head != gold.head
        ]
        leading = [fact for fact in others if fact.tail in gold.head or gold.head in fact.tail]
        return next(iter([*leading, *others]), None)


def build(arguments: argparse.Namespace) -> None:
    """Writes facts and questions. Raises KblamppError."""
    config, path, max_samples = source_from_flags(arguments)
    samples = [Sample.from_record(where, record) for where, record in islice(records(path), max_samples)]
    maker = Maker()
    maker.extract(samples)
    made = [question for sample in samples if (question := maker.question(sample)) is not None]
    write_all(config, maker.book.facts, split(numbered(made, DATASET), config.pipeline.seed))
    sys.stdout.write(f"{len(samples)} questions read, {len(made)} kept\n")
    for name, number in sorted(maker.counts.items()):
        sys.stdout.write(f"  {name}: {number}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = source_parser("build_5tuple_from_hotpot", "Make facts and questions from HotpotQA's JSON.")
    return run(parser, build, argv)


if __name__ == "__main__":
    sys.exit(main())
