"""Which token of which fact each token of an answer is."""

from __future__ import annotations

from dataclasses import replace

import torch

from kblampp.answering import load_answerer
from kblampp.config import Config
from kblampp.questions import REFUSAL, Question
from kblampp.train.alignment import align, num_not_copied
from kblampp.train.batches import Collator, QuestionDataset

BORN = Question(
    "a", "tiny", "Where was Ada Brook born?", "Arden", "single-hop", (), ("ada-brook/birthplace",)
)
SAID = {
    "Arden": "Arden",
    "The birthplace is Arden.": "Arden",
    "Arden, of course": "Arden",
    "yes": "",
}


def test_a_tail_is_found_alone_inside_a_sentence_or_not_at_all(world: Config) -> None:
    answerer = load_answerer(world)
    asked = [replace(BORN, qid=said, answer=said, answers=(said,)) for said in SAID]
    asked.append(Question("e", "tiny", "What is the shoe size of Ada Brook?", REFUSAL, "unanswerable"))
    retriever, answers = answerer.retriever, answerer.answers
    data = QuestionDataset(
        asked,
        retriever.store,
        retriever.names,
        retriever.reader,
        answerer.encoder,
        answers,
        128,
        show_progress=False,
    )
    batch = Collator(answers.tokenizer.pad_token_id, "cpu")(data.examples)["batch"]
    found = retriever.retrieve(answerer.model.selector, batch.query, must_have=batch.gold_rows)
    must_have = found.is_among(batch.gold_rows)
    selection = answerer.model.selector(batch.query, found, world.K_top, must_have)
    alignment = align(batch, selection)
    tail = retriever.store.row_of["ada-brook/birthplace"]
    for number, (said, copied) in enumerate(SAID.items()):
        tokens = batch.targets[number][alignment.is_copied[number]].tolist()
        ended = [answers.end_id] if said == copied else []
        assert tokens == ([*answers.answer_ids(copied), *ended] if copied else [])
        assert alignment.slots[number][alignment.is_copied[number]].tolist() == list(range(len(tokens)))
        place = int(alignment.place[number])
        assert (selection.facts.rows[number, place] == tail) if copied else place == -1
    assert int(alignment.place[-1]) == selection.facts.rows.shape[1]
    assert torch.equal(alignment.is_copied[-1], batch.is_target[-1])
    assert num_not_copied(data.examples, retriever.store) == 1  # "yes"
