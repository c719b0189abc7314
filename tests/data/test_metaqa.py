"""MetaQA: its files as released become question files, and a bad line is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kg_r1.data.evidence_path import path_is_exact
from kg_r1.data.metaqa import build_metaqa, read_metaqa, read_part
from kg_r1.data.rows import read_questions
from kg_r1.kg.errors import DataError
from kg_r1.kg.store import GraphStore


def rewrite(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_a_line_becomes_a_question(metaqa_source: Path) -> None:
    questions = read_part(metaqa_source / "3hop_dev.txt", metaqa_source / "3hop_dev_qtype.txt", 3, "dev")
    (question,) = questions
    assert question.question_id == "metaqa-3hop-dev-000001"
    assert question.question == "when were the films released that share a director with The Film"
    assert question.topic_entities == ("The Film",)
    assert question.gold == (("2001",),)
    assert question.dataset_name == "metaqa"
    assert question.num_hops == 3
    assert question.question_type == "movie_to_director_to_movie_to_year"
    assert question.path == (
        ("tail", "directed_by"),
        ("head", "directed_by"),
        ("without", "0"),
        ("tail", "release_year"),
    )


def test_building_writes_graph_questions_and_manifest(metaqa_source: Path, tmp_path: Path) -> None:
    card = build_metaqa(metaqa_source, tmp_path / "out")
    folder = tmp_path / "out" / "metaqa"
    assert (folder / "kb.txt").read_bytes() == (metaqa_source / "kb.txt").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["num_triples"] == 6
    assert manifest["num_questions"]["train_1hop"] == 8
    assert card.ceilings == {
        name: (1.0, number) for name, number in manifest["num_questions"].items() if number
    }
    graph = GraphStore(tmp_path / "out").graph("metaqa")
    for path in (folder / "questions").glob("*.parquet"):
        assert all(path_is_exact(graph, question) for question in read_questions(path))


def test_dev_alone_is_divided_by_question(metaqa_source: Path) -> None:
    lines = (metaqa_source / "1hop_dev.txt").read_text()
    # Each question stands there twice: both lines must go to one split.
    rewrite(metaqa_source / "1hop_dev.txt", lines + lines)
    types = (metaqa_source / "1hop_dev_qtype.txt").read_text()
    rewrite(metaqa_source / "1hop_dev_qtype.txt", types + types)
    found = read_metaqa(metaqa_source, seed=0)
    texts = {split: {q.question for q in found[f"{split}_1hop"]} for split in ("train", "val", "test")}
    assert {split: len(some) for split, some in texts.items()} == {"train": 8, "val": 1, "test": 1}
    assert len(set.union(*texts.values())) == 10
    assert {split: len(found[f"{split}_1hop"]) for split in texts} == {"train": 16, "val": 2, "test": 2}
    assert all(q.split == split for split in texts for q in found[f"{split}_1hop"])
    assert read_metaqa(metaqa_source, seed=0) == found
    assert read_metaqa(metaqa_source, seed=1) != found


def test_released_parts_keep_their_names(metaqa_source: Path) -> None:
    for part in ("train", "test"):
        rewrite(metaqa_source / f"1hop_{part}.txt", "what year is [The Film] from\t1999\n")
        rewrite(metaqa_source / f"1hop_{part}_qtype.txt", "movie_to_year\n")
    found = read_metaqa(metaqa_source, seed=0)
    assert {name: len(rows) for name, rows in found.items() if name.endswith("1hop")} == {
        "train_1hop": 1,
        "val_1hop": 10,
        "test_1hop": 1,
    }
    assert found["val_1hop"][0].split == "val"
    assert found["val_1hop"][0].question_id == "metaqa-1hop-dev-000001"


def test_the_folders_of_the_release_are_read_too(tmp_path: Path) -> None:
    vanilla = tmp_path / "2-hop" / "vanilla"
    vanilla.mkdir(parents=True)
    rewrite(vanilla / "qa_test.txt", "which films share a director with [The Film]\tOther Film\n")
    rewrite(tmp_path / "2-hop" / "qa_test_qtype.txt", "movie_to_director_to_movie\n")
    found = read_metaqa(tmp_path, seed=0)
    assert {name: len(rows) for name, rows in found.items()} == {"test_2hop": 1}


def test_brackets_inside_a_name_belong_to_it(metaqa_source: Path) -> None:
    rewrite(metaqa_source / "2hop_dev.txt", "which films share a director with [[REC]]\tOther Film\n")
    (question,) = read_metaqa(metaqa_source, seed=0)["train_2hop"]
    assert question.topic_entities == ("[REC]",)
    assert question.question == "which films share a director with [REC]"


@pytest.mark.parametrize(
    ("name", "text", "place", "problem"),
    [
        ("1hop_dev.txt", "who [A]\tB\nwho is it\tB\n" + "x [A]\tB\n" * 8, "1hop_dev.txt:2", "topic entity"),
        ("1hop_dev.txt", "x [A]\tB\n" * 9 + "who [A]\n", "1hop_dev.txt:10", "joined by '|' after a tab"),
        (
            "1hop_dev.txt",
            "x [A]\tB\n" * 9 + "who [A]\tB||C\n",
            "1hop_dev.txt:10",
            "joined by '|' after a tab",
        ),
        ("2hop_dev_qtype.txt", "movie_to_year\n", "2hop_dev_qtype.txt:1", "not a question type of 2 hops"),
        ("2hop_dev_qtype.txt", "movie_to_cook_to_movie\n", "2hop_dev_qtype.txt:1", "'movie' to 'cook'"),
        (
            "1hop_dev_qtype.txt",
            "movie_to_year\n" * 3,
            "1hop_dev_qtype.txt:4",
            "3 lines where 1hop_dev.txt has 10",
        ),
    ],
)
def test_a_bad_line_is_named(metaqa_source: Path, name: str, text: str, place: str, problem: str) -> None:
    rewrite(metaqa_source / name, text)
    with pytest.raises(DataError) as caught:
        read_metaqa(metaqa_source, seed=0)
    assert place in str(caught.value)
    assert problem in str(caught.value)


def test_what_is_missing_is_said(metaqa_source: Path, tmp_path: Path) -> None:
    (metaqa_source / "3hop_dev_qtype.txt").unlink()
    with pytest.raises(DataError, match=r"3hop_dev_qtype\.txt"):
        read_metaqa(metaqa_source, seed=0)
    with pytest.raises(DataError, match=r"has no kb\.txt"):
        build_metaqa(tmp_path, tmp_path / "out")
    rewrite(tmp_path / "kb.txt", "a|b|c\n")
    with pytest.raises(DataError, match="no question file such as 1hop_dev"):
        build_metaqa(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.shared_data
def test_the_real_files(shared_data: Path, tmp_path: Path) -> None:
    card = build_metaqa(shared_data / "metaqa", tmp_path)
    assert card.num_triples == 133_582
    assert card.num_relations == 9
    totals = {
        hops: sum(card.types[f"{s}_{hops}hop"].total() for s in ("train", "val", "test"))
        for hops in (1, 2, 3)
    }
    assert totals == {1: 9_992, 2: 14_872, 3: 14_274}
    shares = {name: share for name, (share, _) in card.ceilings.items()}
    assert {shares[f"{split}_{hops}hop"] for split in ("train", "val", "test") for hops in (2, 3)} == {1.0}
    assert 0.93 < shares["test_1hop"] < 0.97
    found = read_metaqa(shared_data / "metaqa", seed=0)
    for hops in (1, 2, 3):
        texts = [{q.question for q in found[f"{split}_{hops}hop"]} for split in ("train", "val", "test")]
        assert not texts[0] & texts[1]
        assert not texts[0] & texts[2]
        assert not texts[1] & texts[2]


def test_the_topic_leaves_only_sets_of_its_own_kind(metaqa_source: Path) -> None:
    """A person's films are no persons: only where people are asked for can the topic be among them."""
    rewrite(metaqa_source / "2hop_dev.txt", "x [Bo Ray]\tA\ny [Bo Ray]\t1999\nz [1999]\tThe Film\n")
    rewrite(
        metaqa_source / "2hop_dev_qtype.txt",
        "actor_to_movie_to_writer\nactor_to_movie_to_year\nyear_to_movie_to_year\n",
    )
    found = [q for name, rows in read_metaqa(metaqa_source, seed=0).items() if "2hop" in name for q in rows]
    assert {question.question: ("without", "0") in question.path for question in found} == {
        "x Bo Ray": True,
        "y Bo Ray": False,
        "z 1999": True,
    }
