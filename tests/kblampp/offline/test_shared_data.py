"""The makers on the published files, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from kblampp.offline.build_5tuple_from_hotpot import main as hotpot
from kblampp.offline.build_5tuple_from_timeqa import main as timeqa
from tests.kblampp.offline.conftest import Place

pytestmark = pytest.mark.shared_data


def test_hotpot(place: Place, shared_data: Path) -> None:
    source = shared_data / "hotpotqa" / "hotpot_distractor_sample.jsonl"
    assert hotpot(place.arguments("--input", str(source), "--max_samples", "10")) == 0
    facts = {fact.id: fact for fact in place.facts()}
    assert len(facts) > 400
    for split in place.questions().values():
        for one in split:
            assert facts[one.supporting_facts[-1]].tail == one.answer


def test_timeqa_with_stamped_facts(place: Place, shared_data: Path) -> None:
    source = shared_data / "timeqa" / "human_annotated_train.json"
    stamped = shared_data / "tempqa_wd" / "cr_tkgqa_tkg.txt"
    assert timeqa(place.arguments("--input", str(source), "--facts", str(stamped))) == 0
    questions = [one for split in place.questions().values() for one in split]
    assert len(questions) == 1171
    first = next(one for one in questions if one.question.endswith("from 1811 to 1827?"))
    assert (first.answer, first.type) == ("George Peter", "temporal")
    assert first.question_time.to_json() == ["1811-01-01", "1827-12-31"]
    assert len(place.facts()) > 23_000


@pytest.mark.parametrize("name", ["easy", "hard"])
def test_timeqa_derived(name: str, place: Place, shared_data: Path) -> None:
    source = shared_data / "timeqa" / f"human_train.{name}.json.gzip"
    assert timeqa(place.arguments("--input", str(source), "--max_samples", "60")) == 0
    for split in place.questions().values():
        assert all(one.question_time.to_json() for one in split)
