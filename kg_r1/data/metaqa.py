"""MetaQA: the movie KG and its questions, from the files of its release to the project's own layout.

In: a folder with `kb.txt` and, per hop number n and part p of train, dev, test, the files `{n}hop_{p}.txt`
(question with the [topic entity] in brackets, tab, answers joined by '|') and `{n}hop_{p}_qtype.txt` (one
question type a line). The release's own folders (`{n}-hop/vanilla/qa_{p}.txt`, `{n}-hop/qa_{p}_qtype.txt`)
are read too. Out: `metaqa/kb.txt`, `metaqa/questions/{train,val,test}_{n}hop.parquet` and the manifest.

Where only dev is at hand, dev is divided by question, 80/10/10.
"""

from __future__ import annotations

import logging
import random
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from kg_r1.data.card import DataCard, card_of
from kg_r1.data.evidence_path import WITHOUT
from kg_r1.data.files import write_whole
from kg_r1.data.manifest import drop_manifest, write_manifest
from kg_r1.data.rows import read_questions, write_questions
from kg_r1.data.splits import SPLITS
from kg_r1.kg.errors import DataError
from kg_r1.kg.lines import data_error, numbered_lines, read_bytes
from kg_r1.kg.store import GraphStore
from kg_r1.llm_agent.question import Question

logger = logging.getLogger(__name__)

DATASET = "metaqa"
HOPS = (1, 2, 3)
PARTS = {"train": "train", "dev": "val", "test": "test"}
DEV_SHARES = {"train": 0.8, "val": 0.1}  # the rest is test

# What a word of a question type is to a movie.
RELATIONS = {
    "actor": "starred_actors",
    "director": "directed_by",
    "genre": "has_genre",
    "imdbrating": "has_imdb_rating",
    "imdbvotes": "has_imdb_votes",
    "language": "in_language",
    "tag": "has_tags",
    "tags": "has_tags",
    "writer": "written_by",
    "year": "release_year",
}
PERSON_RELATIONS = frozenset({"starred_actors", "directed_by", "written_by"})
_QUESTION = re.compile(r"^(?P<before>[^\[\]]*)\[(?P<topic>.+)\](?P<after>[^\[\]]*)$")


def build_metaqa(source: Path, out: Path, seed: int = 0) -> DataCard:
    """Builds `out`/metaqa from the MetaQA files in `source`.

    Raises DataError, naming file and line, for what is missing or cannot be read.
    """
    if not (source / "kb.txt").is_file():
        raise DataError(
            f"{source}: has no kb.txt", "Name the folder of the MetaQA files; see data_kg/README.md"
        )
    questions = read_metaqa(source, seed)
    folder = out / DATASET
    drop_manifest(folder)
    kb = read_bytes(source / "kb.txt")
    write_whole(folder / "kb.txt", lambda stream: stream.write(kb))
    files = [folder / "kb.txt"]
    for name, rows in questions.items():
        path = folder / "questions" / f"{name}.parquet"
        logger.info("%d questions for %s", write_questions(path, rows), name)
        files.append(path)
    graph = GraphStore(out).graph(DATASET)
    described = {
        "dataset": DATASET,
        "seed": seed,
        "num_triples": graph.num_triples,
        "num_entities": graph.num_entities,
        "num_questions": {name: len(rows) for name, rows in questions.items()},
    }
    write_manifest(folder, files, described)
    written = {name: read_questions(folder / "questions" / f"{name}.parquet") for name in questions}
    return card_of(DATASET, graph, written)


def read_metaqa(source: Path, seed: int) -> dict[str, list[Question]]:
    """'{split}_{n}hop' -> questions, for every hop number that has files.

    Raises DataError when there is none at all, or a line is bad.
    """
    found: dict[str, list[Question]] = {}
    for num_hops in HOPS:
        parts = {
            part: read_part(paths[0], paths[1], num_hops, part)
            for part in PARTS
            if (paths := _files(source, num_hops, part)) is not None
        }
        if set(parts) == {"dev"}:
            divided = _divide(parts["dev"], seed, num_hops)
        else:
            divided = {PARTS[part]: questions for part, questions in parts.items()}
        for split in SPLITS:
            if split in divided:
                found[f"{split}_{num_hops}hop"] = [replace(q, split=split) for q in divided[split]]
    if not found:
        raise DataError(f"{source}: has no question file such as 1hop_dev.txt", "See data_kg/README.md")
    return found


