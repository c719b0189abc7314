"""The file of evidence, and the commands that write and draw it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kblampp.answering import QuestionAnswerer
from kblampp.config import Config
from kblampp.errors import DataError
from kblampp.eval import dump_evidence, visualize_alpha
from kblampp.eval.evidence import as_text, read_evidence, records_of, summarise, write_evidence
from tests.kblampp.injection import questions, write_checkpoint, write_config

PNG = b"\x89PNG\r\n\x1a\n"


def record(
    supporting: list[str], path_f1: float, em: float = 1.0, deltas: dict[str, float] | None = None
) -> dict[str, Any]:
    """A question of the file, as far as a summary looks at it."""
    causal = None
    if deltas is not None:
        told = [
            {"id": name, "is_supporting": name in supporting, "delta": value}
            for name, value in deltas.items()
        ]
        causal = {"deltas": told}
    return {"supporting_facts": supporting, "path_f1": path_f1, "em": em, "causal": causal}


def test_a_summary_tells_hops_and_kinds_of_facts_apart() -> None:
    summary = summarise(
        [
            record(["a"], 1.0, deltas={"a": -4.0, "x": 1.0}),
            record(["a", "b"], 0.5, em=0.0, deltas={"a": -1.0, "b": -1.0, "x": 0.0}),
            record(["a", "b"], 1.0),
            record([], 1.0, deltas={"x": 9.0}),
        ]
    )
    assert summary.em == 0.75
    assert summary.path_f1 == {0: (1.0, 1), 1: (1.0, 1), 2: (0.75, 2)}
    assert summary.supporting_delta == (-2.0, 3)
    assert summary.other_delta == (0.5, 2)
    assert as_text(summary).splitlines() == [
        "questions 4, EM 0.750",
        "Path-F1, unanswerable: 1.000 (1 questions)",
        "Path-F1, 1 hop: 1.000 (1 questions)",
        "Path-F1, 2 hops: 0.750 (2 questions)",
        "Causal-delta, supporting facts: -2.000 nats (3 facts)",
        "Causal-delta, other facts: +0.500 nats (2 facts)",
    ]
    with pytest.raises(ValueError, match="no questions"):
        summarise([])


def test_a_record_says_what_the_answer_rests_on(answerer: QuestionAnswerer) -> None:
    every = list(records_of(answerer, questions(), is_causal=True))
    assert [it["qid"] for it in every] == [f"tiny-{number}" for number in range(8)]
    temporal = every[4]
    assert temporal["question_time"] == ["1992-01-01", "1992-12-31"]
    weights = [fact["alpha"] for fact in temporal["facts"]]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) + temporal["refusal_alpha"] == pytest.approx(1, abs=1e-4)
    supporting = [fact["id"] for fact in temporal["facts"] if fact["is_supporting"]]
    assert supporting == ["ada-brook/first-employer"]
    deltas = {it["id"]: it for it in temporal["causal"]["deltas"]}
    assert deltas["ada-brook/first-employer"]["is_supporting"]
    assert [name for name, it in deltas.items() if it["is_top"]] == [temporal["facts"][0]["id"]]
    assert not all(it["is_supporting"] for it in deltas.values())
    assert every[6]["supporting_facts"] == []
    assert every[6]["causal"]["text"] == "I do not know"
    assert all(it["causal"] is None for it in records_of(answerer, questions(), is_causal=False))


def test_the_file_carries_every_text(tmp_path: Path, answerer: QuestionAnswerer) -> None:
    records = list(records_of(answerer, questions()[:2], is_causal=False))
    records[0]["said"] = "a \ud800 </script> \u2028 é"
    write_evidence(tmp_path / "evidence.json", {"store": "tiny"}, records)
    read = read_evidence(tmp_path / "evidence.json")
    assert read["questions"] == records
    assert read["about"] == {"store": "tiny"}
    assert (tmp_path / "evidence.json").read_bytes().isascii()
    with pytest.raises(ValueError, match="Out of range"):
        write_evidence(tmp_path / "evidence.json", {}, [{"em": float("nan")}])
    assert read_evidence(tmp_path / "evidence.json") == read
    assert [it.name for it in tmp_path.iterdir()] == ["evidence.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no file of evidence"),
        ('{"format": 1}', "no file of evidence"),
        ('{"format": 2, "questions": []}', "has no questions"),
        ('{"format": 2, "questions": [{"qid": 3}]}', "question 0 has no proper field 'qid'"),
        ('{"format": 2, "questions": [7]}', "question 0 has no proper field 'qid'"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=words):
        read_evidence(tmp_path / "a.json")
    with pytest.raises(DataError, match="dump_evidence makes it"):
        read_evidence(tmp_path / "b.json")


def test_dumped_and_drawn_by_command(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tiny_config, tmp_path / "config.yaml")
    checkpoint = write_checkpoint(tiny_config, tmp_path / "checkpoint")
    out, pictures = tmp_path / "evidence.json", tmp_path / "pictures"
    flags = ["--config", str(config), "--checkpoint", str(checkpoint), "--out", str(out)]
    assert dump_evidence.main([*flags, "--max-questions", "5", "--batch-size", "2", "--causal"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("questions 5, EM ")
    assert "Causal-delta, supporting facts: " in said
    evidence = json.loads(out.read_text())
    assert evidence["about"]["num_facts"] == 32
    assert len(evidence["questions"]) == 5
    assert visualize_alpha.main(["--input", str(out), "--output", str(pictures)]) == 0
    assert (pictures / "alpha.png").read_bytes().startswith(PNG)
    assert (pictures / "betas.png").read_bytes().startswith(PNG)
    page = (pictures / "evidence.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "https://" not in page


def test_mistakes_are_told_in_one_line(
    tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tiny_config, tmp_path / "config.yaml")
    flags = ["--config", str(config), "--out", str(tmp_path / "e.json")]
    for code, wrong in (
        ("config_error", ["--max-questions", "0"]),
        ("data_error", ["--questions", str(tmp_path / "nowhere.jsonl")]),
        ("checkpoint_error", ["--checkpoint", str(tmp_path / "nowhere")]),
    ):
        assert dump_evidence.main([*flags, *wrong]) == 2
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"error [{code}]: ")
    assert not (tmp_path / "e.json").exists()
    assert visualize_alpha.main(["--input", str(tmp_path / "e.json"), "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error [data_error]: ")
