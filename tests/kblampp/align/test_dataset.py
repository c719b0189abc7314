"""The grammar says the same in every template of a frame, and keeps the test's wordings to itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kblampp.align.dataset import (
    NUM_HARD_NEGATIVES,
    NUM_PARAPHRASES,
    build_dataset,
    build_distractors,
    of_split,
    read_dataset,
    unique_texts,
    write_dataset,
)
from kblampp.align.errors import DatasetError
from kblampp.align.frames import DOMAINS, NUM_TEMPLATES, Frame, fill, read_frames, read_slots, split_frames
from kblampp.align.paraphrasing import paraphrase
from tests.kblampp.align.conftest import Server


@pytest.mark.parametrize("frame", read_frames(), ids=lambda frame: f"{frame.domain}-{frame.name}")
def test_every_template_of_a_frame_has_the_same_slots_once_or_more(frame: Frame) -> None:
    slots = read_slots()
    assert len(frame.templates) == len(set(frame.templates)) == NUM_TEMPLATES
    assert len(frame.slots) >= 2
    for template in frame.templates:
        assert set(re.findall(r"\{(\w+)\}", template)) == set(frame.slots), template
        assert template.endswith((".", "?"))
    assert set(frame.slots) <= set(slots)


def test_slots_hold_different_values_and_the_domains_are_the_four() -> None:
    assert all(len(values) == len(set(values)) >= 8 for values in read_slots().values())
    assert (
        {frame.domain for frame in read_frames()} == set(DOMAINS) == {"crm", "schedule", "operations", "open"}
    )


def test_a_thousand_sentences_in_two_splits_without_a_common_template() -> None:
    sentences = build_dataset(1000, seed=0)
    train, test = of_split(sentences, "train"), of_split(sentences, "test")
    assert (len(train), len(test)) == (900, 100)
    for split in (train, test):
        assert {one.domain for one in split} == set(DOMAINS)
    assert not {(one.domain, one.frame) for one in train} & {(one.domain, one.frame) for one in test}
    assert not set(unique_texts(train)) & set(unique_texts(test))
    for one in sentences:
        assert len(set(one.texts)) == 1 + NUM_PARAPHRASES + NUM_HARD_NEGATIVES
    assert len({one.text for one in sentences}) == 1000


def test_a_hard_negative_changes_one_slot_of_the_sentence() -> None:
    slots, frames = read_slots(), {(frame.domain, frame.name): frame for frame in read_frames()}
    for one in build_dataset(60, seed=1):
        frame = frames[one.domain, one.frame]
        (template,) = [t for t in frame.templates if _values(t, one.text, slots)]
        values = _values(template, one.text, slots)
        for negative in one.hard_negatives:
            changed = _values(template, negative, slots)
            assert values is not None
            assert changed is not None
            assert sum(values[slot] != changed[slot] for slot in values) == 1


def _values(template: str, text: str, slots: dict[str, tuple[str, ...]]) -> dict[str, str] | None:
    """The slots' values in a text that a template may have made."""
    pattern, seen = "", set()
    for part in re.split(r"(\{\w+\})", template):
        name = part.strip("{}")
        if not part.startswith("{"):
            pattern += re.escape(part)
        elif name in seen:
            pattern += f"(?P={name})"
        else:
            seen.add(name)
            pattern += f"(?P<{name}>{'|'.join(map(re.escape, slots[name]))})"
    match = re.fullmatch(pattern, text, flags=re.IGNORECASE)
    return None if match is None else {name: value.lower() for name, value in match.groupdict().items()}


def test_the_seed_decides() -> None:
    assert build_dataset(50, seed=3) == build_dataset(50, seed=3) != build_dataset(50, seed=4)
    split = split_frames(read_frames(), 0)
    assert len(split["test"]) == 8
    assert len(split["train"]) == 24


def test_distractors_stand_nowhere_in_the_data_set() -> None:
    sentences = build_dataset(200)
    distractors = build_distractors(500, sentences)
    assert len(set(distractors)) == 500
    assert not set(distractors) & set(unique_texts(sentences))
    assert build_distractors(0, sentences) == []


def test_it_is_written_and_read_again(tmp_path: Path) -> None:
    sentences = build_dataset(20)
    write_dataset(tmp_path / "data" / "dataset.jsonl", sentences)
    assert read_dataset(tmp_path / "data" / "dataset.jsonl") == sentences
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["dataset.jsonl"]


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"text": "a"}', '{"split": "train", "paraphrases": 3}', "null"]
)
def test_a_line_that_is_no_sentence_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "dataset.jsonl"
    write_dataset(path, build_dataset(2))
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"dataset\.jsonl:3: no sentence"):
        read_dataset(path)


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="build-dataset"):
        read_dataset(tmp_path / "none.jsonl")
    with pytest.raises(DatasetError, match="no sentences of the split 'test'"):
        of_split([], "test")


def test_the_first_letter_is_large() -> None:
    assert fill("{animal} ran", {"animal": "the owl"}) == "The owl ran"


def test_a_language_model_writes_the_paraphrases_and_the_grammar_what_it_fails_at(server: Server) -> None:
    sentences = build_dataset(10)[:2]
    written = {"paraphrases": ["p1", "p2", "p3", "p4"], "hard_negatives": ["n1", "n2", "n3"]}
    server.chat = [f"Here it is: {json.dumps(written)}", "no", '{"paraphrases": ["p"]}', "{}"]
    first, second = paraphrase(sentences, f"{server.host}/v1", "any", key="k")
    assert first.paraphrases == ("p1", "p2", "p3", "p4")
    assert first.hard_negatives == ("n1", "n2", "n3")
    assert second == sentences[1]
    assert len(server.requests) == 4
    path, body, authorisation = server.requests[0]
    assert path == "/v1/chat/completions"
    assert sentences[0].text in body["messages"][0]["content"]
    assert authorisation == "Bearer k"
