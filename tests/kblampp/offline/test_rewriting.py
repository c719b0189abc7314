"""Sentences by an endpoint: what is kept, what is refused, and how a second run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kblampp.offline.gen_synth_qa import main as make_questions
from kblampp.offline.gen_synth_world import main as make_world
from tests.kblampp.offline.conftest import Endpoint, Place

SIZES = ("pipeline.num_facts=200", "pipeline.num_train_questions=20", "pipeline.num_dev_questions=8")
SIZES = (*SIZES, "pipeline.num_test_questions=8")


def flags(endpoint: Endpoint) -> tuple[str, ...]:
    return ("--llm-base-url", endpoint.url, "--llm-model", "writer")


def test_sentences_are_reworded_and_names_stay(
    place: Place, endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    key.write_text("abc\n", encoding="utf-8")
    arguments = place.arguments(*SIZES, *flags(endpoint), "--llm-api-key-file", str(key))
    assert make_world(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "200 sentences reworded, 0 refused"
    assert all(fact.context.startswith("Well, ") for fact in place.facts())
    body, authorization = endpoint.requests[0]
    assert authorization == "Bearer abc"
    assert body["model"] == "writer"


def test_a_wording_that_lost_a_name_is_refused(
    place: Place, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.write = lambda text: "Somebody did something."
    assert make_world(place.arguments(*SIZES, *flags(endpoint))) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 sentences reworded, 200 refused"
    assert all(fact.head in fact.context for fact in place.facts())


def test_a_run_that_broke_off_goes_on(
    place: Place, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.status = lambda number: 503 if number > 50 else 200
    arguments = place.arguments(*SIZES, *flags(endpoint))
    assert make_world(arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    cache = place.folder / "facts_rewrites.jsonl"
    assert line == (
        f"error [endpoint_error]: {endpoint.url}/chat/completions refused model 'writer' with status 503; "
        f"50 texts are kept in {cache}, the same command goes on"
    )
    assert not place.facts_path.exists()
    endpoint.status = lambda number: 200
    endpoint.requests.clear()
    assert make_world(arguments) == 0
    assert len(endpoint.requests) == 150
    assert len(place.facts()) == 200


def test_questions_are_reworded_unless_the_answer_slips_in(
    place: Place, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_world(place.arguments(*SIZES)) == 0
    assert make_questions(place.arguments(*SIZES)) == 0
    before = {one.qid: one for split in place.questions().values() for one in split}
    giving_away = next(one for one in before.values() if one.type == "single-hop")

    def write(text: str) -> str:
        return f"{giving_away.answer}, or: {text}" if text == giving_away.question else f"Pray, {text}"

    endpoint.write = write
    capsys.readouterr()
    assert make_questions(place.arguments(*SIZES, *flags(endpoint))) == 0
    for split in place.questions().values():
        for one in split:
            is_kept = one.qid == giving_away.qid or one.type == "unanswerable"
            assert one.question == ("" if is_kept else "Pray, ") + before[one.qid].question
            assert one.answer == before[one.qid].answer


def test_an_endpoint_that_nobody_serves_is_one_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--llm-base-url", "http://127.0.0.1:9/v1", "--llm-model", "writer")
    assert make_world(place.arguments(*SIZES, *flags)) == 2
    assert "http://127.0.0.1:9/v1/chat/completions does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--llm-base-url", "http://127.0.0.1:9/v1"), "an endpoint needs a model"),
        (
            ("--llm-base-url", "http://h", "--llm-model", "m", "--llm-api-key-file", "/no/key"),
            "the key cannot be read",
        ),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    place: Place, flags: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_world(place.arguments(*SIZES, *flags)) == 2
    assert words in capsys.readouterr().err


def test_a_broken_file_of_rewrites_is_named_with_its_line(
    place: Place, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = place.folder / "facts_rewrites.jsonl"
    cache.write_text(json.dumps({"model": "m", "text": "A.", "written": "B."}) + "\n{\n", encoding="utf-8")
    assert make_world(place.arguments(*SIZES, *flags(endpoint))) == 2
    assert f"{cache}:2: not JSON" in capsys.readouterr().err
