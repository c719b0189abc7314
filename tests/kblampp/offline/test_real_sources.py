"""The makers on files in the published layouts, written here by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kblampp.offline.build_5tuple_from_hotpot import main as hotpot
from kblampp.offline.build_5tuple_from_kg import main as kg
from kblampp.offline.build_5tuple_from_timeqa import main as timeqa
from kblampp.offline.build_5tuple_from_timeqa import sentence_around
from kblampp.offline.build_5tuple_from_trex import main as trex
from kblampp.questions import REFUSAL, Question
from kblampp.time_window import TimeWindow
from tests.kblampp.offline.conftest import Place

Main = Callable[[Sequence[str]], int]
TEXT = "Bo Ek was born in Ulm . Her home was Fort Ada , from 1901 . Later she left . The end ."


def lines(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def asked(place: Place) -> list[Question]:
    return sorted((one for split in place.questions().values() for one in split), key=lambda one: one.qid)


def timeqa_file(folder: Path) -> Path:
    (folder / "relations.json").write_text(json.dumps({"P551": {"meaning": "residence", "template": []}}))
    questions: list[Any] = [
        [f"Where did Bo Ek live in {year}?", [{"para": 0, "from": 37, "end": 45, "answer": "Fort Ada"}]]
        for year in range(1901, 1920)
    ]
    questions.append(["Where did Bo Ek live after 1950?", [{"para": 0, "from": 0, "end": 0, "answer": ""}]])
    path = folder / "timeqa.json"
    path.write_text(json.dumps([{"index": "/wiki/Bo_Ek#P551", "questions": questions, "paras": [TEXT]}]))
    return path


def test_the_sentence_around_a_place_ends_with_its_full_stop() -> None:
    assert sentence_around(TEXT, TEXT.index("Fort")) == "Her home was Fort Ada , from 1901 ."
    assert sentence_around(TEXT, 0) == "Bo Ek was born in Ulm ."
    assert sentence_around(TEXT, TEXT.index("end")) == "The end ."


def test_timeqa_gives_facts_with_their_time(place: Place, tmp_path: Path) -> None:
    assert timeqa(place.arguments("--input", str(timeqa_file(tmp_path)))) == 0
    facts, questions = place.facts(), asked(place)
    assert len(facts) == 19
    assert (facts[0].head, facts[0].relation, facts[0].tail) == ("Bo Ek", "residence", "Fort Ada")
    assert facts[0].context == "Her home was Fort Ada , from 1901 ."
    assert facts[0].time_window == TimeWindow.from_json(["1901-01-01", "1901-12-31"])
    assert questions[0].type == "temporal"
    assert questions[0].question_time == facts[0].time_window
    assert questions[0].supporting_facts == (facts[0].id,)
    assert (questions[-1].type, questions[-1].answer) == ("unanswerable", REFUSAL)
    assert questions[-1].question_time == TimeWindow.from_json(["1951-01-01", None])


def test_timeqa_reads_the_derived_lines_gzipped(place: Place, tmp_path: Path) -> None:
    timeqa_file(tmp_path)
    start = TEXT.index("Fort")
    records = [
        {
            "idx": f"/wiki/Bo_Ek#P551#{number}",
            "question": f"Where did Bo Ek live before Mar {1911 + number}?",
            "context": TEXT,
            "targets": ["Fort Ada"],
            "from": [start],
            "end": [start + 8],
            "paragraphs": [],
        }
        for number in range(10)
    ]
    path = tmp_path / "easy.json.gzip"
    path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))
    assert timeqa(place.arguments("--input", str(path))) == 0
    assert asked(place)[0].question_time == TimeWindow.from_json([None, "1911-02-28"])
    assert place.facts()[0].context == "Her home was Fort Ada , from 1901 ."


def test_stamped_facts_are_added(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamped = tmp_path / "tkg.txt"
    ending = '"^^xsd:dateTime'
    rows = [
        f'Buck_Privates\tnominated_for\tPrize\t"1942-02-06T00:00:00Z{ending}',
        f'Buck_Privates\tmade_in\tUlm\t"1941-01-01T00:00:00Z{ending}',
        f'Rome\tfounded_by\tRomulus\t"-0753-01-01T00:00:00Z{ending}',
    ]
    stamped.write_text("\n".join(rows) + "\n", encoding="utf-8")
    source = str(timeqa_file(tmp_path))
    assert timeqa(place.arguments("--input", source, "--facts", str(stamped))) == 0
    one, other = place.facts()[-2:]
    assert (one.head, one.relation, one.tail) == ("Buck Privates", "nominated for", "Prize")
    assert one.time_window.to_json() == ["1942-02-06", "1942-02-06"]
    assert other.time_window.to_json() == ["1941-01-01", "1941-12-31"]
    assert "2 facts, 1 left out for years before 1" in capsys.readouterr().out
    stamped.write_text("Rome\tfounded\n", encoding="utf-8")
    assert timeqa(place.arguments("--input", source, "--facts", str(stamped))) == 2
    assert f"{stamped}:1: not head, relation, tail" in capsys.readouterr().err


def trex_document(number: int) -> dict[str, Any]:
    text = f"Town{number} lies in Land{number % 4}. It is small."
    end = text.index(".") + 1

    def mention(form: str) -> dict[str, Any]:
        start = text.index(form)
        uri = f"http://www.wikidata.org/entity/{form}"
        return {"surfaceform": form, "uri": uri, "boundaries": [start, start + len(form)]}

    predicate = {"uri": "http://www.wikidata.org/prop/direct/P17", "surfaceform": None, "boundaries": None}
    triple = {
        "subject": mention(f"Town{number}"),
        "predicate": predicate,
        "object": mention(f"Land{number % 4}"),
        "sentence_id": 0,
        "dependency_path": None,
        "annotator": "NoSubject-Triple-aligner",
    }
    bounds = [[0, end], [end + 1, len(text)]]
    return {
        "docid": f"http://www.wikidata.org/entity/Q{number}",
        "title": f"Town{number}",
        "uri": f"http://www.wikidata.org/entity/Q{number}",
        "text": text,
        "sentences_boundaries": bounds,
        "words_boundaries": [],
        "entities": [],
        "triples": [triple],
    }


def test_trex_gives_facts_with_their_sentences(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "trex"
    folder.mkdir()
    (folder / "part.json").write_text(json.dumps([trex_document(number) for number in range(30)]))
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"P17": {"meaning": "country"}}))
    arguments = place.arguments("--input", str(folder), "--relations", str(names))
    assert trex(arguments) == 0
    facts = place.facts()
    assert (facts[5].head, facts[5].relation, facts[5].tail) == ("Town5", "country", "Land1")
    assert facts[5].context == "Town5 lies in Land1."
    splits = place.questions()
    heads = {facts[int(one.supporting_facts[0][1:])].head for one in splits["train"]}
    held_out = {facts[int(one.supporting_facts[0][1:])].head for one in splits["test"] + splits["dev"]}
    assert len(heads) == 18 and len(held_out) == 12 and not heads & held_out
    first = place.bytes()
    assert trex(arguments) == 0
    assert place.bytes() == first
    assert trex([*arguments, "--max_samples", "20"]) == 0
    assert len(place.facts()) == 20


def kg_folder(folder: Path) -> Path:
    folder.mkdir()
    names = [f"t:{number}\tTown{number}" for number in range(20)] + ["l:0\tLand0", "l:1\tLand1"]
    names += ["x:1\tSame", "x:2\tSame"]
    triples = [f"t:{number}\tcapital_of\tl:{number % 2}" for number in range(20)]
    triples += ["l:0\tcurrency\tcrown", "l:1\tcurrency\tmark", "x:1\tlies_in\tl:0", "x:2\tlies_in\tl:1"]
    (folder / "names.tsv").write_text("\n".join(names) + "\n", encoding="utf-8")
    (folder / "triples.tsv").write_text("\n".join(triples) + "\n", encoding="utf-8")
    return folder


def test_a_kg_gives_facts_by_name_and_chains(place: Place, tmp_path: Path) -> None:
    folder = kg_folder(tmp_path / "kg")
    assert kg(place.arguments("--input", str(folder))) == 0
    facts = {fact.id: fact for fact in place.facts()}
    first = facts["f000000"]
    assert (first.head, first.relation, first.tail) == ("Town0", "capital of", "Land0")
    assert first.context == "Town0 is capital of Land0."
    assert (
        next(fact for fact in facts.values() if fact.tail == "crown").context
        == "The currency of Land0 is crown."
    )
    assert {fact.head for fact in facts.values()} >= {"Same [x:1]", "Same [x:2]"}
    splits = place.questions()
    chains = [one for one in splits["test"] if one.type == "multi-hop"]
    assert chains
    for one in chains:
        hops = [facts[id_] for id_ in one.supporting_facts]
        assert hops[0].tail == hops[1].head and hops[1].tail == one.answer
    used = {name: {id_ for one in split for id_ in one.supporting_facts} for name, split in splits.items()}
    assert not used["train"] & (used["dev"] | used["test"])
    assert kg(place.arguments("--input", str(folder), "--max_samples", "12")) == 0
    assert len(place.facts()) == 12


def test_a_kg_with_questions_of_its_own(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kg_folder(tmp_path / "kg")
    records = [
        {"question": f"What do they pay with at {number}?", "triples": triples}
        for number in range(10)
        for triples in ([[f"t:{number}", "capital_of", f"l:{number % 2}"], ["l:0", "currency", "crown"]],)
    ]
    path = lines(tmp_path / "questions.jsonl", records)
    arguments = place.arguments("--input", str(folder), "--questions", str(path))
    assert kg(arguments) == 0
    assert {one.answer for one in asked(place)} == {"crown"}
    lines(path, [{"question": "What?", "triples": [["t:0", "capital_of", "l:1"]]}])
    assert kg(arguments) == 2
    assert f"{path}:1: the graph has no triple" in capsys.readouterr().err


HOTPOT = {
    "_id": "1",
    "question": "In which town was the director of Blue Hill born?",
    "answer": "Vienna",
    "type": "bridge",
    "level": "hard",
    "supporting_facts": [["Blue Hill", 0], ["Anna Berg", 1], ["Anna Berg", 7]],
    "context": [
        ["Blue Hill", ["Blue Hill is a film directed by Anna Berg.", " It was released in 1999."]],
        ["Anna Berg", ["Anna Berg is a painter.", " She was born in Vienna."]],
    ],
}


def test_hotpot_gives_facts_of_sentences(place: Place, tmp_path: Path) -> None:
    records = [HOTPOT | {"question": f"{HOTPOT['question']} ({number})"} for number in range(10)]
    records.append(HOTPOT | {"answer": "yes"})
    path = lines(tmp_path / "hotpot.jsonl", records)
    assert hotpot(place.arguments("--input", str(path))) == 0
    facts = {(fact.head, fact.relation, fact.tail): fact for fact in place.facts()}
    assert ("Blue Hill", "directed by", "Anna Berg") in facts
    assert ("Blue Hill", "was released in", "1999") in facts
    born = facts["Anna Berg", "was born in", "Vienna"]
    assert born.context == "She was born in Vienna."
    one = asked(place)[0]
    bridge = facts["Blue Hill", "directed by", "Anna Berg"]
    assert (one.answer, one.type, one.supporting_facts) == ("Vienna", "multi-hop", (bridge.id, born.id))
    assert len(asked(place)) == 10
    texts = [{one.question for one in split} for split in place.questions().values()]
    assert [len(split) for split in texts] == [8, 1, 1]


@pytest.mark.parametrize(
    ("main", "text", "words"),
    [
        (hotpot, '{"question": "Q?"', ":1: not JSON"),
        (hotpot, "[1]", ": record 1: an object belongs here"),
        (hotpot, '\n{"question": "Q?", "answer": "A", "context": 3}', ":2: 'context' must be a list"),
        (hotpot, '{"context": [["T"]]}', ":1: a paragraph is [title, [sentence, ...]]"),
        (trex, '[\n{"text": "T"},\n]', ":3: not JSON"),
        (
            trex,
            '[{"text": "T", "sentences_boundaries": [], "triples": [{}]}]',
            ": record 1: triple 1 is malf",
        ),
        (
            timeqa,
            '[{"index": "x", "paras": [], "questions": [["Q?", [{"answer": "A"}]]]}]',
            ": a question is",
        ),
        (timeqa, '[{"index": "x", "paras": [], "questions": [["Q?", []]]}]', "'x' is not of the form"),
    ],
)
def test_a_malformed_source_is_named_with_its_place(
    main: Main, text: str, words: str, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timeqa_file(tmp_path)
    path = tmp_path / "source.json"
    path.write_text(text, encoding="utf-8")
    assert main(place.arguments("--input", str(path))) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error and error.startswith("error [data_error]: ")
    assert not place.facts_path.exists()


@pytest.mark.parametrize("main", [hotpot, timeqa, trex, kg])
def test_a_missing_source_is_one_line(
    main: Main, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timeqa_file(tmp_path)
    assert main(place.arguments("--input", str(tmp_path / "none.json"))) == 2
    assert "none.json" in capsys.readouterr().err
    assert main(place.arguments()) == 2
    assert "name the source: --input PATH" in capsys.readouterr().err
    assert main(place.arguments("--input", "x", "--max_samples", "0")) == 2
    assert "max_samples must be at least 1" in capsys.readouterr().err


def test_a_broken_table_is_named_with_its_line(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kg_folder(tmp_path / "kg")
    (folder / "triples.tsv").write_text("t:1\tr\tl:0\nt:1\tr\n", encoding="utf-8")
    assert kg(place.arguments("--input", str(folder))) == 2
    assert f"{folder / 'triples.tsv'}:2: 3 columns" in capsys.readouterr().err
