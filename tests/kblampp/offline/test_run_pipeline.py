"""The pipeline runs what is stale, goes on after an interruption, and names what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kblampp.config import Config, PipelineConfig
from kblampp.kb_store import KBStore
from kblampp.offline import build_index, encode_kv, run_pipeline
from tests.kblampp.injection import tiny_config, write_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = tiny_config(tmp_path, tmp_path / "facts.jsonl", tmp_path / "store" / "small")
    sizes = PipelineConfig(num_facts=200, num_train_questions=60, num_dev_questions=12, num_test_questions=12)
    return replace(made, pipeline=sizes)


def states(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What was done of each step: 'up to date', or why it ran."""
    captured = capsys.readouterr()
    found = {}
    for line in [*captured.out.splitlines(), *captured.err.splitlines()]:
        name, _, rest = line.partition(": ")
        if name in ("facts", "questions", "encode", "index"):
            found.setdefault(name, rest)  # progress bars of the same name follow
    return found


def test_stale_steps_run_and_others_do_not(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--config", str(write_config(config, tmp_path / "config.yaml"))]
    assert run_pipeline.main(flags) == 0
    assert set(states(capsys)) == {"facts", "questions", "encode", "index"}
    assert len(KBStore(Path(config.store.path), verify=True)) == 200
    assert run_pipeline.main(flags) == 0
    assert set(states(capsys).values()) == {"up to date"}
    assert run_pipeline.main([*flags, "store.hnsw_m=8"]) == 0
    found = states(capsys)
    assert found.pop("index") == "its settings changed; running it"
    assert set(found.values()) == {"up to date"}
    assert run_pipeline.main([*flags, "--steps", "encode", "index", "pipeline.seed=3"]) == 0
    assert set(states(capsys)) == {"encode", "index"}
    assert run_pipeline.main([*flags, "pipeline.seed=3"]) == 0
    found = states(capsys)
    assert found["facts"].startswith("its settings changed")
    assert found["questions"].startswith("its settings changed")
    assert "facts.jsonl changed" in found["encode"] and found["index"].endswith("running it")
    Path(config.test_qa_path).write_text("{}\n")
    assert run_pipeline.main([*flags, "pipeline.seed=3"]) == 0
    assert "test.jsonl changed" in states(capsys)["questions"]
    assert run_pipeline.main([*flags, "--force", "--steps", "index", "pipeline.seed=3"]) == 0
    assert states(capsys)["index"].startswith("forced")


def test_an_interrupted_run_goes_on(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--config", str(write_config(config, tmp_path / "config.yaml"))]

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encode_kv, "_fill", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline.main(flags)
    capsys.readouterr()
    assert run_pipeline.main(flags) == 0
    found = states(capsys)
    assert (found["facts"], found["questions"]) == ("up to date", "up to date")
    assert found["encode"].startswith(str(Path(config.store.path)))


def test_what_is_missing_is_named_with_its_step(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--config", str(write_config(config, tmp_path / "config.yaml"))]
    assert run_pipeline.main([*flags, "--steps", "encode"]) == 2
    assert "run the step 'facts' first (--steps facts)" in capsys.readouterr().err
    assert run_pipeline.main([*flags, "--steps", "index"]) == 2
    assert "run the step 'encode' first" in capsys.readouterr().err
    assert run_pipeline.main([*flags, "--steps", "encod"]) == 2
    assert "no step 'encod'; there are facts, questions, encode, index" in capsys.readouterr().err
    assert run_pipeline.main([*flags, "pipeline.source=hotpot"]) == 2
    assert "pipeline.input_path" in capsys.readouterr().err
    assert run_pipeline.main([*flags, "pipeline.num_facts=10"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_graph_is_compared_with_exact_search(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--config", str(write_config(config, tmp_path / "config.yaml"))]
    assert run_pipeline.main(flags) == 0
    capsys.readouterr()
    assert build_index.main([*flags, "--compare", "20"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("recall@16 against exact search ")
    assert 0.95 <= float(line.split()[4].rstrip(";")) <= 1
