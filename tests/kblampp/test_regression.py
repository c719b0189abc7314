"""Ten questions that a short training on two real models must answer: from facts to answers, all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kblampp.answering import Query, load_answerer
from kblampp.config import load_config
from kblampp.eval.metrics import exact_match
from kblampp.offline import run_pipeline
from kblampp.time_window import TimeWindow
from kblampp.train import train_stageA

ROOT = Path(__file__).resolve().parents[2]
MODELS = (ROOT / "models" / "SmolLM2-135M-Instruct", ROOT / "models" / "all-MiniLM-L6-v2")
QUESTIONS = Path(__file__).with_name("regression_questions.jsonl")
MIN_RIGHT = 8


@pytest.mark.trainer
def test_ten_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := [model for model in MODELS if not (model / "config.json").is_file()]:
        pytest.skip(f"{missing[0].name} is not at hand; make test fetches it")
    for name in ("configs", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    paths = ["--config", "configs/synth_world.yaml", "--backbone", "configs/backbone_smollm.yaml"]
    # With 300 facts and 800 questions the reader spelt one answer in seven wrong: it learns from tails, and
    # these are few. The ten questions are the first of this world's test questions: eight of one hop, one
    # with a time, one without an answer.
    sizes = ["pipeline.num_facts=1000", "pipeline.num_train_questions=2000", "pipeline.share_multi_hop=0.0"]
    sizes.append("pipeline.share_multi_hop_train=0.0")
    assert run_pipeline.main([*paths, *sizes]) == 0
    assert train_stageA.main([*paths, *sizes, "--max_steps", "150", "train.num_epochs=10"]) == 0
    config = load_config([Path(path) for path in paths[1::2]])
    answerer = load_answerer(config, Path(config.train.output) / "final")
    asked = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    queries = [Query(it["question"], TimeWindow.from_json(it["question_time"])) for it in asked]
    answers = answerer.answer(queries)
    wrong = [
        (it["question"], it["answer"], answer.text)
        for it, answer in zip(asked, answers, strict=True)
        if not exact_match(answer.text, [it["answer"]])
    ]
    assert len(asked) == 10
    assert len(wrong) <= 10 - MIN_RIGHT, wrong