def read_part(path: Path, qtype_path: Path, num_hops: int, part: str) -> list[Question]:
    """The questions of one file with their types.

    Raises DataError, naming file and line, for a line that is none, and when the two files differ in length.
    """
    lines = list(numbered_lines(path))
    types = list(numbered_lines(qtype_path))
    if len(lines) != len(types):
        number = (types[-1][0] if types else 0) + 1
        raise data_error(
            qtype_path, number, f"has {len(types)} lines where {path.name} has {len(lines)} questions"
        )
    questions = []
    for (number, line), (type_number, qtype) in zip(lines, types, strict=True):
        hops = _hops(qtype_path, type_number, qtype.strip(), num_hops)
        text, topic, answers = _fields(path, number, line)
        questions.append(
            Question(
                question_id=f"{DATASET}-{num_hops}hop-{part}-{number:06d}",
                question=text,
                topic_entities=(topic,),
                gold=tuple((answer,) for answer in answers),
                dataset_name=DATASET,
                num_hops=num_hops,
                question_type=qtype.strip(),
                path=hops,
            )
        )
    return questions


def _files(source: Path, num_hops: int, part: str) -> tuple[Path, Path] | None:
    """The question file and the type file, or None where there is no question file."""
    release = source / f"{num_hops}-hop"
    candidates = (
        (source / f"{num_hops}hop_{part}.txt", source / f"{num_hops}hop_{part}_qtype.txt"),
        (release / "vanilla" / f"qa_{part}.txt", release / f"qa_{part}_qtype.txt"),
    )
    return next((paths for paths in candidates if paths[0].is_file()), None)


def _fields(path: Path, number: int, line: str) -> tuple[str, str, list[str]]:
    """(question without brackets, topic, distinct answers)."""
    text, tab, answers = line.partition("\t")
    match = _QUESTION.match(text.strip())
    if match is None:
        raise data_error(path, number, "the question names no [topic entity]")
    listed = list(dict.fromkeys(answer.strip() for answer in answers.split("|")))
    if not tab or not all(listed):
        raise data_error(path, number, "needs answers joined by '|' after a tab")
    topic = match["topic"].strip()
    return f"{match['before']}{topic}{match['after']}".strip(), topic, listed


def _hops(path: Path, number: int, qtype: str, num_hops: int) -> tuple[tuple[str, str], ...]:
    """'actor_to_movie' -> (('head', 'starred_actors'),)."""
    words = qtype.split("_to_")
    if len(words) != num_hops + 1:
        raise data_error(path, number, f"{qtype!r} is not a question type of {num_hops} hops")
    hops: list[tuple[str, str]] = []
    for start, end in pairwise(words):
        if start == "movie" and end in RELATIONS:
            hops.append(("tail", RELATIONS[end]))
        elif end == "movie" and start in RELATIONS:
            hops.append(("head", RELATIONS[start]))
        else:
            raise data_error(path, number, f"{qtype!r} has a step from {start!r} to {end!r}, which is none")
    if num_hops > 1 and _kind(words[0]) == _kind(words[2]):
        # MetaQA's answers never lead back through the topic: 'films that share a director with X' leaves X
        # out of the films, whose genres then are asked for.
        hops.insert(2, (WITHOUT, "0"))
    return tuple(hops)


def _kind(word: str) -> str:
    """What a word of a question type names: the same person may act, direct and write."""
    return "person" if RELATIONS.get(word) in PERSON_RELATIONS else word.removesuffix("s")


def _divide(questions: list[Question], seed: int, num_hops: int) -> dict[str, list[Question]]:
    """dev as train, val and test; a question that stands there twice goes to one of them."""
    texts = sorted({question.question for question in questions})
    random.Random(f"{seed}:{DATASET}:{num_hops}").shuffle(texts)
    end_of_train = round(len(texts) * DEV_SHARES["train"])
    end_of_val = round(len(texts) * (DEV_SHARES["train"] + DEV_SHARES["val"]))
    split_of = {
        text: "train" if rank < end_of_train else "val" if rank < end_of_val else "test"
        for rank, text in enumerate(texts)
    }
    divided: dict[str, list[Question]] = {split: [] for split in SPLITS}
    for question in questions:
        divided[split_of[question.question]].append(question)
    return divided
